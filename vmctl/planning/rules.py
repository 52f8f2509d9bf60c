"""The rules of an object's kind, and what holds for every kind: what happened is noticed first, who is paused is left
alone, a finalizer is waited for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vmctl.planning import addresses, attachments, classes, disks, images, machines, operations, plain, power
from vmctl.planning.drift import is_held
from vmctl.planning.steps import CutPower, ShutDown, Undefine

if TYPE_CHECKING:
    from vmctl.planning.plans import Plan, World


def noticed(world: World) -> World:
    """The world with what happened to the power of a machine among its notes; the same one where that is no news."""
    news = power.news(world.domain, power.noted(world.notes), world.place.boot_id, world.now)
    return world if news is None else replace(world, notes={**world.notes, power.NOTE: news.text()})


def plan(world: World, proposed: str = "") -> Plan:
    """What is to be done for an object: nothing while its annotation pauses it, but for what it is asked by name.

    Who has put a finalizer on it is waited for before anything of it goes. `proposed` is what a machine's main
    interface, or an address object, gets where it has no address yet.
    """
    found = _of_kind(world, proposed)
    if is_held(world):
        return replace(found, steps=(), settled=True)
    if not (world.object.terminating and world.object.finalizers):
        return found
    steps = tuple(step for step in found.steps if isinstance(step, ShutDown | CutPower | Undefine))
    return replace(found, steps=steps, settled=not steps)


def _of_kind(world: World, proposed: str) -> Plan:
    match world.object.key.kind:
        case "VirtualMachine":
            return machines.plan(world, proposed)
        case "VirtualDisk":
            return disks.plan(world)
        case "VirtualImage" | "ClusterVirtualImage":
            return images.plan(world)
        case "VirtualMachineClass":
            return classes.plan(world)
        case "VirtualMachineOperation":
            return operations.plan(world)
        case "VirtualMachineBlockDeviceAttachment":
            return attachments.plan(world)
        case "VirtualMachineIPAddress":
            return addresses.plan(world, proposed)
        case "VirtualMachineIPAddressLease":
            return addresses.plan_lease(world)
        case _:
            return plain.plan(world)
