"""Whether a machine is to be on: the whole table of policies, states and what was recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest

from vmctl.planning.hardware import Cpu, Hardware
from vmctl.planning.observed import Domain, Power
from vmctl.planning.power import NOTE, Cause, Intent, PowerNote, Wish, news, noted, wish
from vmctl.planning.requests import Request

INSTANCE = Hardware("uid", "web", "default", "web", "here", Cpu(1, 1), 1 << 18, nonce="n")
HERE, BEFORE = "this boot", "the boot before"
ON_STATES: tuple[Power, ...] = ("running", "paused", "stopping", "crashed")
REASONS = ("shutdown", "unknown", "crashed", "failed", "destroyed", "panicked", "terminated")
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
    assert wish("AlwaysOnUnlessStoppedManually", domain(power), note(intent, BEFORE), HERE) == Wish("it runs")


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
    (domain("off", "terminated"), "on", HERE, True, "terminated"),
    *((domain("off", why), intent, boot, False, "it was stopped")
      for why, intent, boot in product(REASONS, ("stopping", "off"), (HERE, BEFORE))),
    (None, "off", HERE, False, "it was stopped"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "intent", "boot", "on", "why"), UNLESS)
def test_unless_stopped(seen: Domain | None, intent: Intent | None, boot: str, on: bool, why: str) -> None:
    found = wish("AlwaysOnUnlessStoppedManually", seen, note(intent, boot), HERE)
    assert found.on == on
    assert why in found.why


UNLESS_NAME = "AlwaysOnUnlessStoppedManually"
OFF_INTENTS: tuple[Intent, ...] = ("stopping", "off")
# Whether a machine that is off for a cause is started under AlwaysOnUnlessStoppedManually, and under Manual.
AFTER = {
    Cause.ALWAYS_OFF: (True, False),
    Cause.RESTART: (True, True),
    Cause.MANUAL: (False, False),
    Cause.STOP: (False, False),
    Cause.GUEST: (False, False),
    Cause.DELETION: (False, False),
}


@pytest.mark.parametrize("intent", OFF_INTENTS)
@pytest.mark.parametrize("cause", Cause)
def test_what_follows_goes_by_the_cause_whatever_the_words(intent: Intent, cause: Cause) -> None:
    seen = domain("off")
    for why in ("", "runPolicy AlwaysOff", "VirtualMachineOperation x", "anything: else"):
        off = PowerNote(intent, HERE, why=why, cause=cause)
        assert tuple(wish(policy, seen, off, HERE).on for policy in (UNLESS_NAME, "Manual")) == AFTER[cause]
        assert wish("AlwaysOn", seen, off, HERE).on
        assert wish("AlwaysOff", seen, off, HERE).off is Cause.ALWAYS_OFF


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        ("runPolicy AlwaysOff", Cause.ALWAYS_OFF),
        ("runPolicy Manual", Cause.MANUAL),
        ("restartApprovalMode Automatic", Cause.RESTART),
        ("its guest rebooted, and changes waited for that", Cause.RESTART),
        ("VirtualMachineOperation stop-web", Cause.STOP),
        ("it is deleted", Cause.STOP),
        ("", Cause.STOP),
    ],
)
@pytest.mark.parametrize("intent", OFF_INTENTS)
def test_a_note_without_a_cause_is_understood_by_its_words(intent: Intent, why: str, cause: Cause) -> None:
    """As versions wrote it that had words only."""
    old = noted({NOTE: json.dumps({"boot": HERE, "crashes": 0, "intent": intent, "nonce": "", "since": 0, "why": why})})
    assert old is not None
    assert old.meant_off is cause


@pytest.mark.parametrize("intent", ["starting", "on"])
def test_what_is_meant_to_be_on_is_off_for_no_cause(intent: Intent) -> None:
    assert PowerNote(intent, HERE, why="runPolicy AlwaysOff").meant_off is None


STOP, START = Request("Stop", "asked"), Request("Start", "asked")
RESTART = Request("Restart", "asked", nonce="n")
CAUSES = [
    # policy, what libvirt has, request, why it is to be off
    (UNLESS_NAME, domain("running"), STOP, Cause.STOP),
    (UNLESS_NAME, domain("off"), STOP, Cause.STOP),
    (UNLESS_NAME, domain("off"), START, None),
    (UNLESS_NAME, domain("off"), RESTART, None),
    ("AlwaysOff", domain("running"), STOP, Cause.ALWAYS_OFF),
    ("AlwaysOff", domain("running"), START, Cause.ALWAYS_OFF),
    ("Manual", domain("off"), None, Cause.MANUAL),
    (UNLESS_NAME, domain("off", "shutdown"), None, Cause.GUEST),
]


@pytest.mark.parametrize(("policy", "seen", "request_", "cause"), CAUSES)
def test_the_cause_of_a_wish(policy: str, seen: Domain, request_: Request | None, cause: Cause | None) -> None:
    assert wish(policy, seen, note("on"), HERE, request_).off is cause


def test_a_restart_switches_off_first_and_says_that_it_is_one() -> None:
    up = replace(domain("running"), running=INSTANCE)
    assert wish(UNLESS_NAME, up, note("on"), HERE, RESTART).off is Cause.RESTART
    assert wish(UNLESS_NAME, up, note("on"), HERE, replace(RESTART, nonce="other")).on


def test_a_record_comes_back_as_it_was_written() -> None:
    for written in (
        PowerNote("stopping", HERE, "nonce", "why", cause=Cause.STOP),
        PowerNote("on", HERE, "nonce", "why", 2, 1.5, terminated=True),
    ):
        assert noted({NOTE: written.text()}) == written
    assert noted({}) is None


ENDED = domain("off", "terminated")
NEWS = [
    # what libvirt has, what was noted, what is noted then
    (ENDED, PowerNote("on", HERE, "n", since=3.0), PowerNote("on", HERE, "n", since=3.0, terminated=True)),
    (ENDED, PowerNote("on", HERE, "n", terminated=True), None),
    (ENDED, PowerNote("on", BEFORE, "n"), None),
    (ENDED, PowerNote("stopping", HERE, cause=Cause.STOP), None),
    (ENDED, PowerNote("off", HERE, cause=Cause.STOP), None),
    (ENDED, None, None),
    (None, PowerNote("on", HERE), None),
    (domain("off", "shutdown"), PowerNote("on", HERE), None),
    (domain("running"), PowerNote("on", HERE), None),
    (domain("running"), PowerNote("on", HERE, terminated=True), PowerNote("on", HERE, since=9.0)),
    (domain("running"), PowerNote("on", BEFORE), PowerNote("on", HERE, since=9.0)),
    (domain("paused"), PowerNote("off", HERE), PowerNote("on", HERE, since=9.0)),
    (domain("running"), None, PowerNote("on", HERE, since=9.0)),
]


@pytest.mark.parametrize(("seen", "before", "after"), NEWS)
def test_what_happened_unnoticed_is_noted(
    seen: Domain | None, before: PowerNote | None, after: PowerNote | None
) -> None:
    assert news(seen, before, HERE, 9.0) == after


def test_what_was_heard_outlives_who_heard_it() -> None:
    """libvirt itself says "shutdown" of it for ever, as of a guest that powered off."""
    found = wish(UNLESS_NAME, domain("off", "shutdown"), PowerNote("on", HERE, terminated=True), HERE)
    assert (found.on, found.died) == (True, True)
    assert "terminated" in found.why
