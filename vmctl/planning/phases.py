"""The phases of every kind, and those that mean the same to more than one reader.

Plain strings, because users and manifests have them; `conditions.check` holds every recorded status to the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.observed import Power

_SNAPSHOT = ("Pending", "InProgress", "Ready", "Failed", "Terminating")
OF_KIND: dict[str, tuple[str, ...]] = {
    "VirtualMachine": (
        "Pending", "Running", "Degraded", "Terminating", "Stopped", "Stopping", "Starting", "Migrating", "Pause",
    ),
    "VirtualDisk": (
        "Pending", "Provisioning", "WaitForUserUpload", "WaitForFirstConsumer", "Ready", "Resizing", "Failed",
        "PVCLost", "Exporting", "Terminating", "Migrating",
    ),
    "VirtualImage": (
        "Pending", "Provisioning", "WaitForUserUpload", "Ready", "Failed", "Terminating", "ImageLost", "PVCLost",
    ),
    "ClusterVirtualImage": (
        "Pending", "Provisioning", "WaitForUserUpload", "Ready", "Failed", "Terminating", "ImageLost",
    ),
    "VirtualMachineClass": ("Pending", "Ready", "Terminating"),
    "VirtualMachineBlockDeviceAttachment": ("Pending", "InProgress", "Attached", "Failed", "Terminating"),
    "VirtualMachineOperation": ("Pending", "InProgress", "Completed", "Failed", "Terminating", "Superseded"),
    "VirtualMachineSnapshot": _SNAPSHOT,
    "VirtualDiskSnapshot": _SNAPSHOT,
    "VirtualMachineSnapshotOperation": ("Pending", "InProgress", "Completed", "Failed", "Terminating"),
    "VirtualMachineIPAddress": ("Pending", "Bound", "Attached", "Terminating"),
    "VirtualMachineIPAddressLease": ("Bound", "Released", "Terminating"),
}  # fmt: skip

UP = frozenset({"Running", "Pause", "Stopping", "Migrating", "Degraded"})  # there is a QEMU
ON = UP | {"Starting"}  # there is one, or will be in a moment
SHOWN: Mapping[Power, str] = {
    "running": "Running", "paused": "Pause", "stopping": "Stopping", "crashed": "Stopping", "off": "Stopped",
}  # fmt: skip


def shown(known: str, power: Power, *, kept: bool) -> str:
    """The phase of a machine, after what libvirt shows: nobody may have looked since its guest went off or came up.

    A phase that speaks of a wish (Pending, Starting, Terminating) stays while the machine is off. `kept`: an engine
    moves machines, and knows more of one that is on (Starting, Stopping) than libvirt does.
    """
    as_wished = power == "off" and known not in UP
    as_kept = kept and power != "off" and known in ON
    return known if known == "Terminating" or as_wished or as_kept else SHOWN[power]
