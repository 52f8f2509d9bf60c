"""The rules of VirtualMachineOperation: whether it suits the machine; then the machine is asked, and what came of it is
told.

An operation is carried out once. It is InProgress in the store before the machine is asked, so a crash in between
neither loses nor fails it; what is asked lies with the machine (`requests`), which answers, so none repeats it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from vmctl.planning import requests
from vmctl.planning.applicability import Act, Objection, Reason, phase_objection, policy_objection, supersedes
from vmctl.planning.conditions import Condition, find, holds
from vmctl.planning.graph import references
from vmctl.planning.plans import Note, Plan
from vmctl.planning.requests import KEPT_S, OVER, Request
from vmctl.planning.steps import ForgetObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmctl.planning.objects import Object, Objects
    from vmctl.planning.observed import Domain
    from vmctl.planning.plans import World
    from vmctl.planning.requests import Verb
    from vmctl.planning.steps import Step
    from vmctl.resources.keys import Key

ASKED, FINISHED = "asked", "finished"  # notes: of which machine what was asked, and when it was over (epoch seconds)
KEPT = 10  # of one machine
DONE = {"Start": "started", "Stop": "stopped", "Restart": "restarted"}


def plan(world: World) -> Plan:
    """Where an operation is, and what comes next for it."""
    item = world.object
    if item.terminating:
        return _leave(world)
    if item.phase in OVER:
        return _kept(world)
    return _under_way(world) if item.phase == "InProgress" else _new(world)


def act_of(item: Object) -> Act:
    """What an operation is to do."""
    spec = item.document["spec"]
    return Act(spec["type"], bool(spec.get("force")))


def act_left(item: Object, domain: Domain | None) -> Act:
    """What an operation has still to do: of a restart whose machine is off by now, only the start. So it gives way to a
    plain stop: there is no guest any more that the two could be at odds about.
    """
    act = act_of(item)
    is_off = domain is None or domain.power == "off"
    return Act("Start") if act.type == "Restart" and is_off and holds(item.status, "SignalSent") else act


def rivals(key: Key | None, machine: Key, objects: Objects) -> Iterator[Object]:
    """The operations of a machine that are not over, without the one of that name."""
    for other in _operations(machine, objects):
        if other.key != key and other.phase not in OVER:
            yield other


def _operations(machine: Key, objects: Objects) -> Iterator[Object]:
    found = (objects.get(key) for key in objects.mentioning(machine) if key.kind == "VirtualMachineOperation")
    yield from filter(None, found)


def _machine_key(item: Object) -> Key:
    return next(references(item.key, item.document))


def _age(item: Object) -> tuple[float, str]:
    """What operations are in order by, oldest first."""
    return item.created, item.key.name


def _new(world: World) -> Plan:
    """One that nobody has judged yet: it begins, waits for who was there before it, or fails at once."""
    item, act = world.object, act_of(world.object)
    machine = world.objects.get(_machine_key(item))
    if machine is None:
        return _failed(world, Objection(Reason.NOT_FOUND, f"there is no machine {_machine_key(item).name}"))
    if act.type not in DONE:
        return _failed(world, Objection(Reason.FAILED, _elsewhere(act)))
    if not machine.phase and not machine.terminating:
        return _waits(world, machine, "the machine has not been looked at yet")
    for other in rivals(item.key, machine.key, world.objects):
        if (
            other.phase == "InProgress"
            and not other.terminating
            and not supersedes(act, act_left(other, world.machine_domain))
        ):
            return _failed(world, Objection(Reason.NOT_NOW, in_the_way(other)))
        if other.phase != "InProgress" and _age(other) < _age(item):
            return _waits(world, machine, f"{other.key.name} comes first")
    found = policy_objection(act, machine) or phase_objection(act, machine, world.machine_domain)
    return _failed(world, found) if found is not None else _asking(world, machine, _request(world, act))


def in_the_way(other: Object) -> str:
    """Why nothing else is done to a machine, naming what is being done to it and what ends that."""
    name = other.key.name
    return f"{name} ({other.document['spec']['type']}) is not over yet; `vmctl delete vmop/{name}` takes it back"


def _elsewhere(act: Act) -> str:
    if act.type in ("Evict", "Migrate"):
        return "there is no other host to move the machine to: vmctl looks after one"
    return f"{act.type} is not carried out by this version"


def _request(world: World, act: Act) -> Request:
    """What is asked of the machine: as it was first asked, if it was."""
    known = world.notes.get(ASKED)
    if known and world.object.phase == "InProgress":
        return requests.read(json.loads(known)["request"])
    domain = world.machine_domain
    nonce = domain.running.nonce if domain is not None and domain.running is not None else ""
    why = f"VirtualMachineOperation {world.object.key.name}"
    return Request(cast("Verb", act.type), why, world.object.uid, act.force, nonce)


def _asking(world: World, machine: Object, request: Request) -> Plan:
    """Ask the machine, unless what is superseded has not let go of it yet."""
    held = [other for other in rivals(world.object.key, machine.key, world.objects) if other.phase == "InProgress"]
    steps: tuple[Step, ...] = () if held else (request.asked_of(machine),)
    message = (
        f"waits until {held[0].key.name} has given way" if held else f"the machine is asked to {request.verb.lower()}"
    )
    begun = _told(world, "InProgress", Note("VirtualMachineOperationInProgress", message))
    remember = {ASKED: json.dumps({"machine": machine.uid, "request": asdict(request)}, sort_keys=True)}
    return Plan(
        _status(world, "InProgress", _doing(request.verb, message)),
        steps,
        begun,
        waits_for=(machine.key,),
        settled=False,
        remember=remember if begun else {},
    )


def _under_way(world: World) -> Plan:
    """One that has begun: asked for, answered, or to be taken back because it may not be done any more."""
    item, act = world.object, act_of(world.object)
    machine = world.objects.get(_machine_key(item))
    noted = json.loads(world.notes.get(ASKED) or "{}")
    if machine is None or noted.get("machine", machine.uid) != machine.uid:
        return _failed(world, Objection(Reason.NOT_FOUND, f"the machine {_machine_key(item).name} was deleted"))
    last = requests.requested(world.machine_notes)
    mine = last if last is not None and last.operation == item.uid else None
    if mine is not None and mine.done:
        return _answered(world, mine)
    replaced = mine is None and holds(item.status, "SignalSent")  # who asks waits for us, unless the machine is done
    if replaced:
        return _completed(world, act)
    found = _hindrance(world, machine, act)
    if found is None:
        return _asking(world, machine, _request(world, act)) if mine is None else _waiting(world, machine, mine)
    if mine is None:
        return _ended(world, found)
    plan = _waiting(world, machine, mine)
    if requests.fulfilled(mine, world.machine_domain) and not machine.terminating:
        return plan  # too late for that: the machine answers
    return Plan(plan.status, (mine.taken_back(machine, found.reason, found.message),), settled=False)


def _hindrance(world: World, machine: Object, act: Act) -> Objection | None:
    """Why something that has begun is not to go on."""
    if machine.terminating:
        return phase_objection(act, machine, None)
    domain = world.machine_domain
    left = act_left(world.object, domain)
    for other in rivals(world.object.key, machine.key, world.objects):
        if other.phase == "InProgress" and not other.terminating and supersedes(act_left(other, domain), left):
            return Objection(Reason.SUPERSEDED, f"superseded by {other.key.name} ({act_of(other).type})")
    return policy_objection(act, machine)


def _waiting(world: World, machine: Object, request: Request) -> Plan:
    """The machine knows, and has not answered."""
    message = f"the machine is asked to {request.verb.lower()}"
    trouble = find(machine.status, "Running")
    if trouble is not None and trouble["status"] == "False" and machine.phase in ("Pending", "Starting"):
        message += f"; it is {machine.phase}"
    status = _status(world, "InProgress", _doing(request.verb, message), signalled=True)
    return Plan(status, waits_for=(machine.key,), settled=False)


def _answered(world: World, request: Request) -> Plan:
    if request.withdrawn is None:
        return _completed(world, Act(request.verb))
    return _ended(world, Objection(request.withdrawn, request.because))


def _ended(world: World, found: Objection) -> Plan:
    if found.reason is not Reason.SUPERSEDED:
        return _failed(world, found)
    reason = found.reason.value
    return _over(
        world, "Superseded", Condition("Completed", "True", reason, found.message), Note(reason, found.message)
    )


def _completed(world: World, act: Act) -> Plan:
    words = f"the machine was {DONE[act.type]}"
    condition = Condition("Completed", "True", "OperationCompleted", words)
    return _over(world, "Completed", condition, Note("VirtualMachineOperationSucceeded", words), signalled=True)


def _failed(world: World, found: Objection) -> Plan:
    condition = Condition("Completed", "False", found.reason.value, found.message)
    return _over(world, "Failed", condition, Note("VirtualMachineOperationFailed", found.message, warning=True))


def _over(world: World, phase: str, condition: Condition, note: Note, *, signalled: bool = False) -> Plan:
    """The end of it, whatever happens later."""
    status = _status(world, phase, condition, signalled=signalled)
    return Plan(status, notes=(note,), look_again=world.now + KEPT_S, remember={FINISHED: str(world.now)})


def _waits(world: World, machine: Object, why: str) -> Plan:
    status = _status(world, "Pending", Condition("Completed", "False", Reason.NOT_NOW.value, why))
    return Plan(status, waits_for=(machine.key,), settled=False)


def _doing(verb: str, message: str) -> Condition:
    return Condition("Completed", "False", f"{verb}InProgress", message)


def _told(world: World, phase: str, note: Note) -> tuple[Note, ...]:
    return (note,) if world.object.phase != phase else ()


def _status(world: World, phase: str, completed: Condition, *, signalled: bool = False) -> Mapping[str, Any]:
    conditions = [completed]
    if signalled or holds(world.object.status, "SignalSent"):
        conditions.append(Condition("SignalSent", "True", "SignalSentSuccess", "the machine knows what is asked of it"))
    return world.status(phase, conditions)


def _kept(world: World) -> Plan:
    """One that is over stays as it is, for a day and as long as it is among the newest of its machine."""
    item = world.object
    until = float(world.notes.get(FINISHED, item.created)) + KEPT_S
    others = (other for other in _operations(_machine_key(item), world.objects) if other.phase in OVER)
    newer = sum(_age(other) > _age(item) for other in others)
    if world.now >= until or newer >= KEPT:
        return Plan(item.status, (ForgetObject(item.key, item.uid),), settled=False)
    return Plan(item.status, look_again=until)


def _leave(world: World) -> Plan:
    """What it asked for and has not got is asked for no more."""
    item = world.object
    machine = world.objects.get(_machine_key(item))
    request = requests.active(world.machine_notes)
    steps: tuple[Step, ...] = (ForgetObject(item.key, item.uid),)
    if machine is not None and request is not None and request.operation == item.uid:
        steps = (request.taken_back(machine, Reason.FAILED, f"{request.why} was deleted"), *steps)
    return Plan({**item.status, "phase": "Terminating"}, steps, settled=False)
