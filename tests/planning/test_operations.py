"""The tables of operations: what suits a machine in which phase and under which policy, and who gives way to whom."""

from __future__ import annotations

from itertools import product

import pytest

from vmctl.planning.applicability import (
    BY_PHASE,
    BY_POLICY,
    Act,
    phase_now,
    phase_objection,
    policy_objection,
    supersedes,
)
from vmctl.planning.objects import Object
from vmctl.planning.observed import Domain, Power
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
    assert found is None or (found.reason == BY_PHASE and found.message)


@pytest.mark.parametrize(("policy", "act"), list(product(ALLOWS, ("Start", "Stop", "Restart"))))
def test_policies(policy: str, act: str) -> None:
    found = policy_objection(Act(act), machine("Running", policy))
    assert (found is None) == (act in ALLOWS[policy])
    assert found is None or (found.reason == BY_POLICY and policy in found.message)


@pytest.mark.parametrize(("earlier", "later"), list(product(GIVES_WAY, GIVES_WAY)))
def test_who_gives_way(earlier: Act, later: Act) -> None:
    assert supersedes(later, earlier) == (later in GIVES_WAY[earlier])


@pytest.mark.parametrize(("earlier", "later"), list(product(GIVES_WAY, GIVES_WAY)))
def test_nobody_gives_way_to_whom_he_sends_away(earlier: Act, later: Act) -> None:
    assert not (supersedes(later, earlier) and supersedes(earlier, later))


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
