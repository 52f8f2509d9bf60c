"""The table of run policies: whatever happens to a machine, what is planned for it under each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.planning import stories
from tests.planning.worlds import of
from vmctl.planning.steps import CutPower, ShutDown, Start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.plans import Plan

Json = dict[str, Any]
POLICIES = ("AlwaysOn", "AlwaysOnUnlessStoppedManually", "Manual", "AlwaysOff")


def off(reason: str = "shutdown", phase: str = "Running", **note: Any) -> Json:
    """A machine that is off; what was noted of its power before, on unless said otherwise."""
    power = {"intent": "on", **note}
    return {
        "VirtualMachine web": {"phase": phase},
        "domain": {"power": "off", "reason": reason, "running": None},
        "guest": None,
        "notes": {"power": power},
    }


def asked(verb: str, world: Json | None = None, **request: Any) -> Json:
    """A machine that is asked for something by an operation, as `operations` lets it be."""
    before = world or {}
    note = {"verb": verb, "of": "it", **request}
    return {**before, "notes": {**before.get("notes", {}), "request": note}}


NEW: Json = {"VirtualMachine web": {"phase": ""}, "domain": None, "guest": None, "notes": {"power": None}}
UNREADY: Json = {"VirtualDisk root": {"phase": "Provisioning"}}
STOPPED = off(phase="Stopped", intent="off", why="VirtualMachineOperation before", cause="Stop")
BY_MANUAL = off(phase="Stopped", intent="off", why="runPolicy Manual", cause="Manual")
BY_ALWAYS_OFF = off(phase="Stopped", intent="off", why="runPolicy AlwaysOff", cause="AlwaysOff")
HALFWAY = off(phase="Stopping", intent="stopping", cause="Restart")
OVERNIGHT = {"boot": "the boot before"}
TABLE: list[tuple[str, Json, tuple[str, str, str, str]]] = [
    # what happened, the world, and what follows under AlwaysOn, AlwaysOnUnlessStoppedManually, Manual, AlwaysOff
    ("it was created", NEW, ("starts", "starts", "rests", "rests")),
    ("it was created, and its disk is not ready", NEW | UNREADY, ("waits", "waits", "rests", "rests")),
    ("its guest powered off", off("shutdown"), ("starts", "rests", "rests", "rests")),
    ("its guest panicked", off("panicked"), ("starts", "starts", "rests", "rests")),
    ("its guest panicked and is kept", {"domain": {"power": "crashed", "reason": "panicked"}, "guest": None},
     ("cut", "cut", "cut", "cut")),
    ("QEMU crashed", off("crashed"), ("starts", "starts", "rests", "rests")),
    ("its start failed", off("failed", phase="Starting", intent="starting"), ("starts", "starts", "starts", "rests")),
    ("somebody destroyed it", off("destroyed"), ("starts", "starts", "rests", "rests")),
    ("somebody ended QEMU by a signal, which run heard", off("shutdown", terminated=True),
     ("starts", "starts", "rests", "rests")),
    ("somebody destroyed and undefined it", off() | {"domain": None}, ("starts", "starts", "rests", "rests")),
    ("somebody saved it", off("saved"), ("starts", "rests", "rests", "rests")),
    ("the host was restarted", off("unknown", **OVERNIGHT), ("starts", "starts", "rests", "rests")),
    ("the host was restarted after a stop", off("unknown", "Stopped", intent="off", cause="Stop", **OVERNIGHT),
     ("starts", "rests", "rests", "rests")),
    ("the host went down during a stop", off("unknown", "Stopping", intent="stopping", cause="Stop", **OVERNIGHT),
     ("starts", "rests", "rests", "rests")),
    ("its guest rebooted", {}, ("stays on", "stays on", "stays on", "shut down")),
    ("somebody started it", STOPPED | {"domain": {"power": "running", "reason": "booted"}},
     ("stays on", "stays on", "stays on", "shut down")),
    # what is asked for by name: where the policy forbids it, an operation takes it back
    ("a start was asked for", asked("Start", STOPPED), ("starts", "starts", "starts", "rests")),
    ("a start was asked for, and its disk is not ready", asked("Start", STOPPED | UNREADY),
     ("waits", "waits", "waits", "rests")),
    ("a stop was asked for", asked("Stop"), ("shut down", "shut down", "shut down", "shut down")),
    ("a stop by force was asked for", asked("Stop", force=True), ("cut", "cut", "cut", "shut down")),
    ("a restart was asked for", asked("Restart"), ("shut down", "shut down", "shut down", "shut down")),
    ("a restart by force was asked for", asked("Restart", force=True), ("cut", "cut", "cut", "shut down")),
    ("a restart was asked for, and it is off", asked("Restart", HALFWAY), ("starts", "starts", "starts", "rests")),
    ("a restart was asked for, it is off and its disk is not ready", asked("Restart", HALFWAY | UNREADY),
     ("waits", "waits", "waits", "rests")),
    ("it was stopped", STOPPED, ("starts", "rests", "rests", "rests")),
    ("the policy was AlwaysOff", BY_ALWAYS_OFF, ("starts", "starts", "rests", "rests")),
    ("the policy was Manual", BY_MANUAL, ("starts", "rests", "rests", "rests")),
    ("the policy changes while it runs", {}, ("stays on", "stays on", "stays on", "shut down")),
]  # fmt: skip
OPERATIONS: Mapping[str, tuple[str, str, str, str]] = {
    # whether an operation is carried out under each policy
    "Start": ("Failed", "InProgress", "InProgress", "Failed"),
    "Stop": ("Failed", "InProgress", "InProgress", "Failed"),
    "Restart": ("InProgress", "InProgress", "InProgress", "Failed"),
    "Evict": ("Failed", "Failed", "Failed", "Failed"),  # there is no other host
}


def follows(plan: Plan) -> str:
    """What is done to the power of a machine, in a word."""
    for step in plan.steps:
        match step:
            case Start():
                return "starts"
            case ShutDown():
                return "shut down"
            case CutPower():
                return "cut"
            case _:
                pass
    return {"Running": "stays on", "Stopped": "rests", "Pending": "waits"}.get(plan.status["phase"], "?")


@pytest.mark.parametrize(("world", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_follows(world: Json, expected: tuple[str, ...]) -> None:
    shown = stories.over(stories.QUIET, world)
    under = [stories.over(shown, {"VirtualMachine web": {"spec": {"runPolicy": policy}}}) for policy in POLICIES]
    assert tuple(follows(of(each).plan()) for each in under) == expected


@pytest.mark.parametrize("verb", OPERATIONS)
def test_what_is_carried_out(verb: str) -> None:
    found = []
    for policy in POLICIES:
        world = {
            "plan": "VirtualMachineOperation it",
            "VirtualMachineOperation it": {"spec": {"type": verb, "virtualMachineName": "web"}},
            "VirtualMachine web": {"spec": {"runPolicy": policy}, **({"phase": "Stopped"} if verb == "Start" else {})},
            "domain": None,
            "guest": None,
            "machine": "off" if verb == "Start" else "running",
        }
        found.append(of(stories.over(stories.QUIET, world)).plan().status["phase"])
    assert tuple(found) == OPERATIONS[verb]
