"""Who uses what: the machines that refer to a disk or an image, themselves or through an attachment, and the one that
holds a disk.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vmctl.planning.conditions import find
from vmctl.planning.phases import ON
from vmctl.planning.power import Cause, PowerNote, wish
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.planning.objects import Object, Objects

ATTACHMENT = "VirtualMachineBlockDeviceAttachment"
ATTACHED_BY = "virtualMachineBlockDeviceAttachmentName"  # names the attachment in a machine's status.blockDeviceRefs
NO_ROOM = "PodNotStarted"  # reason of the condition Running while this host does not suit a machine


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


def device_of(attachment: Object) -> Key:
    """The disk or image that an attachment plugs in."""
    return _key(attachment, attachment.document["spec"]["blockDeviceRef"])


def machine_of(attachment: Object) -> Key:
    """The machine that an attachment plugs its device into."""
    return Key("VirtualMachine", attachment.key.namespace, attachment.document["spec"]["virtualMachineName"])


def attachments_of(key: Key, objects: Objects) -> list[Object]:
    """The attachments that name a machine, a disk or an image, in the order they were made; of one moment, by name."""
    found = (objects.get(other) for other in objects.mentioning(key) if other.kind == ATTACHMENT)
    return sorted((item for item in found if item is not None), key=_seniority)


def _seniority(item: Object) -> tuple[float, str]:
    return item.created or math.inf, item.key.name  # what is only foreseen, in a preview, was not made yet


def conflict(attachment: Object, objects: Objects) -> str:
    """Why an attachment can never have its device while things are declared as they are, or nothing."""
    device = device_of(attachment)
    if _in_spec(attachment, objects):
        return (
            f"{device.short} is in blockDeviceRefs of {machine_of(attachment).short} already: delete this attachment, "
            "or take the device out there"
        )
    if device.kind != "VirtualDisk":  # images are read-only: any number of machines may have them, any number of times
        return ""
    for other in attachments_of(device, objects):
        if other.key == attachment.key:
            return ""
        if not other.terminating and not _in_spec(other, objects):
            return f"{device.short} is attached by {other.key.short}, which is older: delete one of the two"
    return ""


def _in_spec(attachment: Object, objects: Objects) -> bool:
    machine = objects.get(machine_of(attachment))
    return machine is not None and device_of(attachment) in device_keys(machine)


def plugged_by(machine: Object, device: Key, objects: Objects) -> Object | None:
    """The attachment by which a machine has a device, is to get it, or is giving it up."""
    mine = (item for item in attachments_of(device, objects) if machine_of(item) == machine.key)
    return next((item for item in mine if not conflict(item, objects)), None)


def alias_in(machine: Object, device: Key, objects: Objects) -> str:
    """How a machine's domain knows a device that the machine has, or will have."""
    from vmctl.planning import machine_hardware  # pydantic, which a look at what is in use does not need

    has = [entry for entry in machine.status.get("blockDeviceRefs") or () if _key(machine, entry) == device]
    by = next((str(entry.get(ATTACHED_BY) or "") for entry in has if entry.get("attached")), None)
    if by is None and device not in device_keys(machine):
        attachment = plugged_by(machine, device, objects)
        by = attachment.key.name if attachment is not None else ""
    return machine_hardware.plugged_alias(by) if by else machine_hardware.alias(device)


def may_have_open(machine: Object, device: Key, objects: Objects) -> bool:
    """Whether a machine may have a device open: it has it, or it is on and its spec or an attachment names it.

    A machine whose manifest no longer names a disk keeps it until its next restart, and one that is being deleted until
    it is off.
    """
    return device in attached_keys(machine) or (
        machine.phase in ON and (device in device_keys(machine) or plugged_by(machine, device, objects) is not None)
    )


def machines_using(device: Object, objects: Objects, *, mounted: bool = False) -> Iterator[Object]:
    """The machines that name a device, have it, or are to have it plugged in, oldest first; with `mounted` only those
    that may have it open.
    """
    by_spec = (key for key in objects.mentioning(device.key) if key.kind == "VirtualMachine")
    plugged = {machine_of(item): item for item in attachments_of(device.key, objects)}
    for machine in sorted(filter(None, map(objects.get, {*by_spec, *plugged})), key=_seniority):
        has = may_have_open(machine, device.key, objects)
        by = plugged_by(machine, device.key, objects)
        if has or (not mounted and (device.key in device_keys(machine) or (by is not None and not by.terminating))):
            yield machine


def named_with(machine: Object, device: Key, objects: Objects) -> str:
    """A machine that has a device, for sentences, with the attachment by which it has it."""
    by = plugged_by(machine, device, objects)
    return machine.key.name + (f" by {by.key.short}" if by is not None else "")


def how_to_free(device: Object, machine: Object, objects: Objects) -> str:
    """What ends a machine's use of a device."""
    by = plugged_by(machine, device.key, objects)
    if by is not None and by.terminating:
        return "it is being detached"
    if by is not None:
        return "delete that attachment, or stop the machine"
    what = "disk" if device.key.kind == "VirtualDisk" else "image"
    return f"stop or delete that machine, or take the {what} out of its blockDeviceRefs"


def holder(disk: Object, objects: Objects) -> Object | None:
    """The one machine that has a disk: who runs with it; else, of those that want to be on, the oldest.

    Both of two machines that start at the same moment come to the same answer, so neither needs to ask the other. Who
    has the disk comes before who is about to, one that is being started (restarted, perhaps: it had the disk) before
    one that runs without it, and a machine whose spec names it before one that it is plugged into.
    """

    def rank(machine: Object) -> tuple[bool, bool, bool, float, str]:
        has, starts = disk.key in attached_keys(machine), machine.phase == "Starting" and not waits_for_room(machine)
        return not has, not starts, not has and disk.key not in device_keys(machine), *_seniority(machine)

    users = sorted(machines_using(disk, objects), key=rank)
    running = [machine for machine in users if may_have_open(machine, disk.key, objects)]
    if running:
        return running[0]
    return next((machine for machine in users if wants_on(machine)), None)


def wants_on(machine: Object) -> bool:
    """Whether a machine that is off would be started now, as far as its manifest and its phase tell.

    What was noted of its power is the machine's own affair; its phase stands in for that. In the first pass after the
    host came up the two may differ, and a disk that several name goes to whoever is looked at first.
    """
    policy = machine.document["spec"].get("runPolicy", "AlwaysOnUnlessStoppedManually")
    return not machine.terminating and wish(policy, None, _as_noted(machine.phase), "").on


def _as_noted(phase: str) -> PowerNote | None:
    """What the phase of a machine tells of what was noted: one that rests is Stopped, and is Pending when its start was
    asked for.
    """
    match phase:
        case "":
            return None
        case "Stopped":
            return PowerNote("off", cause=Cause.STOP)
        case "Pending" | "Starting":
            return PowerNote("starting")
        case _:
            return PowerNote("on")
