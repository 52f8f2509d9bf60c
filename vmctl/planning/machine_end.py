"""How a machine is switched off, and what goes with one that is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.planning import machine_status
from vmctl.planning.machine_hardware import projected
from vmctl.planning.machine_status import Picture
from vmctl.planning.networks import network_of
from vmctl.planning.plans import Plan
from vmctl.planning.power import Cause, Wish
from vmctl.planning.steps import (
    CutPower,
    DeleteObject,
    ForgetObject,
    ReleaseAddress,
    RemoveFile,
    ShutDown,
    Step,
    Undefine,
)
from vmctl.resources.annotations import FORCE

if TYPE_CHECKING:
    from vmctl.planning.dependencies import Dependencies
    from vmctl.planning.plans import World
    from vmctl.resources.machine_fields import VirtualMachineSpec


def switch_off(world: World, spec: VirtualMachineSpec, asked: Wish) -> Step:
    """The step that switches a machine off, as it was asked; a guest that crashed is asked for nothing."""
    if asked.off is None:
        raise AssertionError("called for a machine that is to be off")
    if asked.cut or (world.domain is not None and world.domain.power == "crashed"):
        return CutPower(world.object.uid, asked.why, asked.off)
    return ShutDown(world.object.uid, _grace_s(world, spec), asked.why, asked.off)


def _grace_s(world: World, spec: VirtualMachineSpec) -> int:
    """How long the guest may take: what it was started with, because a change of it waits for the next start."""
    running = world.domain.running if world.domain is not None else None
    return (projected(running, spec) if running is not None else spec).termination_grace_period_seconds


def leave(world: World, spec: VirtualMachineSpec, needs: Dependencies, mac: str) -> Plan:
    """Off first, then out of libvirt, then its address; its disks stay."""
    item, domain = world.object, world.domain
    status = machine_status.status(world, spec, needs, Picture("Terminating"))
    if domain is not None and domain.power != "off":
        forced = item.annotations.get(FORCE) == "true"
        why = "it is deleted by force" if forced else "it is deleted"
        step = switch_off(world, spec, Wish(why, Cause.DELETION, cut=forced))
        return Plan(status, (step,), settled=False)
    steps: list[Step] = [Undefine(item.uid)] if domain is not None else []
    steps += [
        RemoveFile(world.place.seed_medium(item.uid), "its seed medium"),
        RemoveFile(world.place.console_log(item.uid), "its console transcript"),
    ]
    network = network_of(needs.address, world.networks)
    if network is not None and mac:
        steps.append(ReleaseAddress(network, mac, needs.address, item.key.name, item.key.namespace))
    steps += [
        DeleteObject(owned.key)
        for owned in world.objects.of_kind("VirtualMachineIPAddress", item.key.namespace)
        if item.uid in owned.owners and not owned.terminating
    ]
    return Plan(status, (*steps, ForgetObject(item.key, item.uid)), settled=False)
