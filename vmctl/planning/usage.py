"""Who uses what: the machines that refer to a disk or an image, and the one that holds a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.planning.objects import Object, Objects

ON = frozenset({"Starting", "Running", "Stopping", "Migrating", "Pause", "Degraded"})


def device_keys(machine: Object) -> tuple[Key, ...]:
    """The disks and images of a machine, in the order of its spec."""
    return tuple(
        Key(ref["kind"], "" if ref["kind"] == "ClusterVirtualImage" else machine.key.namespace, ref["name"])
        for ref in machine.document["spec"].get("blockDeviceRefs") or ()
    )


def holds_devices(machine: Object) -> bool:
    """Whether the machine may have its devices open: it is on, or on its way to either side of that."""
    return machine.phase in ON or bool(machine.status.get("blockDeviceRefs") and machine.phase == "Terminating")


def machines_using(device: Object, objects: Objects, *, mounted: bool = False) -> Iterator[Object]:
    """The machines whose spec names a device, the oldest first; with `mounted` only those that may have it open."""
    for machine in objects.of_kind("VirtualMachine", device.key.namespace or None):
        if device.key in device_keys(machine) and (not mounted or holds_devices(machine)):
            yield machine


def holder(disk: Object, objects: Objects) -> Object | None:
    """The one machine that has a disk: who runs with it; else, of those that want to be on, the oldest.

    Both of two machines that start at the same moment come to the same answer, so neither needs to ask the other.
    """
    users = sorted(machines_using(disk, objects), key=lambda machine: (machine.created, machine.key.name))
    running = [machine for machine in users if holds_devices(machine)]
    if running:
        return running[0]
    return next((machine for machine in users if wants_on(machine)), None)


def wants_on(machine: Object) -> bool:
    """Whether a machine that is off would be started by its policy now."""
    policy = machine.document["spec"].get("runPolicy", "AlwaysOnUnlessStoppedManually")
    if machine.terminating or policy in ("AlwaysOff", "Manual"):
        return False
    return policy == "AlwaysOn" or machine.phase != "Stopped"
