"""The phases of every kind, and those that mean the same to more than one reader.

Plain strings, because users and manifests have them; `conditions.check` holds every recorded status to the list.
"""

from __future__ import annotations

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
