"""The rules of VirtualMachineBlockDeviceAttachment: a disk or image plugged into a machine while it runs.

What is attached is part of the hardware that its machine is wanted to have, so the machine's own pass plugs and unplugs
it and keeps it in the definition. The attachment's pass only tells, and lets go of the object when the device is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmctl.planning import devices, drift, refusals, usage
from vmctl.planning.conditions import Condition
from vmctl.planning.images import finished
from vmctl.planning.machine_hardware import alias as alias_of
from vmctl.planning.machine_hardware import plugged_alias, plugged_name
from vmctl.planning.plans import Note, Plan
from vmctl.planning.steps import ForgetObject, PlugDisk, UnplugDisk
from vmctl.resources.annotations import PAUSED, RECONCILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmctl.planning.hardware import Hardware
    from vmctl.planning.machine_hardware import Device
    from vmctl.planning.objects import Object, Objects
    from vmctl.planning.plans import World
    from vmctl.resources.keys import Key

MOST_DEVICES = 16  # of a machine, its spec and its attachments together
CAPACITY = "DiskAttachmentCapacityAvailableType"  # the platform's own name for the condition
NO_BUS = (
    "{machine} has osType Legacy with enableParavirtualization: false, and its guest would not see what is plugged in: "
    "put the device into blockDeviceRefs"
)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether an attachment's device can be plugged in: the device, or what is in the way, one of the four."""

    device: Device | None = None
    conflict: str = ""
    no_room: str = ""
    no_bus: str = ""
    not_ready: str = ""

    @property
    def trouble(self) -> str:
        return self.conflict or self.no_room or self.no_bus or self.not_ready


def plugged(world: World) -> tuple[Device, ...]:
    """The devices that attachments add to the machine of this world, as far as they are ready."""
    found = (
        readiness(world, item, world.object)
        for item in usage.attachments_of(world.object.key, world.objects)
        if not item.terminating
    )
    return tuple(one.device for one in found if one.device is not None)


def readiness(world: World, attachment: Object, machine: Object) -> Readiness:
    """Judge one attachment of a machine."""
    objects, key = world.objects, usage.device_of(attachment)
    conflict = usage.conflict(attachment, objects)
    if conflict:
        return Readiness(conflict=conflict)
    if _place(attachment, machine, objects) > MOST_DEVICES:
        return Readiness(no_room=full(machine))
    if has_no_bus(machine.document):
        return Readiness(no_bus=NO_BUS.format(machine=machine.key.short))
    device = objects.get(key)
    seen = finished(world, device.uid) if device is not None else None
    why = devices.trouble(key, device, objects) or _held_elsewhere(key, attachment, machine, objects)
    if why or seen is None:
        return Readiness(not_ready=why or f"{key.short} has no data yet")
    return Readiness(devices.made(key, seen, attachment=attachment.key.name))


def has_no_bus(machine: Mapping[str, Any]) -> bool:
    """Whether nothing can be plugged into a machine as its manifest describes it."""
    spec = machine["spec"]
    return spec.get("osType") == "Legacy" and not spec.get("enableParavirtualization", True)


def _place(attachment: Object, machine: Object, objects: Objects) -> int:
    """Which of the machine's devices it is, counted from 1: the spec's come first, then attachments by age."""
    before = [item.key for item in usage.attachments_of(machine.key, objects)]
    return len(usage.device_keys(machine)) + before.index(attachment.key) + 1


def full(machine: Object) -> str:
    """That a machine has as many block devices as it can have."""
    return (
        f"{machine.key.short} can have {MOST_DEVICES} block devices, of its spec and of attachments together: "
        "delete another attachment of it"
    )


def _held_elsewhere(key: Key, attachment: Object, machine: Object, objects: Objects) -> str:
    """Who else has a disk now, or nothing."""
    device = objects.get(key)
    if device is None or key.kind != "VirtualDisk":
        return ""
    for other in usage.attachments_of(key, objects):
        if other.key != attachment.key and other.terminating and _entry(other, objects.get(usage.machine_of(other))):
            return f"{key.short} is still attached by {other.key.short}, which is being deleted"
    has = usage.holder(device, objects)
    if has is None or has.key == machine.key:
        return ""
    return f"{key.short} is in use by {has.key.short}; it is attached here when that machine is off"


# ---- what the machine's pass does ----------------------------------------------------------------------------


def live_steps(world: World, wanted: Hardware, *, left_alone: frozenset[str]) -> Iterator[PlugDisk | UnplugDisk]:
    """What is unplugged from, then plugged into, a machine that runs. What was refused waits for its next start."""
    running = world.domain.running if world.domain is not None else None
    if running is None:
        return
    refused = refusals.noted(world.notes, agent=world.guest is not None)
    mine = {plugged_alias(item.key.name): item for item in usage.attachments_of(world.object.key, world.objects)}
    there = {disk.alias: disk for disk in running.disks if plugged_name(disk.alias)}
    for alias in there:
        owner = mine.get(alias)
        if (owner is None or owner.terminating) and detaching(alias, owner) not in refused:
            what = usage.device_of(owner).short if owner is not None else alias
            yield UnplugDisk(world.object.uid, alias, what, detaching(alias, owner))
    by_spec = {disk.alias for disk in running.disks}
    for disk in wanted.disks:
        owner = mine.get(disk.alias)
        if owner is None or disk.alias in {*there, *left_alone} or attaching(owner) in refused:
            continue
        if disk.readonly or alias_of(usage.device_of(owner)) not in by_spec:
            yield PlugDisk(world.object.uid, disk, usage.device_of(owner).short, attaching(owner))


def attaching(attachment: Object) -> str:
    """What names the act of plugging in among what host or guest refused."""
    return f"attach {attachment.uid}"


def detaching(alias: str, attachment: Object | None) -> str:
    """What names the act of unplugging there."""
    return f"detach {attachment.uid if attachment is not None else alias}"


def aliases(hardware: Hardware) -> frozenset[str]:
    """What attachments plug in, as the domain knows it."""
    return frozenset(disk.alias for disk in hardware.disks if plugged_name(disk.alias))


def defined_differs(defined: Hardware, wanted: Hardware) -> bool:
    """Whether a definition has other attached devices than it should have."""
    return _written(defined) != _written(wanted)


def _written(hardware: Hardware) -> frozenset[tuple[str, str]]:
    return frozenset((disk.alias, disk.source) for disk in hardware.disks if plugged_name(disk.alias))


# ---- the attachment's own pass -------------------------------------------------------------------------------


def plan(world: World) -> Plan:
    """Where an attachment is; it is forgotten when it is deleted and its device is gone from the machine."""
    item = world.object
    machine = world.objects.get(usage.machine_of(item))
    if item.terminating:
        return _leave(world, machine)
    found = _judged(world, machine)
    phase, attached = _phase(world, machine, found)
    status = _status(world, phase, _conditions(world, machine, found, attached))
    notes: tuple[Note, ...] = ()
    if phase == "Attached" and item.phase != "Attached":
        notes = (Note("Attached", f"{usage.device_of(item).short} is attached to {usage.machine_of(item).short}"),)
    elif phase == "Failed" and item.phase != "Failed":
        notes = (Note("Conflict", attached.message, warning=True),)
    waits = () if phase in ("Attached", "Failed") else (usage.machine_of(item), usage.device_of(item))
    return Plan(status, notes=notes, waits_for=waits, settled=phase != "InProgress")


def intention(attachment: Object) -> str:
    """What becomes of an attachment once it can, for a preview."""
    return f"attach {usage.device_of(attachment).short} to {usage.machine_of(attachment).short}"


def _judged(world: World, machine: Object | None) -> Readiness:
    """The device's side of it, also where there is no machine yet."""
    if machine is not None:
        return readiness(world, world.object, machine)
    key = usage.device_of(world.object)
    conflict = usage.conflict(world.object, world.objects)
    not_ready = devices.trouble(key, world.objects.get(key), world.objects)
    return Readiness(conflict=conflict) if conflict else Readiness(not_ready=not_ready)


def _phase(world: World, machine: Object | None, found: Readiness) -> tuple[str, Condition]:
    """The phase, and the condition Attached that explains it."""
    item, where = world.object, usage.machine_of(world.object).short
    if found.conflict:
        return "Failed", Condition("Attached", "False", "Conflict", found.conflict)
    if _is_attached(item, machine):
        return "Attached", Condition("Attached", "True", "Attached")
    trouble = found.trouble or _machine_trouble(item, machine) or _left_over(item, machine) or _refused(world)
    if trouble:
        return "Pending", Condition("Attached", "False", "NotAttached", trouble)
    message = f"{usage.device_of(item).short} is being attached to {where}"
    return "InProgress", Condition("Attached", "False", "AttachmentRequestSent", message)


def _refused(world: World) -> str:
    """What host or guest said when the device was to be plugged in, or nothing."""
    words = refusals.noted(world.machine_notes, agent=False).get(attaching(world.object))
    if not words:
        return ""
    return f"{words}; it is attached at the next restart of {usage.machine_of(world.object).short}"


def _left_over(attachment: Object, machine: Object | None) -> str:
    """That the machine still has the disk from the time when its spec named it, or nothing."""
    device = usage.device_of(attachment)
    if machine is None or device.kind != "VirtualDisk" or device not in usage.attached_keys(machine):
        return ""
    return (
        f"{machine.key.short} still has {device.short}, which its blockDeviceRefs do not name any more; it becomes "
        "this attachment's at the next restart"
    )


def _machine_trouble(attachment: Object, machine: Object | None) -> str:
    """Why nothing can be plugged into the machine now, or nothing."""
    key = usage.machine_of(attachment)
    if machine is None:
        return f"{key.short} does not exist"
    if machine.terminating:
        return f"{key.short} is being deleted"
    if drift.mode(machine) == PAUSED:
        return f"{key.short} is left alone: its annotation {RECONCILE} is {PAUSED}"
    if machine.phase == "Running":
        return ""
    if machine.phase == "Pause":
        return f"{key.short} is paused; the device is attached when its processors go on"
    return f"{key.short} is {machine.phase or 'Pending'}; the device is attached at its next start"


def _conditions(world: World, machine: Object | None, found: Readiness, attached: Condition) -> list[Condition]:
    """The device's, the machine's, the room's, and the one that sums them up."""
    not_here = _machine_trouble(world.object, machine) or found.no_bus
    key = usage.device_of(world.object)
    no_device = devices.trouble(key, world.objects.get(key), world.objects) or found.not_ready
    room = Condition(CAPACITY, "True", "CapacityAvailable")
    if machine is None:
        room = Condition(CAPACITY, "Unknown", "CapacityUnknown", not_here)
    elif found.no_room:
        room = Condition(CAPACITY, "False", "CapacityReached", found.no_room)
    return [
        Condition("BlockDeviceReady", "False", "BlockDeviceNotReady", no_device)
        if no_device
        else Condition("BlockDeviceReady", "True", "BlockDeviceReady"),
        Condition("VirtualMachineReady", "False", "VirtualMachineNotReady", not_here)
        if not_here
        else Condition("VirtualMachineReady", "True", "VirtualMachineReady"),
        room,
        attached,
    ]


def _leave(world: World, machine: Object | None) -> Plan:
    """A deleted attachment stays until its device is gone from what runs and from the definition."""
    item = world.object
    entry = _entry(item, machine)
    device, where = usage.device_of(item).short, usage.machine_of(item).short
    if machine is None or entry is None:
        return Plan(_status(world, "Terminating", []), (ForgetObject(item.key, item.uid),), settled=False)
    refused = refusals.noted(world.machine_notes, agent=False).get(detaching(plugged_alias(item.key.name), item))
    message = f"{device} is being detached from {where}"
    if refused:
        message = f"{refused}; it is gone after the next restart of {where}"
    elif drift.mode(machine) == PAUSED:
        message = f"{where} is left alone: its annotation {RECONCILE} is {PAUSED}"
    attached = Condition("Attached", "True", "Attached", f"{where} still has {device}")
    if not entry["attached"]:
        attached = Condition("Attached", "False", "NotAttached", f"only the definition of {where} still has {device}")
    conditions = [attached, Condition("Terminating", "True", "DetachPending", message)]
    return Plan(_status(world, "Terminating", conditions), waits_for=(machine.key,), settled=False)


def _entry(attachment: Object, machine: Object | None) -> Mapping[str, Any] | None:
    """What the machine's status says of the device that the attachment plugged in."""
    listed = machine.status.get("blockDeviceRefs") or () if machine is not None else ()
    return next((entry for entry in listed if entry.get(usage.ATTACHED_BY) == attachment.key.name), None)


def _is_attached(attachment: Object, machine: Object | None) -> bool:
    entry = _entry(attachment, machine)
    return entry is not None and bool(entry["attached"])


def _status(world: World, phase: str, conditions: list[Condition]) -> dict[str, Any]:
    return world.status(phase, conditions, {"virtualMachineName": usage.machine_of(world.object).name})
