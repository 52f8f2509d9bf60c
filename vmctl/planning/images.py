"""The rules of VirtualImage and ClusterVirtualImage: bytes are imported once, then frozen."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vmctl.planning import module_settings, storage_classes
from vmctl.planning.conditions import Condition
from vmctl.planning.plans import LayerSeen, Note, Plan, World
from vmctl.planning.steps import CopyLayer, ForgetObject, ImportLayer, Layer, RemoveLayer, Step
from vmctl.planning.storage_classes import Home, Missing
from vmctl.planning.usage import how_to_free, machines_using, named_with
from vmctl.resources.keys import Key
from vmctl.resources.units import shown_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.planning.objects import Object, Objects


def layer_id(uid: str, *inputs: Any) -> str:
    """The id of a layer follows from whose it is and what goes into it, so that a repeated attempt finds what it
    left.
    """
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()
    return str(uuid.uuid5(uuid.UUID(uid), digest))


def layers_of(world: World, uid: str) -> list[LayerSeen]:
    return [seen for seen in world.layers.values() if seen.layer.owner == uid]


def finished(world: World, uid: str, storage_class: str | None = None) -> LayerSeen | None:
    """The layer that holds an object's bytes, in a class or in whichever it was first made."""
    return next(
        (seen for seen in layers_of(world, uid) if seen.finished and storage_class in (None, seen.layer.storage_class)),
        None,
    )


def reference(item: Object) -> Key | None:
    """The image an image is made from, if it is made from one."""
    source = item.document["spec"]["dataSource"]
    ref = source.get("objectRef")
    if source.get("type") != "ObjectRef" or not ref:
        return None
    namespace = "" if ref["kind"] == "ClusterVirtualImage" else ref.get("namespace") or item.key.namespace
    return Key(ref["kind"], namespace, ref["name"])


def home_of(item: Object, objects: Objects) -> Home | Missing:
    """The storage class that an image which is not imported yet will lie in."""
    claim = item.document["spec"].get("persistentVolumeClaim") or {}
    return storage_classes.choose(
        objects, claim.get("storageClassName"), module_settings.default_storage_class(objects, "virtualImages")
    )


def plan(world: World) -> Plan:
    """Where an image is, and what comes next for it."""
    item = world.object
    if item.terminating:
        return _leave(world)
    seen = finished(world, item.uid)
    if seen is not None:
        return _ready(world, seen)
    home = home_of(item, world.objects)
    if isinstance(home, Missing):
        return _waiting(
            world,
            "StorageClassReady",
            Condition("StorageClassReady", "False", "StorageClassNotFound", home.message),
            (),
        )
    return _provision(world, home)


def _provision(world: World, home: Home) -> Plan:
    item = world.object
    source = item.document["spec"]["dataSource"]
    layer = Layer(layer_id(item.uid, source, home.name), item.uid, home.name, home.directory, "image")
    stale = tuple(
        RemoveLayer(seen.layer, f"the unfinished import of {item.key.short}")
        for seen in layers_of(world, item.uid)
        if not seen.finished and seen.layer.id != layer.id
    )
    failure = world.failure
    if world.final_failure is not None:
        return Plan(
            _status(
                world,
                "Failed",
                [
                    Condition("DatasourceReady", "True", "DatasourceReady"),
                    *_class_ready(item, home),
                    Condition("Ready", "False", "ProvisioningFailed", world.final_failure.sentence),
                    _in_use(world),
                ],
                world_progress(world),
            )
        )
    ready, step = _source(world, layer)
    parent_key = reference(item)
    if step is None:
        return _waiting(world, "DatasourceReady", ready, (parent_key,) if parent_key else (), home)
    message = "the image is being imported" if failure is None else failure.told
    status = _status(
        world,
        "Provisioning",
        [ready, *_class_ready(item, home), Condition("Ready", "False", "Provisioning", message), _in_use(world)],
        world_progress(world),
    )
    if world.pause_until is not None:
        return Plan(status, stale, look_again=world.pause_until, settled=False)
    return Plan(status, (*stale, step), settled=False)


def _source(world: World, layer: Layer) -> tuple[Condition, Step | None]:
    """Where the bytes come from, and the step that fetches them if they can be had now."""
    item = world.object
    parent_key = reference(item)
    if parent_key is None:
        http = item.document["spec"]["dataSource"]["http"]
        step = ImportLayer(layer, http["url"], http.get("checksum") or {}, http.get("caBundle") or "")
        return Condition("DatasourceReady", "True", "DatasourceReady"), step
    parent = world.objects.get(parent_key)
    ready = source_ready(parent_key, parent, world.objects)
    seen = finished(world, parent.uid) if parent is not None else None
    if ready.status != "True":
        return ready, None
    if seen is None:
        return replace(ready, status="False", reason="ImageNotReady", message=f"{parent_key.short} has no data"), None
    return ready, CopyLayer(layer, seen.layer.directory, seen.layer.id)


def _ready(world: World, seen: LayerSeen) -> Plan:
    item = world.object
    conditions = [*_class_ready(item, Home(seen.layer.storage_class, seen.layer.directory))]
    if not seen.exists:
        message = f"the file {seen.layer.path} is gone; put it back, or delete the image and apply it again"
        lost = Condition("Ready", "False", "ImageLost", message)
        return Plan(_status(world, "ImageLost", [*conditions, lost, _in_use(world)], _kept(item)))
    extra = {
        "progress": "100%",
        "cdrom": seen.cdrom,
        "format": seen.format,
        "size": {
            "stored": shown_size(seen.stored_bytes),
            "storedBytes": str(seen.stored_bytes),
            "unpacked": shown_size(seen.size_bytes),
            "unpackedBytes": str(seen.size_bytes),
        },
        "target": {"registryURL": f"{seen.layer.storage_class}/{seen.layer.id}"},
    }
    speed = item.status.get("downloadSpeed")
    if speed:
        extra["downloadSpeed"] = {name: value for name, value in speed.items() if name.startswith("avg")}
    if item.key.kind == "VirtualImage":
        extra["storageClassName"] = seen.layer.storage_class
    parent = reference(item)
    source = world.objects.get(parent) if parent else None
    if source is not None:
        extra["sourceUID"] = source.uid
    status = _status(world, "Ready", [*conditions, Condition("Ready", "True", "Ready"), _in_use(world)], extra)
    return Plan(status, notes=tuple(_told(item, seen)))


def _told(item: Object, seen: LayerSeen) -> Iterator[Note]:
    if item.phase == "ImageLost":
        yield Note(f"{item.key.kind}LostRecovered", "the file of the image is there again")
    elif item.phase != "Ready":
        yield Note("DataSourceImportCompleted", f"the image is ready ({shown_size(seen.size_bytes)} unpacked)")


def _kept(item: Object) -> dict[str, Any]:
    """What stays true of an image that is lost or is being deleted."""
    fields = ("cdrom", "format", "size", "target", "storageClassName", "sourceUID")
    return {name: item.status[name] for name in fields if name in item.status}


def _leave(world: World) -> Plan:
    """An image that a machine has attached stays until that ends; one that is only under disks goes at once."""
    item = world.object
    holders = list(machines_using(item, world.objects, mounted=True))
    if holders:
        names = ", ".join(named_with(holder, item.key, world.objects) for holder in holders)
        return Plan(
            _status(
                world,
                "Terminating",
                [
                    Condition("Ready", "False", "ImageTerminating", "the image is being deleted"),
                    Condition(
                        "InUse",
                        "True",
                        "AttachedToVirtualMachine",
                        f"attached to {names}; {how_to_free(item, holders[0], world.objects)}",
                    ),
                ],
                _kept(item),
            ),
            waits_for=tuple(holder.key for holder in holders),
        )
    partial = tuple(
        RemoveLayer(seen.layer, f"the unfinished import of {item.key.short}")
        for seen in layers_of(world, item.uid)
        if not seen.finished
    )
    return Plan(_status(world, "Terminating", [], {}), (*partial, ForgetObject(item.key, item.uid)), settled=False)


def source_ready(key: Key, parent: Object | None, objects: Objects) -> Condition:
    """The DatasourceReady condition for an image as the source of something."""
    prefix = "Cluster" if key.kind == "ClusterVirtualImage" else ""
    if parent is None:
        known = ", ".join(objects.names(key.kind, key.namespace)) or "none"
        return Condition(
            "DatasourceReady", "False", f"{prefix}ImageNotFound", f"{key.short} does not exist; known: {known}"
        )
    if parent.phase != "Ready" or parent.terminating:
        state = "being deleted" if parent.terminating else parent.phase or "Pending"
        return Condition("DatasourceReady", "False", f"{prefix}ImageNotReady", f"{key.short} is {state}")
    return Condition("DatasourceReady", "True", "DatasourceReady")


def world_progress(world: World) -> dict[str, Any]:
    """Progress and speed of a running import, as a status has them."""
    now = world.progress
    if now is None:
        return {}
    done = "0.0%" if not now.total else f"{min(100.0, 100.0 * now.received / now.total):.1f}%"
    return {
        "progress": done,
        "downloadSpeed": {
            "avg": f"{shown_size(int(now.average))}/s",
            "avgBytes": str(int(now.average)),
            "current": f"{shown_size(int(now.speed))}/s",
            "currentBytes": str(int(now.speed)),
        },
    }


def _class_ready(item: Object, home: Home) -> Iterator[Condition]:
    if item.key.kind == "VirtualImage":
        yield Condition("StorageClassReady", "True", "StorageClassReady", f"storage class {home.name}")


def _in_use(world: World) -> Condition:
    item, users = world.object, machines_using(world.object, world.objects, mounted=True)
    names = ", ".join(named_with(machine, item.key, world.objects) for machine in users)
    if names:
        return Condition("InUse", "True", "AttachedToVirtualMachine", f"attached to {names}")
    return Condition("InUse", "False", "NotInUse", "no machine has it attached")


def _waiting(world: World, first: str, condition: Condition, keys: tuple[Key, ...], home: Home | None = None) -> Plan:
    item = world.object
    ready = Condition(
        "Ready",
        "False",
        "DatasourceIsNotReady" if first == "DatasourceReady" else "StorageClassIsNotReady",
        condition.message,
    )
    known = _class_ready(item, home) if home else ()
    return Plan(_status(world, "Pending", [condition, *known, ready, _in_use(world)], {}), waits_for=keys)


def _status(world: World, phase: str, conditions: list[Condition], extra: dict[str, Any]) -> dict[str, Any]:
    return world.status(phase, conditions, {"cdrom": False, **extra})
