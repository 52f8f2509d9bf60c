"""Who uses what: the machines that refer to a disk or an image, and the one that holds a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.planning.conditions import find
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.planning.objects import Object, Objects

NO_ROOM = "PodNotStarted"  # reason of the condition Running while this host does not suit a machine
ON = frozenset({"Starting", "Running", "Stopping", "Migrating", "Pause", "Degraded"})


def device_keys(machine: Object) -> tuple[Key, ...]:
    """The disks and images of a machine, in the order of its spec."""
    return tuple(_key(machine, ref) for ref in machine.document["spec"].get("blockDeviceRefs") or ())


def attached_keys(machine: Object) -> frozenset[Key]:
    """The disks and images that the machine really had when it was last looked at, whatever its spec says by now."""
    return frozenset(
        _key(machine, entry) for entry in machine.status.get("blockDeviceRefs") or () if entry.get("attached")
    )


def _key(machine: Object, ref: dict[str, str]) -> Key:
    return Key(ref["kind"], "" if ref["kind"] == "ClusterVirtualImage" else machine.key.namespace, ref["name"])


def is_on(machine: Object) -> bool:
    """Whether the machine is on, or on its way to either side of that."""
    return machine.phase in ON or bool(attached_keys(machine))


def takes_room(machine: Object) -> bool:
    """Whether the machine has a share of the host: it is on or is being started, and does not itself wait for room.

    Of two that wait for the same room neither keeps it from the other, else both would wait for ever.
    """
    return is_on(machine) and not (waits_for_room(machine) and not attached_keys(machine))


def waits_for_room(machine: Object) -> bool:
    """Whether this host did not suit the machine when it was last looked at."""
    running = find(machine.status, "Running")
    return running is not None and running["reason"] == NO_ROOM


def may_have_open(machine: Object, device: Key) -> bool:
    """Whether a machine may have a device open: it has it, or it is on and its spec names it.

    A machine whose manifest no longer names a disk keeps it until its next restart, and one that is being deleted until
    it is off.
    """
    return device in attached_keys(machine) or (machine.phase in ON and device in device_keys(machine))


def machines_using(device: Object, objects: Objects, *, mounted: bool = False) -> Iterator[Object]:
    """The machines that name a device or have it; with `mounted` only those that may have it open."""
    found = (objects.get(key) for key in objects.mentioning(device.key) if key.kind == "VirtualMachine")
    for machine in filter(None, found):
        has = may_have_open(machine, device.key)
        if has or (not mounted and device.key in device_keys(machine)):
            yield machine


def holder(disk: Object, objects: Objects) -> Object | None:
    """The one machine that has a disk: who runs with it; else, of those that want to be on, the oldest.

    Both of two machines that start at the same moment come to the same answer, so neither needs to ask the other.
    """
    users = sorted(machines_using(disk, objects), key=lambda machine: (machine.created, machine.key.name))
    running = [machine for machine in users if may_have_open(machine, disk.key)]
    if running:
        return running[0]
    return next((machine for machine in users if wants_on(machine)), None)


def wants_on(machine: Object) -> bool:
    """Whether a machine that is off would be started by its policy now."""
    policy = machine.document["spec"].get("runPolicy", "AlwaysOnUnlessStoppedManually")
    if machine.terminating or policy == "AlwaysOff":
        return False
    if policy == "Manual":  # one that rests is Stopped; it is Pending only when somebody asked for its start
        return machine.phase in ("Pending", "Starting")
    return policy == "AlwaysOn" or machine.phase != "Stopped"
