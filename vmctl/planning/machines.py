"""The rules of VirtualMachine: what it needs, whether it is to be on, what differs from what runs, and what comes
next.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vmctl.planning import admission, machine_status, placement
from vmctl.planning.changes import Judged, entries, judge, sealed
from vmctl.planning.conditions import Condition
from vmctl.planning.dependencies import Dependencies, gather
from vmctl.planning.diff import diff
from vmctl.planning.machine_hardware import Parts, domain_name, hardware, projected
from vmctl.planning.machine_status import Picture
from vmctl.planning.networks import network_of
from vmctl.planning.plans import Note, Plan, Waiting, World
from vmctl.planning.power import Wish, noted, wish
from vmctl.planning.steps import (
    CutPower,
    Define,
    DeleteObject,
    EnsureNetwork,
    ForgetObject,
    ReleaseAddress,
    RemoveFile,
    ReserveAddress,
    ShutDown,
    Start,
    Step,
    Undefine,
)
from vmctl.planning.usage import NO_ROOM, ON
from vmctl.resources.annotations import FORCE
from vmctl.resources.policies import Effect, Facts, dotted
from vmctl.resources.virtualmachine import VirtualMachine

if TYPE_CHECKING:
    from vmctl.planning.hardware import Hardware
    from vmctl.planning.observed import Domain
    from vmctl.resources.machine_fields import VirtualMachineSpec

LOOK_FOR_AGENT_S = 2.0


@dataclass(frozen=True, slots=True)
class Difference:
    """What tells the wanted machine from the one that runs (or, off, from its definition)."""

    judged: tuple[Judged, ...] = ()
    defined_differs: bool = False

    def of(self, effect: Effect) -> tuple[Judged, ...]:
        return tuple(item for item in self.judged if item.verdict.effect is effect)


def plan(world: World, mac: str) -> Plan:
    """Where a machine is, and what comes next for it; `mac` is the address its main interface has or would have."""
    spec = world.object.typed(VirtualMachine).spec
    needs = gather(world, spec)
    if world.object.terminating:
        return _leave(world, spec, needs, mac)
    wanted = _hardware(world, spec, needs, mac)
    difference = compare(world, spec, wanted)
    if world.foreign:
        message = (
            f"libvirt already has a domain named {domain_name(world.object.key)} that is not this machine (uuid "
            f"{world.foreign}); "
            "it is left alone: rename the machine, or remove that domain"
        )
        return _resting(
            world, spec, needs, "Pending", Condition("Running", "False", "InternalVirtualMachineError", message)
        )
    if world.domain is not None and world.domain.power != "off":
        return _on(world, spec, needs, wanted, difference)
    asked = wish(spec.run_policy, world.domain, noted(world.notes), world.place.boot_id)
    if not asked.on:
        return _off(world, spec, needs, wanted, difference, asked)
    return _start(world, spec, needs, wanted, asked, mac)


def _hardware(world: World, spec: VirtualMachineSpec, needs: Dependencies, mac: str) -> Hardware:
    network = network_of(needs.address, world.networks)
    parts = Parts(
        devices=needs.devices,
        seed=needs.seed,
        cpu=needs.klass.document["spec"]["cpu"] if needs.klass else {"type": "Host"},
        fraction=needs.fraction,
        mac=mac,
        network=network.name if network else "",
        console_log=world.place.console_log(world.object.uid),
    )
    return hardware(world.object, spec, parts, world.place)


def compare(world: World, spec: VirtualMachineSpec, wanted: Hardware) -> Difference:
    """What differs, judged field by field; nothing for a machine that libvirt does not have."""
    domain = world.domain
    if domain is None:
        return Difference()
    facts = _facts(world, spec)
    desired = sealed(_effective(spec, wanted), world.place.hash_key)
    shown = domain.running or domain.defined
    judged = (
        tuple(judge(change, facts) for change in diff(projected(shown, desired), desired)) if shown is not None else ()
    )
    defined = domain.defined
    differs = defined is None or any(True for _ in diff(projected(defined, desired), projected(wanted, desired)))
    return Difference(tuple(item for item in judged if item.verdict.effect is not Effect.NONE), differs)


def _effective(spec: VirtualMachineSpec, wanted: Hardware) -> VirtualMachineSpec:
    """The spec with the fraction that is in force, which the class may have chosen."""
    return spec.model_copy(
        update={"cpu": spec.cpu.model_copy(update={"core_fraction": f"{wanted.cpu.shares_percent}%"})}
    )


def _facts(world: World, spec: VirtualMachineSpec) -> Facts:
    return Facts(hash_key=world.place.hash_key, os_type=spec.os_type, paravirtualized=spec.enable_paravirtualization)


def _on(world: World, spec: VirtualMachineSpec, needs: Dependencies, wanted: Hardware, difference: Difference) -> Plan:
    """A machine that is on: keep its definition as wanted, tell what waits, switch it off if its policy says so."""
    domain = world.domain
    if domain is None:
        raise AssertionError("called for a machine that is on")
    asked = wish(spec.run_policy, domain, noted(world.notes), world.place.boot_id)
    picture = _picture(world, spec, needs, difference, phase=_phase(domain, asked))
    status = machine_status.status(world, spec, needs, picture)
    steps: tuple[Step, ...] = needs.make
    if difference.defined_differs and domain.power in ("running", "paused") and world.failure is None:
        seed = (needs.write_seed,) if needs.write_seed else ()  # the new definition names it; QEMU has the old one open
        steps = (*steps, *seed, Define(wanted))
    if not asked.on:
        steps = (*steps, ShutDown(world.object.uid, spec.termination_grace_period_seconds, asked.why))
    elif domain.power == "crashed":
        steps = (*steps, CutPower(world.object.uid, "it crashed"))
    again = world.now + LOOK_FOR_AGENT_S if world.guest is None and picture.phase == "Running" else None
    return Plan(
        status,
        steps,
        _told(world, picture),
        look_again=again,
        waits_for=needs.waits_for,
        changes=_shown(difference),
        settled=not steps,
    )


def _phase(domain: Domain, asked: Wish) -> str:
    if not asked.on or domain.power in ("stopping", "crashed"):
        return "Stopping"
    return "Pause" if domain.power == "paused" else "Running"


def _picture(
    world: World, spec: VirtualMachineSpec, needs: Dependencies, difference: Difference, *, phase: str
) -> Picture:
    """A machine that is on, with what waits for its restart; no live verb acts yet, so everything waits."""
    waits = (*difference.of(Effect.LIVE), *difference.of(Effect.RESTART))
    shown = [item for item in _shown(difference) if item.effect != "refused"]
    return Picture(
        phase,
        _trouble(world),
        entries(item.change for item in waits),
        "; ".join(f"{item.path}: {item.reason}" for item in shown),
        boot_trouble=boot_trouble(world, spec),
        not_applied=_not_applied(len(shown), needs),
    )


def _told(world: World, picture: Picture) -> tuple[Note, ...]:
    """What happened to a machine that is on, told once."""
    before, notes = world.object, []
    if picture.phase == "Running" and before.phase in ("", "Pending", "Starting", "Stopped"):
        notes.append(Note("Started", "the machine runs"))
    if picture.waiting and picture.waiting != before.status.get("restartAwaitingChanges"):
        notes.append(Note("RestartAwaitingChanges", f"{picture.not_applied}: {picture.waiting_text}"))
    return tuple(notes)


def _off(
    world: World, spec: VirtualMachineSpec, needs: Dependencies, wanted: Hardware, difference: Difference, asked: Wish
) -> Plan:
    """A machine that is to stay off: its definition is kept as wanted, so that nobody's `virsh start` boots an
    old one.
    """
    status = machine_status.status(
        world,
        spec,
        needs,
        Picture("Stopped", Condition("Running", "False", "NotRunning", f"the machine is off: {asked.why}")),
    )
    steps: tuple[Step, ...] = needs.make
    stale = world.domain is None or difference.defined_differs
    if needs.ready and stale and world.final_failure is None:
        steps = (
            *steps,
            *((needs.write_seed,) if needs.write_seed else ()),
            *_network_steps(world, needs, ""),
            Define(wanted),
        )
    notes = (Note("Stopped", f"the machine is off: {asked.why}"),) if world.object.phase in ON else ()
    return Plan(status, steps, notes, waits_for=needs.waits_for, changes=_shown(difference), settled=not steps)


def _start(
    world: World, spec: VirtualMachineSpec, needs: Dependencies, wanted: Hardware, asked: Wish, mac: str
) -> Plan:
    """A machine that is to be on and is not."""
    if not needs.ready:
        plan = _resting(world, spec, needs, "Pending", None)
        return replace(plan, steps=needs.make, settled=not needs.make)
    objections = _objections(world, needs, wanted)
    if objections:
        return _resting(world, spec, needs, "Starting", Condition("Running", "False", NO_ROOM, "; ".join(objections)))
    if world.failure is not None and (world.final_failure is not None or world.pause_until is not None):
        failed = Condition("Running", "False", world.failure.reason, world.failure.told)
        plan = _resting(world, spec, needs, "Pending", failed)
        return replace(plan, look_again=world.pause_until, settled=world.pause_until is None)
    nonce = str(uuid.uuid5(uuid.UUID(world.object.uid), f"start {world.now}"))
    status = machine_status.status(world, spec, needs, Picture("Starting"))
    seed = (needs.write_seed,) if needs.write_seed else ()
    steps = (
        *needs.make,
        *_network_steps(world, needs, mac),
        *seed,
        Define(replace(wanted, nonce=nonce)),
        Start(world.object.uid, nonce, asked.why),
    )
    went_off = f"the machine went off; it is started again ({asked.why})"
    notes = (Note("Stopped", went_off),) if world.object.phase in ("Running", "Pause", "Stopping") else ()
    return Plan(status, steps, notes, settled=False)


def _objections(world: World, needs: Dependencies, wanted: Hardware) -> list[str]:
    """Why this host cannot take the machine now."""
    node = next(world.objects.of_kind("Node"), None)
    found = placement.objections(world.object, node, needs.klass, world.objects)
    cpu = admission.millicores(wanted.cpu.cores, wanted.cpu.shares_percent)
    found += admission.objections(world.object, cpu, wanted.memory_kib * 1024, world.objects, world.host, world.place)
    return found


def _network_steps(world: World, needs: Dependencies, mac: str) -> tuple[Step, ...]:
    network = network_of(needs.address, world.networks)
    if network is None:
        return ()
    ensure = EnsureNetwork(network)
    if not mac:
        return (ensure,)
    return (ensure, ReserveAddress(network, mac, needs.address, world.object.key.name, world.object.key.namespace))


def _resting(
    world: World, spec: VirtualMachineSpec, needs: Dependencies, phase: str, trouble: Condition | None
) -> Plan:
    status = machine_status.status(world, spec, needs, Picture(phase, trouble))
    return Plan(status, waits_for=needs.waits_for)


def _leave(world: World, spec: VirtualMachineSpec, needs: Dependencies, mac: str) -> Plan:
    """Off first, then out of libvirt, then its address; its disks stay."""
    item, domain = world.object, world.domain
    status = machine_status.status(world, spec, needs, Picture("Terminating"))
    if domain is not None and domain.power != "off":
        forced = item.annotations.get(FORCE) == "true"
        step: Step = (
            CutPower(item.uid, "it is deleted by force")
            if forced
            else ShutDown(item.uid, spec.termination_grace_period_seconds, "it is deleted")
        )
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


def _trouble(world: World) -> Condition | None:
    """Why a machine that libvirt keeps does not run."""
    domain = world.domain
    if domain is not None and domain.power == "crashed":
        message = f"the guest crashed ({domain.power_reason}); its power is cut"
        return Condition("Running", "False", "GuestNotRunning", message)
    if domain is not None and domain.power == "paused" and domain.power_reason == "ioerror":
        return Condition(
            "Running",
            "False",
            "InternalVirtualMachineError",
            "QEMU paused the machine because the host could not read or write its disk: most likely the file system "
            "with its storage class is full; free space there and run `virsh resume` on it: nothing was lost",
        )
    return None


def boot_trouble(world: World, spec: VirtualMachineSpec) -> str:
    """What the firmware said when it found nothing to boot; empty while the guest lives or nothing was said."""
    if world.guest is not None:
        return ""
    said = world.firmware_said
    if not said:
        return ""
    if "Access Denied" in said or "Security Violation" in said:
        return (
            f"the firmware ({spec.bootloader}) refused the boot loader because it is not signed by a key that "
            f"it trusts; "
            "use a signed guest, or bootloader EFI"
        )
    first = spec.block_device_refs[0]
    return (
        f"the firmware ({spec.bootloader}) found no bootable device; the first of blockDeviceRefs is "
        f"{first.kind} {first.name}: "
        "check that it holds an installed system for this bootloader"
    )


def _not_applied(count: int, needs: Dependencies) -> str:
    if not count:
        return ""
    caution = (
        ""
        if needs.ready
        else "; a restart now would leave the machine Pending, because not everything it depends on is ready"
    )
    return f"{count} change{'s wait' if count > 1 else ' waits'} for a restart{caution}"


def _shown(difference: Difference) -> tuple[Waiting, ...]:
    """The differences as `diff` prints them."""
    effects: dict[Effect, Any] = {
        Effect.LIVE: "at next restart",
        Effect.RESTART: "at next restart",
        Effect.REFUSE: "refused",
    }
    found = []
    for effect, words in effects.items():
        judged = difference.of(effect)
        reasons = {dotted(item.change.path): item.verdict.reason for item in judged}
        for entry in entries(item.change for item in judged):
            path = str(entry["path"])
            reason = reasons.get(path) or "; ".join(
                sorted({text for place, text in reasons.items() if place.startswith(path)})
            )
            found.append(Waiting(path, entry.get("currentValue"), entry.get("desiredValue"), words, reason))
    return tuple(found)
