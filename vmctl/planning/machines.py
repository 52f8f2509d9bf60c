"""The rules of VirtualMachine: what it needs, whether it is to be on, what differs from what runs, and what comes
next.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from vmctl.planning import (
    admission,
    attachments,
    drift,
    machine_end,
    machine_memory,
    machine_rest,
    machine_status,
    machine_trouble,
    placement,
    power,
    requests,
)
from vmctl.planning.applicability import Reason
from vmctl.planning.conditions import Condition, timestamp
from vmctl.planning.dependencies import Dependencies, gather
from vmctl.planning.machine_changes import Difference, compare, live_steps
from vmctl.planning.machine_hardware import Parts, domain_name, hardware
from vmctl.planning.machine_status import Picture
from vmctl.planning.module_settings import feature_gates
from vmctl.planning.networks import network_of
from vmctl.planning.phases import ON, UP
from vmctl.planning.plans import Note, Plan, World
from vmctl.planning.power import Wish, noted, wish
from vmctl.planning.requests import Request, goes_off_first
from vmctl.planning.room import room
from vmctl.planning.steps import (
    CutPower,
    Define,
    EnsureNetwork,
    Remember,
    ReserveAddress,
    Start,
    Step,
)
from vmctl.planning.usage import NO_ROOM
from vmctl.resources.annotations import DETECT_ONLY
from vmctl.resources.virtualmachine import VirtualMachine

if TYPE_CHECKING:
    from vmctl.planning.hardware import Hardware
    from vmctl.planning.observed import Domain
    from vmctl.resources.machine_fields import VirtualMachineSpec

LOOK_FOR_AGENT_S = 2.0


def plan(world: World, mac: str) -> Plan:
    """Where a machine is, and what comes next for it; `mac` is the address its main interface has or would have."""
    spec = world.object.typed(VirtualMachine).spec
    needs = gather(world, spec)
    if world.object.terminating:
        return machine_end.leave(world, spec, needs, mac)
    wanted = _hardware(world, spec, needs, mac)
    difference = compare(world, spec, wanted)
    if world.foreign:
        message = (
            f"libvirt already has a domain named {domain_name(world.object.key)} that is not this machine (uuid "
            f"{world.foreign}); "
            "it is left alone: rename the machine, or remove that domain"
        )
        taken = Condition("Running", "False", "InternalVirtualMachineError", message)
        return _resting(world, spec, needs, "Pending", taken, difference)
    request = requests.active(world.notes)
    if request is not None and _is_pointless(request, world, difference):
        back = request.taken_back(world.object, Reason.NOTHING_WAITS, "the changes that it was for were taken back")
        return Plan(world.object.status, (back,), settled=False)
    asked = wish(spec.run_policy, world.domain, noted(world.notes), world.place.boot_id, request)
    difference = replace(difference, drift=replace(difference.drift, power=drift.switched_off(world, asked)))
    if world.domain is not None and world.domain.power != "off":
        found = _on(world, spec, needs, wanted, difference, asked)
    elif not asked.on or drift.left_as_found(world, difference.drift, asked):
        found = _off(world, spec, needs, wanted, difference, asked)
    else:
        found = _start(world, spec, needs, wanted, difference, asked, mac)
    return machine_memory.remembering(world, found, difference)


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
        room=room(spec, world.host, feature_gates(world.objects)),
        plugged=needs.plugged,
    )
    return hardware(world.object, spec, parts, world.place)


def _on(
    world: World, spec: VirtualMachineSpec, needs: Dependencies, wanted: Hardware, difference: Difference, asked: Wish
) -> Plan:
    """A machine that is on: do what can be done live, keep its definition as wanted, tell what waits, switch it off if
    that is asked.
    """
    domain = world.domain
    if domain is None:
        raise AssertionError("called for a machine that is on")
    request = requests.active(world.notes)
    no_room = "; ".join(_objections(world, needs, wanted)) if difference.judged else ""
    if _goes_off(world, asked):
        difference = replace(difference, at_start=True)
    if no_room:
        difference = difference.held_back(no_room)
    obstacle, why = machine_trouble.obstacle(world, needs, no_room)
    picture = _picture(world, spec, difference, phase=_phase(world, domain, asked), why=why)
    status = machine_status.status(world, spec, needs, picture)
    steps = _work(world, spec, needs, wanted, difference, asked)
    notes = _told(world, picture)
    if request is not None and requests.fulfilled(request, domain):
        steps = (*steps, request.answered(world.object, left=bool(picture.waiting)))
        if request.verb == "Restart":
            notes = (*notes, Note("Restarted", f"the machine was restarted ({request.why})"))
    elif picture.waiting and world.failure is None and asked.on:
        steps = (*steps, *(() if no_room else _automatic(world, spec, needs, difference)))
    agent = world.now + LOOK_FOR_AGENT_S if world.guest is None and picture.phase == "Running" else None
    return Plan(
        status,
        steps,
        notes,
        look_again=min(filter(None, (agent, world.pause_until)), default=None),
        waits_for=needs.waits_for,
        changes=machine_trouble.cautioned(difference.shown(), no_room),
        settled=not (steps or no_room),
        remember={machine_trouble.NOTE: obstacle.value} if picture.waiting else {},
    )


def _work(
    world: World, spec: VirtualMachineSpec, needs: Dependencies, wanted: Hardware, difference: Difference, asked: Wish
) -> tuple[Step, ...]:
    """What is done to a machine that is on: its definition, then its power or, where that stays, what goes live."""
    state = world.domain.power if world.domain is not None else "off"
    steps: tuple[Step, ...] = needs.make
    if state in ("running", "paused") and not _rests_after_failure(world) and _may_define(world, difference):
        seed = (needs.write_seed,) if needs.write_seed and difference.seed_differs else ()
        steps = (*steps, *seed, Define(wanted))
    if not asked.on:
        steps = (*steps, machine_end.switch_off(world, spec, asked))
    elif state == "crashed":
        steps = (*steps, CutPower(world.object.uid, "it crashed", None))
    elif state == "running":
        steps = (*steps, *live_steps(world.object.uid, difference, wanted))
        steps = (*steps, *attachments.live_steps(world, wanted, left_alone=_left_alone(world, difference)))
    return steps


def _rests_after_failure(world: World) -> bool:
    """Whether what failed is not to be tried again yet, or not at all."""
    return world.final_failure is not None or world.pause_until is not None


def _may_define(world: World, difference: Difference) -> bool:
    """Whether the definition is to be written: it is not as wanted, and what differs is not merely to be reported."""
    if not difference.defined_differs:
        return False
    return difference.drift.edited or drift.mode(world.object) != DETECT_ONLY


def _left_alone(world: World, difference: Difference) -> frozenset[str]:
    """What somebody else changed of what runs and is merely to be reported."""
    return frozenset(difference.drift.running) if drift.mode(world.object) == DETECT_ONLY else frozenset()


def _automatic(world: World, spec: VirtualMachineSpec, needs: Dependencies, difference: Difference) -> tuple[Step, ...]:
    """The restart that restartApprovalMode Automatic approves, once for the same changes: what a restart did not bring
    another one will not bring either. Never one that would leave the machine off, nor for what somebody else changed:
    what is approved is the manifest's changes.
    """
    domain = world.domain
    before = requests.requested(world.notes)
    waiting = difference.waiting_beside(frozenset(difference.drift.running))
    changes = json.dumps(waiting, sort_keys=True)
    if (
        spec.disruptions.restart_approval_mode != "Automatic"
        or not waiting
        or domain is None
        or domain.power != "running"
        or not needs.ready
        or (before is not None and (not before.done or (before.changes == changes and not before.withdrawn)))
    ):
        return ()
    nonce = domain.running.nonce if domain.running is not None else ""
    return (Request("Restart", "restartApprovalMode Automatic", nonce=nonce, changes=changes).asked_of(world.object),)


def _is_pointless(request: Request, world: World, difference: Difference) -> bool:
    """Whether a restart of ours has nothing to bring any more, and its guest was not told to power off yet."""
    note = noted(world.notes)
    untold = note is not None and note.intent == "on" and goes_off_first(request, world.domain)
    return bool(request.changes) and untold and not difference.waiting


def _goes_off(world: World, asked: Wish) -> bool:
    return not asked.on and not drift.is_held(world)


def _phase(world: World, domain: Domain, asked: Wish) -> str:
    if _goes_off(world, asked) or domain.power in ("stopping", "crashed"):
        return "Stopping"
    return "Pause" if domain.power == "paused" else "Running"


def _picture(world: World, spec: VirtualMachineSpec, difference: Difference, *, phase: str, why: str) -> Picture:
    """A machine that is on, with what waits for its restart, and `why` that would leave it off now."""
    waiting = difference.waiting
    shown = [item for item in replace(difference, at_start=False).shown() if item.effect == "at next restart"]
    return Picture(
        phase,
        machine_trouble.halted(world),
        waiting,
        "; ".join(f"{item.path}: {item.reason}" for item in shown),
        boot_trouble=machine_trouble.boot(world, spec),
        not_applied=machine_trouble.not_applied(len(waiting), why),
        drift=difference.drift.words,
    )


def _told(world: World, picture: Picture) -> tuple[Note, ...]:
    """What happened to a machine that is on, told once."""
    before, notes = world.object, []
    if picture.phase == "Running" and before.phase in ("", "Pending", "Starting", "Stopped", "Stopping"):
        note = noted(world.notes)
        why = f" ({note.why})" if note is not None and note.why else ""
        notes.append(Note("Started", f"the machine runs{why}"))
    if picture.waiting and picture.waiting != before.status.get("restartAwaitingChanges"):
        notes.append(Note("RestartAwaitingChanges", f"{picture.not_applied}: {picture.waiting_text}"))
    return tuple(notes)


def _off(
    world: World, spec: VirtualMachineSpec, needs: Dependencies, wanted: Hardware, difference: Difference, asked: Wish
) -> Plan:
    """A machine that is to stay off: its definition is kept as wanted, so that nobody's `virsh start` boots an
    old one.
    """
    why = (drift.left_as_found(world, difference.drift, asked) if asked.on else "") or asked.why
    picture = Picture(
        "Stopped",
        Condition("Running", "False", "NotRunning", f"the machine is off: {why}"),
        drift=difference.drift.words,
    )
    status = machine_status.status(world, spec, needs, picture)
    steps: tuple[Step, ...] = needs.make
    if needs.ready and _may_define(world, difference) and world.final_failure is None and not asked.on:
        steps = (
            *steps,
            *((needs.write_seed,) if needs.write_seed and difference.seed_differs else ()),
            *_network_steps(world, needs, ""),
            Define(wanted),
        )
    steps = (*steps, *machine_rest.steps(world, asked))
    notes = (Note("Stopped", f"the machine is off: {why}"),) if world.object.phase in ON else ()
    return Plan(
        status,
        steps,
        notes,
        look_again=machine_rest.due(world, asked),
        waits_for=needs.waits_for,
        changes=difference.shown(),
        settled=not steps,
    )


def _start(
    world: World,
    spec: VirtualMachineSpec,
    needs: Dependencies,
    wanted: Hardware,
    difference: Difference,
    asked: Wish,
    mac: str,
) -> Plan:
    """A machine that is to be on and is not."""
    held_up = _held_up(world, spec, needs, wanted, difference, asked)
    if held_up is not None:
        return held_up
    nonce, died = _nonce(world), power.crashes(asked, noted(world.notes), world.now)
    status = machine_status.status(world, spec, needs, Picture("Starting", drift=difference.drift.words))
    seed = (needs.write_seed,) if needs.write_seed else ()
    steps = (
        *needs.make,
        *_network_steps(world, needs, mac),
        *seed,
        *_meant_on(world, asked),
        Define(replace(wanted, nonce=nonce)),
        Start(world.object.uid, nonce, asked.why, died),
    )
    went_off = f"the machine went off; it is started again ({asked.why})"
    notes = (Note("Stopped", went_off),) if world.object.phase in UP else ()
    return Plan(status, steps, notes, changes=difference.shown(), settled=False)


def _held_up(
    world: World, spec: VirtualMachineSpec, needs: Dependencies, wanted: Hardware, difference: Difference, asked: Wish
) -> Plan | None:
    """The plan for a machine that is to be started and cannot be, or not yet; None when nothing is in its way."""
    if not needs.ready:
        plan = _resting(world, spec, needs, "Pending", None, difference)
        return replace(plan, steps=needs.make, settled=not needs.make)
    objections = _objections(world, needs, wanted)
    if objections:
        no_room = Condition("Running", "False", NO_ROOM, "; ".join(objections))
        return _resting(world, spec, needs, "Pending", no_room, difference)
    if world.failure is not None and _rests_after_failure(world):
        failed = Condition("Running", "False", world.failure.reason, world.failure.told)
        plan = _resting(world, spec, needs, "Pending", failed, difference)
        return replace(plan, look_again=world.pause_until, settled=world.pause_until is None)
    note = noted(world.notes)
    died, due = power.crashes(asked, note, world.now), power.due(asked, note, world.now)
    if due > world.now:
        again = (
            f"it went off {died} times in a row, soon after its start ({asked.why}); started again at {timestamp(due)}"
        )
        loops = Condition("Running", "False", "GuestNotRunning", again)
        plan = _resting(world, spec, needs, "Pending", loops, difference)
        return replace(plan, look_again=due, settled=False)
    return None


def _meant_on(world: World, asked: Wish) -> tuple[Remember, ...]:
    """Note that a machine is about to start before it is defined anew: were we to die between the two, nothing else
    would tell its fresh definition from a machine that its guest has switched off.
    """
    note = noted(world.notes)
    if world.domain is not None or note is None or note.intent != "on":
        return ()
    text = replace(note, intent="starting", boot=world.place.boot_id, why=asked.why).text()
    return (Remember(world.object.key, world.object.uid, power.NOTE, text, "note that the machine is to start"),)


def _nonce(world: World) -> str:
    """The name of the instance to be started: never that of the one that is restarted, whatever the clock says."""
    request = requests.active(world.notes)
    before = f" after {request.nonce}" if request is not None and request.nonce else ""
    return str(uuid.uuid5(uuid.UUID(world.object.uid), f"start {world.now}{before}"))


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
    world: World,
    spec: VirtualMachineSpec,
    needs: Dependencies,
    phase: str,
    trouble: Condition | None,
    difference: Difference,
) -> Plan:
    status = machine_status.status(world, spec, needs, Picture(phase, trouble, drift=difference.drift.words))
    return Plan(status, waits_for=needs.waits_for, changes=difference.shown())
