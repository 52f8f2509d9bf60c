"""Where each object's spec asks it to be: what `apply --wait` and `wait` wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.planning.conditions import find

if TYPE_CHECKING:
    from vmctl.planning.objects import Object

READY = {
    "VirtualImage": ("Ready",),
    "ClusterVirtualImage": ("Ready",),
    "VirtualDisk": ("Ready", "WaitForFirstConsumer"),
    "VirtualMachine": ("Running", "Stopped"),
    "VirtualMachineClass": ("Ready",),
    "VirtualMachineIPAddress": ("Bound", "Attached"),
    "VirtualMachineOperation": ("Completed", "Superseded"),
    "VirtualMachineBlockDeviceAttachment": ("Attached",),
}
POWER = {"AlwaysOn": ("Running",), "AlwaysOff": ("Stopped",)}  # policies that want one of the two

QUIET = frozenset({"Migratable", "InUse", "AgentReady", "Running", "Ready", "FirmwareUpToDate"})


def missing(item: Object) -> str:
    """What an object still waits for, in a sentence; empty when it is where its spec asks."""
    if item.terminating:
        return _why(item, "it is being deleted")
    wanted = READY.get(item.key.kind, ())
    if item.key.kind == "VirtualMachine":
        wanted = POWER.get((item.document.get("spec") or {}).get("runPolicy", ""), wanted)
    if not wanted or item.phase in wanted:
        return ""
    return _why(item, f"it is {item.phase or 'not begun'}")


def _why(item: Object, otherwise: str) -> str:
    """What its conditions say is missing; those that are False on any single host say nothing."""
    running = find(item.status, "Running")
    if running is not None and running["status"] == "False" and running["reason"] not in ("NotRunning", "Stopped"):
        return str(running["message"])  # the machine itself is in trouble: that comes before what it waits for
    said = [
        entry["message"]
        for entry in item.status.get("conditions") or ()
        if entry["status"] == "False" and entry["message"] and entry["type"] not in QUIET
    ]
    if said:
        return "; ".join(dict.fromkeys(said))
    for kind in ("Running", "Ready", "InUse"):
        entry = find(item.status, kind)
        if entry is not None and entry["message"] and (kind != "InUse" or item.terminating):
            return str(entry["message"])
    return otherwise


def failed(item: Object) -> bool:
    """Whether the object has come to an end that is not its goal, as far as can be seen now."""
    return item.phase in ("Failed", "ImageLost", "PVCLost")
