"""The rules of VirtualDisk: blank, on top of an image, or from HTTP; grown, never shrunk; held by one machine at a
time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vmctl.planning import images, module_settings, storage_classes
from vmctl.planning.conditions import Condition, find
from vmctl.planning.images import finished, layer_id, layers_of, source_ready, world_progress
from vmctl.planning.plans import LayerSeen, Note, Plan, World
from vmctl.planning.steps import (
    CopyLayer,
    CreateBlank,
    CreateOverlay,
    ForgetObject,
    GrowLayer,
    ImportLayer,
    Layer,
    RemoveLayer,
    Step,
)
from vmctl.planning.storage_classes import Home, Missing
from vmctl.planning.usage import (
    alias_in,
    attached_keys,
    holder,
    how_to_free,
    machines_using,
    may_have_open,
    named_with,
    plugged_by,
)
from vmctl.resources.keys import Key
from vmctl.resources.units import quantity_bytes, shown_quantity

if TYPE_CHECKING:
    from vmctl.planning.objects import Object, Objects

TOO_SMALL = (
    "persistentVolumeClaim.size {size} is smaller than the image, which unpacks to {unpacked}; "
    "ask for at least that, or leave size out"
)


def wanted_bytes(item: Object) -> int | None:
    """The size that the manifest asks for; None where it leaves that to the image."""
    size = (item.document["spec"].get("persistentVolumeClaim") or {}).get("size")
    return None if size is None else quantity_bytes(size)


def reference(item: Object) -> Key | None:
    """The image a disk is made from, if it is made from one."""
    return images.reference(item) if item.document["spec"].get("dataSource") else None


def home_of(item: Object, objects: Objects) -> Home | Missing:
    """The storage class that a disk which is not made yet will lie in."""
    claim = item.document["spec"].get("persistentVolumeClaim") or {}
    return storage_classes.choose(
        objects, claim.get("storageClassName"), module_settings.default_storage_class(objects, "virtualDisks")
    )


def plan(world: World) -> Plan:
    """Where a disk is, and what comes next for it."""
    item = world.object
    if item.terminating:
        return _leave(world)
    seen = finished(world, item.uid)
    if seen is not None:
        return _kept(world, seen)
    home = home_of(item, world.objects)
    if isinstance(home, Missing):
        classed = Condition("StorageClassReady", "False", "StorageClassNotReady", home.message)
        return _not_ready(world, "Pending", [classed], "StorageClassIsNotReady", home.message, {})
    return _make(world, home)


def _make(world: World, home: Home) -> Plan:
    item = world.object
    classed = Condition("StorageClassReady", "True", "StorageClassReady", f"storage class {home.name}")
    extra: dict[str, Any] = {"storageClassName": home.name}
    parent_key = reference(item)
    source = Condition("DatasourceReady", "True", "DatasourceReady")
    if parent_key is not None:
        source = source_ready(parent_key, world.objects.get(parent_key), world.objects)
        if source.status != "True":
            waiting = _not_ready(world, "Pending", [source, classed], "DatasourceIsNotReady", source.message, extra)
            return replace(waiting, waits_for=(parent_key,))
    failure = world.failure
    if world.final_failure is not None:
        return _failed(world, [source, classed], world.final_failure.sentence, extra)
    if home.waits_for_consumer and not any(machines_using(item, world.objects)):
        message = (
            f"storage class {home.name} makes disks when the first machine wants them; "
            f"no machine refers to {item.key.name} yet"
        )
        return _not_ready(world, "WaitForFirstConsumer", [source, classed], "WaitingForFirstConsumer", message, extra)
    steps = _creation(world, home)
    if isinstance(steps, str):
        return _failed(world, [source, classed], steps, extra)
    message = "the disk is being made" if failure is None else failure.told
    status = _status(
        world,
        "Provisioning",
        [source, classed, Condition("Ready", "False", "Provisioning", message)],
        {**extra, "progress": "0%", **world_progress(world)},
    )
    if world.pause_until is not None:
        return Plan(status, look_again=world.pause_until, settled=False)
    return Plan(status, steps, settled=False)


def _creation(world: World, home: Home) -> tuple[Step, ...] | str:
    """The steps that make the disk, or why it cannot be made."""
    item = world.object
    spec = item.document["spec"]
    data_source, size = spec.get("dataSource"), wanted_bytes(item)
    top = Layer(layer_id(item.uid, data_source, home.name), item.uid, home.name, home.directory, "disk")
    stale = tuple(
        RemoveLayer(seen.layer, f"the unfinished {item.key.short}")
        for seen in layers_of(world, item.uid)
        if seen.layer.id != top.id and not seen.finished
    )
    if not data_source:
        return (*stale, CreateBlank(top, size or 0))
    if data_source["type"] == "HTTP":
        http = data_source["http"]
        return (*stale, ImportLayer(top, http["url"], http.get("checksum") or {}, http.get("caBundle") or "", size))
    parent_key = reference(item)
    parent = world.objects.get(parent_key) if parent_key else None
    if parent is None:
        return "the image is gone"
    image = finished(world, parent.uid, home.name) or finished(world, parent.uid)
    if image is None:
        return f"{parent.key.short} has no data"
    if image.cdrom:
        return (
            f"{parent.key.short} is an ISO image: a disk cannot be made from one; "
            "put the image itself into blockDeviceRefs"
        )
    if size is not None and size < image.size_bytes:
        return TOO_SMALL.format(size=spec["persistentVolumeClaim"]["size"], unpacked=shown_quantity(image.size_bytes))
    copy: tuple[Step, ...] = ()
    base = image.layer
    if base.storage_class != home.name:  # a chain never leaves its class
        base = Layer(layer_id(parent.uid, "copy", home.name), parent.uid, home.name, home.directory, "image")
        copy = (CopyLayer(base, image.layer.directory, image.layer.id),)
    overlay = Layer(top.id, top.owner, top.storage_class, top.directory, "disk", backing=base.id)
    return (*stale, *copy, CreateOverlay(overlay, size or image.size_bytes, parent.key.short))


def _kept(world: World, seen: LayerSeen) -> Plan:
    """A disk that was made: there, lost, growing, or asked to shrink."""
    item = world.object
    extra: dict[str, Any] = {
        "capacity": shown_quantity(seen.size_bytes),
        "storageClassName": seen.layer.storage_class,
        "target": {"persistentVolumeClaimName": seen.layer.id},
        "progress": "100%",
    }
    classed = Condition("StorageClassReady", "True", "StorageClassReady", f"storage class {seen.layer.storage_class}")
    if not seen.exists:
        lost = f"the file {seen.layer.path} is gone; nothing is made in its place: put it back, or delete the disk"
        return _not_ready(world, "PVCLost", [classed], "PVCLost", lost, extra)
    size = wanted_bytes(item)
    if size is not None and size > seen.size_bytes:
        return _grow(world, seen, size, classed, extra)
    ready = Condition("Ready", "True", "Ready")
    first = item.phase not in ("Ready", "Resizing", "PVCLost")
    notes = (
        (Note("DataSourceImportCompleted", f"the disk is ready ({shown_quantity(seen.size_bytes)})"),) if first else ()
    )
    if item.phase == "Resizing":
        notes = (Note("VirtualDiskResizingCompleted", f"the disk has {shown_quantity(seen.size_bytes)}"),)
    return Plan(_status(world, "Ready", [classed, ready], extra), notes=notes)


def _grow(world: World, seen: LayerSeen, size: int, classed: Condition, extra: dict[str, Any]) -> Plan:
    """A disk that is to be larger than it is; what it holds can be used all the while."""
    item, failure = world.object, world.failure
    ready = Condition("Ready", "True", "Ready")
    storage_class = world.objects.get(Key("StorageClass", "", seen.layer.storage_class))
    if storage_class is not None and not storage_classes.home(storage_class).expands:
        why = f"storage class {seen.layer.storage_class} does not let disks grow (allowVolumeExpansion)"
        status = _status(world, "Ready", [classed, ready, Condition("Resizing", "False", "NotAvailable", why)], extra)
        told = find(item.status, "Resizing") is not None
        return Plan(status, notes=() if told else (Note("VirtualDiskResizingNotAvailable", why, warning=True),))
    resizing = Condition(
        "Resizing", "True", "InProgress", f"growing from {shown_quantity(seen.size_bytes)} to {shown_quantity(size)}"
    )
    if failure is not None and failure.retry_at is None:
        resizing = Condition("Resizing", "False", "NotAvailable", failure.sentence)
    elif failure is not None:
        resizing = Condition("Resizing", "True", "InProgress", failure.told)
    status = _status(world, "Resizing", [classed, ready, resizing], extra)
    if failure is not None and (failure.retry_at is None or failure.retry_at > world.now):
        return Plan(status, look_again=failure.retry_at, settled=failure.retry_at is None)
    step = GrowLayer(seen.layer, size, _running_with(item, world), _off_with(item, world))
    return Plan(status, (step,), settled=False)


def _running_with(item: Object, world: World) -> tuple[str, str] | None:
    """The running machine that has the disk open, and the alias it knows the disk by.

    One that is only being started, or waits for room, has nothing open yet; QEMU's own lock settles what is in between.
    """
    users = machines_using(item, world.objects, mounted=True)
    user = next((one for one in users if one.phase != "Starting" or item.key in attached_keys(one)), None)
    return (user.uid, alias_in(user, item.key, world.objects)) if user is not None else None


def _off_with(item: Object, world: World) -> tuple[tuple[str, str], ...]:
    """The machines that name the disk and were off when last seen, each with its alias: one may be on by now."""
    on = {machine.uid for machine in machines_using(item, world.objects, mounted=True)}
    return tuple(
        (machine.uid, alias_in(machine, item.key, world.objects))
        for machine in machines_using(item, world.objects)
        if machine.uid not in on
    )


def _leave(world: World) -> Plan:
    """A disk that a machine has open stays; otherwise its data goes with it, for its name was said, unless its class
    keeps what was in deleted disks.
    """
    item = world.object
    known = {name: item.status[name] for name in ("capacity", "storageClassName", "target") if name in item.status}
    holders = list(machines_using(item, world.objects, mounted=True))
    if holders:
        names = ", ".join(named_with(machine, item.key, world.objects) for machine in holders)
        message = f"attached to {names}; {how_to_free(item, holders[0], world.objects)}"
        return Plan(
            _status(
                world,
                "Terminating",
                [Condition("Ready", "False", "Terminating", message)],
                known,
            ),
            waits_for=tuple(machine.key for machine in holders),
        )
    layers = layers_of(world, item.uid)
    kept = [one.layer for one in layers if storage_classes.keeps_data(world.objects, one.layer.storage_class)]
    data = tuple(RemoveLayer(seen.layer, item.key.short) for seen in layers if seen.layer not in kept)
    notes = tuple(
        Note(
            "Retained",
            f"its data stays in {layer.path}, because storage class {layer.storage_class} has reclaimPolicy Retain",
        )
        for layer in kept
    )
    steps: tuple[Step, ...] = (*data, ForgetObject(item.key, item.uid))
    return Plan(_status(world, "Terminating", [], known), steps, notes, settled=False)  # the class is held until then


def _failed(world: World, conditions: list[Condition], message: str, extra: dict[str, Any]) -> Plan:
    return _not_ready(world, "Failed", conditions, "ProvisioningFailed", message, extra)


def _not_ready(
    world: World, phase: str, conditions: list[Condition], reason: str, message: str, extra: dict[str, Any]
) -> Plan:
    """A disk for which nothing can be done now, and why."""
    return Plan(_status(world, phase, [*conditions, Condition("Ready", "False", reason, message)], extra))


def _status(world: World, phase: str, conditions: list[Condition], extra: dict[str, Any]) -> dict[str, Any]:
    item = world.object
    users = list(machines_using(item, world.objects))
    has = holder(item, world.objects)
    mounted = has is not None and may_have_open(has, item.key, world.objects)
    attached = [{"name": user.key.name, "mounted": mounted and user is has} for user in users]
    in_use = (
        Condition(
            "InUse",
            "True",
            "AttachedToVirtualMachine",
            f"attached to {named_with(has, item.key, world.objects)}; it is freed when {_freed_when(has, world)}",
        )
        if mounted and has is not None
        else Condition("InUse", "False", "NotInUse", "no machine has it attached")
    )
    users_shown = {"attachedToVirtualMachines": attached} if attached else {}
    return world.status(phase, [*conditions, in_use], {**extra, **users_shown})


def _freed_when(machine: Object, world: World) -> str:
    plugged = plugged_by(machine, world.object.key, world.objects) is not None
    return f"{'that attachment is gone, or ' if plugged else ''}that machine is off"
