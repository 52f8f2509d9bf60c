"""How a pass asks for a plan, in the same order: what happened is noted first, and who is paused is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vmctl.planning import addresses, attachments, classes, disks, drift, images, machines, operations, plain, power

if TYPE_CHECKING:
    from vmctl.planning.plans import Plan, World


def plan_of(world: World, mac: str, candidate: str) -> Plan:
    """What is to be done for the object of a world; `candidate` is the address that a new lease would get."""
    news = power.news(world.domain, power.noted(world.notes), world.place.boot_id, world.now)
    if news is not None:
        world = replace(world, notes={**world.notes, power.NOTE: news.text()})
    plan = _rules(world, mac, candidate)
    return replace(plan, steps=(), settled=True) if drift.is_held(world) else plan


def _rules(world: World, mac: str, candidate: str) -> Plan:
    match world.object.key.kind:
        case "VirtualMachine":
            return machines.plan(world, mac)
        case "VirtualDisk":
            return disks.plan(world)
        case "VirtualImage" | "ClusterVirtualImage":
            return images.plan(world)
        case "VirtualMachineClass":
            return classes.plan(world)
        case "VirtualMachineBlockDeviceAttachment":
            return attachments.plan(world)
        case "VirtualMachineOperation":
            return operations.plan(world)
        case "VirtualMachineIPAddress":
            return addresses.plan(world, candidate)
        case "VirtualMachineIPAddressLease":
            return addresses.plan_lease(world)
        case _:
            return plain.plan(world)
