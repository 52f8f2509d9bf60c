"""The tables of operations: what suits a machine in which phase and under which policy, and who gives way to whom."""

from __future__ import annotations

import json
from itertools import product

import pytest

from vmctl.planning import phases
from vmctl.planning.applicability import (
    Act,
    Reason,
    phase_now,
    phase_objection,
    policy_objection,
    supersedes,
)
from vmctl.planning.objects import Object
from vmctl.planning.observed import Domain, Power
from vmctl.planning.operations import act_left
from vmctl.planning.requests import NOTE, Request, active, requested
from vmctl.resources.keys import Key

PHASES = ("Pending", "Starting", "Running", "Pause", "Degraded", "Migrating", "Stopping", "Stopped", "Terminating")
POWERS: dict[str, Power] = {"Running": "running", "Pause": "paused", "Stopping": "stopping"}
SUITS = {
    Act("Start"): {"Stopped", "Stopping"},
    Act("Stop"): {"Running", "Degraded", "Starting", "Pause", "Pending"},
    Act("Stop", force=True): {"Running", "Degraded", "Starting", "Pause", "Pending", "Stopping"},
    Act("Restart"): {"Running", "Degraded", "Starting", "Pause"},
    Act("Restart", force=True): {"Running", "Degraded", "Starting", "Pause", "Stopping"},
}
ALLOWS = {
    "AlwaysOn": {"Restart"},
    "AlwaysOnUnlessStoppedManually": {"Start", "Stop", "Restart"},
    "Manual": {"Start", "Stop", "Restart"},
    "AlwaysOff": set[str](),
}
GIVES_WAY = {  # who was there first: who takes its place
    Act("Start"): {Act("Stop"), Act("Stop", force=True)},
    Act("Stop"): {Act("Stop", force=True), Act("Restart", force=True)},
    Act("Restart"): {Act("Stop", force=True), Act("Restart", force=True)},
    Act("Stop", force=True): set[Act](),
    Act("Restart", force=True): set[Act](),
}


def machine(phase: str, policy: str = "Manual") -> Object:
    deleted = 1.0 if phase == "Terminating" else None
    return Object(
        Key("VirtualMachine", "default", "web"), "u", 1, {"spec": {"runPolicy": policy}}, {"phase": phase}, 0.0, deleted
    )


def domain(power: Power) -> Domain:
    return Domain("u", "web", power, "", None, None)


@pytest.mark.parametrize(("act", "phase"), list(product(SUITS, PHASES)))
def test_phases(act: Act, phase: str) -> None:
    up = phase in ("Running", "Pause", "Degraded", "Migrating", "Stopping")
    found = phase_objection(act, machine(phase), domain(POWERS.get(phase, "running")) if up else None)
    assert (found is None) == (phase in SUITS[act])
    assert found is None or (found.reason is Reason.BY_PHASE and found.message)


@pytest.mark.parametrize(("policy", "act"), list(product(ALLOWS, ("Start", "Stop", "Restart"))))
def test_policies(policy: str, act: str) -> None:
    found = policy_objection(Act(act), machine("Running", policy))
    assert (found is None) == (act in ALLOWS[policy])
    assert found is None or (found.reason is Reason.BY_POLICY and policy in found.message)


@pytest.mark.parametrize(("earlier", "later"), list(product(GIVES_WAY, GIVES_WAY)))
def test_who_gives_way(earlier: Act, later: Act) -> None:
    assert supersedes(later, earlier) == (later in GIVES_WAY[earlier])


@pytest.mark.parametrize(("earlier", "later"), list(product(GIVES_WAY, GIVES_WAY)))
def test_nobody_gives_way_to_whom_he_sends_away(earlier: Act, later: Act) -> None:
    assert not (supersedes(later, earlier) and supersedes(earlier, later))


@pytest.mark.parametrize("act", GIVES_WAY)
@pytest.mark.parametrize("power", [None, "off", "running", "stopping", "paused"])
@pytest.mark.parametrize("sent", [False, True])
def test_only_a_start_is_left_of_a_restart_whose_machine_is_off(act: Act, power: Power | None, sent: bool) -> None:
    spec = {"type": act.type, "virtualMachineName": "web", "force": act.force}
    conditions = [{"type": "SignalSent", "status": "True", "reason": "SignalSentSuccess"}] if sent else []
    status = {"phase": "InProgress", "conditions": conditions}
    item = Object(Key("VirtualMachineOperation", "default", "it"), "o", 1, {"spec": spec}, status)
    left = act_left(item, domain(power) if power is not None else None)
    only_start = act.type == "Restart" and sent and power in (None, "off")
    assert left == (Act("Start") if only_start else act)


@pytest.mark.parametrize(
    ("known", "power", "now"),
    [
        ("Running", "off", "Stopped"),
        ("Stopping", "off", "Stopped"),
        ("Pending", "off", "Pending"),
        ("Starting", "off", "Starting"),
        ("Stopped", "running", "Running"),
        ("Pending", "paused", "Pause"),
        ("Stopped", "crashed", "Stopping"),
        ("Stopping", "running", "Stopping"),
        ("Terminating", "running", "Terminating"),
        ("Running", None, "Stopped"),
    ],
)
def test_libvirt_knows_best(known: str, power: Power | None, now: str) -> None:
    assert phase_now(machine(known), domain(power) if power is not None else None) == now


@pytest.mark.parametrize(
    ("known", "power", "alone", "kept"),
    [
        ("Running", "running", "Running", "Running"),
        ("Stopping", "running", "Running", "Stopping"),
        ("Starting", "running", "Running", "Starting"),
        ("Running", "paused", "Pause", "Running"),
        ("Stopped", "running", "Running", "Running"),
        ("", "running", "Running", "Running"),
        ("Stopped", "crashed", "Stopping", "Stopping"),
        ("Terminating", "running", "Terminating", "Terminating"),
        ("Terminating", "off", "Terminating", "Terminating"),
        ("Running", "off", "Stopped", "Stopped"),
        ("Starting", "off", "Starting", "Starting"),
        ("Pending", "off", "Pending", "Pending"),
        ("", "off", "", ""),
    ],
)
def test_who_keeps_machines_knows_more_of_one_that_is_on(known: str, power: Power, alone: str, kept: str) -> None:
    assert (phases.shown(known, power, kept=False), phases.shown(known, power, kept=True)) == (alone, kept)


@pytest.mark.parametrize("reason", [None, *Reason])
def test_a_request_comes_back_as_it_was_noted(reason: Reason | None) -> None:
    words = "whatever: it says" if reason is not None else ""
    request = Request("Restart", "why", "uid", nonce="n", done=reason is not None, withdrawn=reason, because=words)
    assert requested({NOTE: request.text()}) == request
    assert active({NOTE: request.text()}) == (request if reason is None else None)
    assert request.is_superseded == (reason is Reason.SUPERSEDED)


@pytest.mark.parametrize(
    ("written", "reason", "words"),
    [
        ("", None, ""),
        ("Superseded: superseded by later (Stop)", Reason.SUPERSEDED, "superseded by later (Stop)"),
        ("NothingWaits: the changes: taken back", Reason.NOTHING_WAITS, "the changes: taken back"),
    ],
)
def test_a_request_of_a_version_that_wrote_reason_and_words_in_one(
    written: str, reason: Reason | None, words: str
) -> None:
    said = {"verb": "Stop", "why": "why", "operation": "", "force": False, "nonce": "", "changes": ""}
    found = requested({NOTE: json.dumps({**said, "done": True, "withdrawn": written})})
    assert found is not None
    assert (found.withdrawn, found.because) == (reason, words)
