"""The world as it will be once what an object refers to is ready: what a preview plans for what comes later."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from vmctl.planning import goals
from vmctl.planning.graph import references
from vmctl.planning.images import finished
from vmctl.planning.objects import Object
from vmctl.planning.plans import LayerSeen
from vmctl.planning.steps import Layer

if TYPE_CHECKING:
    from vmctl.planning.objects import Objects
    from vmctl.planning.plans import World
    from vmctl.resources.keys import Key

THERE = ("Ready", "Resizing", "Active", "Bound", "Attached")  # the phases of what can be used
PASSIVE = ("Secret", "StorageClass", "VirtualMachine")  # waited for by other rules, if at all
DEVICES = ("VirtualDisk", "VirtualImage", "ClusterVirtualImage")


def coming(item: Object, objects: Objects) -> list[Key]:
    """What an object refers to that is declared and not ready yet."""
    return [key for key in _needed(item) if (other := objects.get(key)) is not None and other.phase not in THERE]


def unknown(item: Object, objects: Objects) -> list[Key]:
    """What an object refers to and nobody has declared."""
    return [key for key in _needed(item) if objects.get(key) is None]


def comes(item: Object, objects: Objects) -> bool:
    """Whether an object can get ready by itself: nothing that it is made from has failed or is missing."""
    if item.phase in THERE:
        return True
    if goals.failed(item) or item.terminating:
        return False
    made_from = [objects.get(key) for key in _needed(item)]
    return all(other is not None and comes(other, objects) for other in made_from)


def once_ready(world: World) -> World:
    """The same world with everything there that is coming, and the disks and images that somebody has to declare.

    How large and of which format their bytes are is not known yet, and no step's sentence says so.
    """
    objects = world.objects
    found = [other for key in coming(world.object, objects) if (other := objects.get(key)) is not None]
    declared = [_declared(key) for key in unknown(world.object, objects) if key.kind in DEVICES]
    there = [*(item for item in found if comes(item, objects)), *declared]
    layers = {
        layer.id: LayerSeen(layer, exists=True, size_bytes=0)
        for item in there
        if item.key.kind in DEVICES and finished(world, item.uid) is None
        for layer in (Layer(item.uid, item.uid, "", "", "disk"),)
    }
    ready = objects.with_changes(replace(item, status={**item.status, "phase": "Ready"}) for item in there)
    return replace(world, objects=ready, layers={**world.layers, **layers})


def _declared(key: Key) -> Object:
    """An object that is not there, as if somebody had declared it."""
    return Object(key, str(uuid.uuid5(uuid.NAMESPACE_OID, str(key))), 1, {"spec": {}}, {})


def _needed(item: Object) -> list[Key]:
    return [key for key in references(item.key, item.document) if key.kind not in PASSIVE]
