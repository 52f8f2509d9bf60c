"""Whether a machine is to be on: the whole table of policies, states and what was recorded."""

from __future__ import annotations

from itertools import product

import pytest

from vmctl.planning.observed import Domain, Power
from vmctl.planning.power import NOTE, Intent, PowerNote, Wish, noted, wish

HERE, BEFORE = "this boot", "the boot before"
ON_STATES: tuple[Power, ...] = ("running", "paused", "stopping", "crashed")
REASONS = ("shutdown", "unknown", "crashed", "failed", "destroyed", "panicked")
INTENTS: tuple[Intent | None, ...] = (None, "starting", "on", "stopping", "off")


def domain(power: Power, reason: str = "booted") -> Domain:
    return Domain("uid", "web", power, reason, None, None)


def note(intent: Intent | None, boot: str = HERE) -> PowerNote | None:
    return PowerNote(intent, boot) if intent else None


EVERYTHING = [
    *((None, intent, boot) for intent, boot in product(INTENTS, (HERE, BEFORE))),
    *((domain(power), intent, boot) for power, intent, boot in product(ON_STATES, INTENTS, (HERE, BEFORE))),
    *((domain("off", why), intent, boot) for why, intent, boot in product(REASONS, INTENTS, (HERE, BEFORE))),
]


@pytest.mark.parametrize(("seen", "intent", "boot"), EVERYTHING)
def test_two_policies_look_at_nothing(seen: Domain | None, intent: Intent | None, boot: str) -> None:
    assert wish("AlwaysOn", seen, note(intent, boot), HERE).on
    assert not wish("AlwaysOff", seen, note(intent, boot), HERE).on


@pytest.mark.parametrize(("seen", "intent", "boot"), EVERYTHING)
def test_manual_keeps_it_as_it_is_and_ends_what_was_begun(
    seen: Domain | None, intent: Intent | None, boot: str
) -> None:
    runs = seen is not None and seen.power != "off"
    assert wish("Manual", seen, note(intent, boot), HERE).on == (runs or intent == "starting")


@pytest.mark.parametrize("policy", ["AlwaysOn", "AlwaysOff", "Manual", "AlwaysOnUnlessStoppedManually"])
@pytest.mark.parametrize(("seen", "intent", "boot"), EVERYTHING)
def test_every_wish_says_why(seen: Domain | None, intent: Intent | None, boot: str, policy: str) -> None:
    assert wish(policy, seen, note(intent, boot), HERE).why


@pytest.mark.parametrize("power", ON_STATES)
@pytest.mark.parametrize("intent", INTENTS)
def test_what_runs_runs_on(power: Power, intent: Intent | None) -> None:
    assert wish("AlwaysOnUnlessStoppedManually", domain(power), note(intent, BEFORE), HERE) == Wish(True, "it runs")


UNLESS = [
    # what libvirt has, what was recorded, in which boot, whether it is started
    (None, None, HERE, True, "first start"),
    (domain("off", "unknown"), None, HERE, True, "first start"),  # defined, and the record lost
    (None, "starting", HERE, True, "interrupted"),
    (domain("off", "failed"), "starting", HERE, True, "interrupted"),
    (domain("off", "shutdown"), "starting", BEFORE, True, "interrupted"),
    (None, "on", HERE, True, "removed"),
    (domain("off", "shutdown"), "on", HERE, False, "its guest"),
    (domain("off", "unknown"), "on", HERE, False, "its guest"),
    (domain("off", "shutdown"), "on", BEFORE, True, "the host was restarted"),
    (domain("off", "unknown"), "on", BEFORE, True, "the host was restarted"),
    (domain("off", "crashed"), "on", HERE, True, "crashed"),
    (domain("off", "failed"), "on", HERE, True, "failed"),
    (domain("off", "destroyed"), "on", HERE, True, "destroyed"),
    (domain("off", "panicked"), "on", HERE, True, "panicked"),
    *((domain("off", why), intent, boot, False, "it was stopped")
      for why, intent, boot in product(REASONS, ("stopping", "off"), (HERE, BEFORE))),
    (None, "off", HERE, False, "it was stopped"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "intent", "boot", "on", "why"), UNLESS)
def test_unless_stopped(seen: Domain | None, intent: Intent | None, boot: str, on: bool, why: str) -> None:
    found = wish("AlwaysOnUnlessStoppedManually", seen, note(intent, boot), HERE)
    assert found.on == on
    assert why in found.why


@pytest.mark.parametrize("intent", ["stopping", "off"])
def test_what_its_policy_switched_off_starts_when_the_policy_changes(intent: Intent) -> None:
    """Nobody stopped it; a machine that somebody stopped, or that is Manual now, stays as it is."""
    seen, off = domain("off"), PowerNote(intent, HERE, why=wish("AlwaysOff", domain("running"), None, HERE).why)
    assert wish("AlwaysOnUnlessStoppedManually", seen, off, HERE).on
    assert wish("AlwaysOn", seen, off, HERE).on
    assert not wish("Manual", seen, off, HERE).on
    assert not wish("AlwaysOnUnlessStoppedManually", seen, PowerNote(intent, HERE, why="it is deleted"), HERE).on


def test_a_record_comes_back_as_it_was_written() -> None:
    written = PowerNote("stopping", HERE, "nonce", "why")
    assert noted({NOTE: written.text()}) == written
    assert noted({}) is None
