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
    "VirtualMachineClass": ("Ready",),
    "VirtualMachineIPAddress": ("Bound", "Attached"),
}


def missing(item: Object) -> str:
    """What an object still waits for, in a sentence; empty when it is where its spec asks."""
    if item.terminating:
        return _why(item, "it is being deleted")
    if item.key.kind == "VirtualMachine":
        policy = item.document["spec"].get("runPolicy", "AlwaysOnUnlessStoppedManually")
        wanted: tuple[str, ...] = (
            ("Stopped",) if policy == "AlwaysOff" else ("Running", "Stopped") if policy == "Manual" else ("Running",)
        )
    else:
        wanted = READY.get(item.key.kind, ())
    if not wanted or item.phase in wanted:
        return ""
    return _why(item, f"it is {item.phase or 'not begun'}")


def _why(item: Object, otherwise: str) -> str:
    """The first condition that is False and says why, except those that are False on any single host."""
    for entry in item.status.get("conditions") or ():
        if (
            entry["status"] == "False"
            and entry["message"]
            and entry["type"] not in ("Migratable", "InUse", "AgentReady", "Running", "Ready")
        ):
            return f"{item.phase or 'Pending'}: {entry['message']}"
    for kind in ("Running", "Ready", "InUse"):
        entry_of = find(item.status, kind)
        if entry_of is not None and entry_of["message"] and (kind != "InUse" or item.terminating):
            return f"{item.phase or 'Pending'}: {entry_of['message']}"
    return otherwise


def failed(item: Object) -> bool:
    """Whether the object has come to an end that is not its goal, as far as can be seen now."""
    return item.phase in ("Failed", "ImageLost", "PVCLost")
