"""Kinds that only hold what they say: secrets, namespaces, storage classes, the node, settings. They are there, or they
go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.planning.conditions import Condition, written
from vmctl.planning.plans import Plan, World
from vmctl.planning.steps import ForgetObject

if TYPE_CHECKING:
    from vmctl.planning.objects import Object, Objects
    from vmctl.resources.keys import Key

ACTIVE = frozenset({"Namespace"})


def plan(world: World) -> Plan:
    """Nothing to do while it exists; when it is deleted, it goes once nobody uses it."""
    item = world.object
    if not item.terminating:
        return Plan({**item.status, "phase": "Active"} if item.key.kind in ACTIVE else item.status)
    users = holders(item, world.objects)
    if users:
        names = ", ".join(holder.short for holder in users[:5]) + (" …" if len(users) > 5 else "")
        status: dict[str, Any] = {
            **item.status,
            "phase": "Terminating",
            "conditions": written(
                [Condition("InUse", "True", "InUse", f"used by {names}")], item.status, item.generation, world.now
            ),
        }
        return Plan(status, waits_for=tuple(users))
    return Plan(item.status, (ForgetObject(item.key, item.uid),), settled=False)


def holders(item: Object, objects: Objects) -> list[Key]:
    """Who would lose something: the objects of a namespace, the bytes of a storage class."""
    if item.key.kind == "Namespace":
        return [other.key for other in objects.by_key.values() if other.key.namespace == item.key.name]
    if item.key.kind == "StorageClass":
        return [other.key for other in objects.by_key.values() if _lies_in(other) == item.key.name]
    return []


def _lies_in(item: Object) -> str:
    """The storage class that has the bytes of an image or a disk; a cluster image tells it with its target."""
    where = item.status.get("storageClassName") or (item.status.get("target") or {}).get("registryURL", "")
    return str(where).partition("/")[0]
