"""Operations over a hypervisor in memory: what is asked happens once, in order, and says who asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.engine.lab import Death, Lab
from tests.engine.manifests import blank, machine
from tests.engine.operating import OPERATION, VM, ask, completed, events, message, nonce, operation, power, web
from tests.engine.verbs import Engine, hold
from tests.memory_driver import Died
from tests.waiting import PATIENCE_S, until
from vmctl.engine import operating
from vmctl.engine.pursuing import Result
from vmctl.planning.applicability import Act
from vmctl.planning.conditions import holds
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from pathlib import Path

    from vmctl.engine.session import Session
    from vmctl.planning.objects import Object


def test_a_restart_brings_what_waited(lab: Lab) -> None:
    lab.apply(web())
    first = nonce(lab)
    lab.apply(web(cores=2))
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    assert item.status["restartAwaitingChanges"]
    assert ask(lab, "again", "Restart").failed == {}
    assert completed(lab, "again") == ("Completed", "OperationCompleted")
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    assert "restartAwaitingChanges" not in item.status
    assert item.status["resources"]["cpu"]["cores"] == 2
    assert nonce(lab) not in ("", first)
    assert "Restarted: the machine was restarted (VirtualMachineOperation again)" in events(lab)


def test_what_is_over_is_not_done_again(lab: Lab) -> None:
    lab.apply(web())
    ask(lab, "again", "Restart")
    second = nonce(lab)
    lab.apply(operation("again", "Restart"))
    lab.resume()
    assert nonce(lab) == second
    assert completed(lab, "again") == ("Completed", "OperationCompleted")


def test_a_stop_lasts_also_when_the_host_was_restarted(lab: Lab) -> None:
    lab.apply(web())
    lab.apply(web(cores=2))
    ask(lab, "off", "Stop")
    assert completed(lab, "off") == ("Completed", "OperationCompleted")
    lab.world.restart_host()
    lab.boot = "boot-2"
    lab.apply(web(cores=3))
    assert lab.phase("VirtualMachine", "web") == "Stopped"
    assert "Stopped: the machine is off: VirtualMachineOperation off" in events(lab)
    ask(lab, "on", "Start")
    assert lab.phase("VirtualMachine", "web") == "Running"
    assert "Started: the machine runs (VirtualMachineOperation on)" in events(lab)


def test_a_start_that_lacks_a_disk_waits_for_it(lab: Lab) -> None:
    lab.apply(web("Manual"))
    lab.apply(machine("web", "root", "missing", extra="runPolicy: Manual"))
    ask(lab, "on", "Start")
    assert completed(lab, "on") == ("InProgress", "StartInProgress")
    assert lab.phase("VirtualMachine", "web") == "Pending"
    lab.apply(blank("missing"))
    assert completed(lab, "on") == ("Completed", "OperationCompleted")
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_a_restart_never_boots_what_is_not_whole(lab: Lab) -> None:
    lab.apply(web())
    lab.apply(machine("web", "root", "missing"))
    ask(lab, "again", "Restart")
    assert completed(lab, "again") == ("InProgress", "RestartInProgress")
    assert (lab.phase("VirtualMachine", "web"), power(lab)) == ("Pending", "off")
    lab.apply(blank("missing"))
    assert completed(lab, "again") == ("Completed", "OperationCompleted")
    assert len(lab.world.machines[lab.uid("web")].running.disks) == 2  # type: ignore[union-attr]  # it runs


def test_a_stop_cancels_a_start_that_waits(lab: Lab) -> None:
    lab.apply(web("Manual"))
    lab.apply(machine("web", "root", "missing", extra="runPolicy: Manual"))
    ask(lab, "on", "Start")
    ask(lab, "off", "Stop")
    assert completed(lab, "on") == ("Superseded", "Superseded")
    assert "off" in message(lab, "on")
    assert completed(lab, "off") == ("Completed", "OperationCompleted")
    lab.apply(blank("missing"))
    assert lab.phase("VirtualMachine", "web") == "Stopped"


def waiting_restart(lab: Lab, policy: str, *, force: bool = False) -> None:
    """A machine that its restart has switched off, and that lacks a disk to come up again."""
    lab.apply(web("AlwaysOn"))
    lab.apply(machine("web", "root", "missing", extra=f"runPolicy: {policy}"))
    ask(lab, "again", "Restart", force=force)
    assert completed(lab, "again") == ("InProgress", "RestartInProgress")
    assert (lab.phase("VirtualMachine", "web"), power(lab)) == ("Pending", "off")


@pytest.mark.parametrize("policy", ["AlwaysOnUnlessStoppedManually", "Manual"])
@pytest.mark.parametrize("force", [False, True])
def test_a_stop_cancels_a_restart_that_only_waits_to_come_up(lab: Lab, policy: str, force: bool) -> None:
    waiting_restart(lab, policy, force=force)
    ask(lab, "off", "Stop")
    assert completed(lab, "again") == ("Superseded", "Superseded")
    assert "superseded by off" in message(lab, "again")
    assert completed(lab, "off") == ("Completed", "OperationCompleted")
    lab.apply(blank("missing"))
    assert lab.phase("VirtualMachine", "web") == "Stopped"
    ask(lab, "on", "Start")
    assert completed(lab, "on") == ("Completed", "OperationCompleted")


@pytest.mark.parametrize("policy", ["AlwaysOnUnlessStoppedManually", "Manual"])
def test_a_waiting_restart_that_is_deleted_leaves_a_machine_that_obeys(lab: Lab, policy: str) -> None:
    waiting_restart(lab, policy)
    lab.delete(Key(OPERATION, "default", "again"))
    assert lab.get(OPERATION, "again") is None
    assert lab.phase("VirtualMachine", "web") == "Pending", "it was on, and nobody has stopped it"
    ask(lab, "off", "Stop")
    assert completed(lab, "off") == ("Completed", "OperationCompleted")
    lab.apply(blank("missing"))
    assert lab.phase("VirtualMachine", "web") == "Stopped"


def test_a_waiting_restart_that_is_deleted_lets_the_machine_start_once_it_can(lab: Lab) -> None:
    waiting_restart(lab, "AlwaysOnUnlessStoppedManually")
    lab.delete(Key(OPERATION, "default", "again"))
    lab.apply(blank("missing"))
    assert lab.phase("VirtualMachine", "web") == "Running"


@pytest.mark.parametrize(("first", "second"), [("Start", "Start"), ("Start", "Restart")])
def test_one_at_a_time(lab: Lab, first: str, second: str) -> None:
    lab.apply(web("Manual"))
    lab.apply(machine("web", "root", "missing", extra="runPolicy: Manual"))
    ask(lab, "one", first)
    result = ask(lab, "two", second)
    assert completed(lab, "two") == ("Failed", "NotReadyToBeExecuted")
    assert (
        "one (Start) is not over yet; `vmctl delete vmop/one` takes it back"
        in result.failed[Key(OPERATION, "default", "two")]
    )
    lab.apply(blank("missing"))
    assert completed(lab, "one") == ("Completed", "OperationCompleted")


def test_two_of_one_directory_go_one_after_another(lab: Lab) -> None:
    lab.apply(web("Manual"))
    lab.apply(operation("a", "Start") + operation("b", "Start"))
    assert {completed(lab, "a")[0], completed(lab, "b")[0]} == {"Completed", "Failed"}
    assert power(lab) == "running"


def test_an_operation_that_comes_with_its_machine(lab: Lab) -> None:
    lab.apply(operation("on", "Start") + web("Manual"))
    assert completed(lab, "on") == ("Completed", "OperationCompleted")
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_a_machine_that_is_not_there(lab: Lab) -> None:
    assert ask(lab, "on", "Start").failed
    assert completed(lab, "on") == ("Failed", "VirtualMachineNotFound")
    lab.apply(web("Manual"))
    assert completed(lab, "on") == ("Failed", "VirtualMachineNotFound"), "what has failed stays so"
    assert lab.phase("VirtualMachine", "web") == "Stopped"


@pytest.mark.parametrize("act", ["Evict", "Migrate"])
def test_there_is_nowhere_to_move_to(lab: Lab, act: str) -> None:
    lab.apply(web())
    ask(lab, "away", act)
    assert completed(lab, "away") == ("Failed", "OperationFailed")
    assert "no other host" in message(lab, "away")
    assert power(lab) == "running"


def test_a_deleted_machine_ends_what_was_asked_of_it(lab: Lab) -> None:
    lab.apply(web("Manual"))
    lab.apply(machine("web", "root", "missing", extra="runPolicy: Manual"))
    ask(lab, "on", "Start")
    lab.delete(VM)
    lab.resume()
    assert completed(lab, "on")[0] == "Failed"
    lab.apply(web("Manual"))
    assert lab.phase("VirtualMachine", "web") == "Stopped"


@pytest.mark.parametrize("policy", ["AlwaysOff", "AlwaysOn"])
def test_a_policy_that_forbids_it_meanwhile(lab: Lab, policy: str) -> None:
    lab.apply(web("Manual"))
    lab.apply(machine("web", "root", "missing", extra="runPolicy: Manual"))
    ask(lab, "on", "Start")
    lab.apply(machine("web", "root", "missing", extra=f"runPolicy: {policy}"))
    assert completed(lab, "on") == ("Failed", "NotApplicableForVirtualMachineRunPolicy")
    lab.apply(machine("web", "root", "missing", extra="runPolicy: Manual") + blank("missing"))
    assert lab.phase("VirtualMachine", "web") == "Stopped", "nobody asks for its start any more"


def test_a_deleted_operation_asks_for_nothing(lab: Lab) -> None:
    lab.apply(web("Manual"))
    lab.apply(machine("web", "root", "missing", extra="runPolicy: Manual"))
    ask(lab, "on", "Start")
    lab.delete(Key(OPERATION, "default", "on"))
    assert lab.get(OPERATION, "on") is None
    lab.apply(blank("missing"))
    assert lab.phase("VirtualMachine", "web") == "Stopped"


def test_a_guest_that_does_not_listen_is_cut_off_when_its_time_is_over(lab: Lab) -> None:
    lab.apply(web(more="terminationGracePeriodSeconds: 7"))
    lab.world.machines[lab.uid("web")].hears_shutdown = False
    before = lab.clock.passed
    ask(lab, "off", "Stop")
    assert 7 <= lab.clock.passed - before < 8
    assert completed(lab, "off") == ("Completed", "OperationCompleted")
    assert any(
        line.startswith("PowerCut: the guest did not power off within 7 s") and "VirtualMachineOperation off" in line
        for line in events(lab)
    )


@pytest.mark.parametrize("act", ["Stop", "Restart"])
def test_force_asks_no_guest(lab: Lab, act: str) -> None:
    lab.apply(web())
    first, machine_ = nonce(lab), lab.world.machines[lab.uid("web")]
    machine_.hears_shutdown = False
    before = lab.clock.passed
    ask(lab, "now", act, force=True)
    assert lab.clock.passed == before
    assert completed(lab, "now") == ("Completed", "OperationCompleted")
    assert power(lab) == ("off" if act == "Stop" else "running")
    assert nonce(lab) != first


def test_what_is_over_is_forgotten_after_a_day(lab: Lab) -> None:
    lab.apply(web())
    ask(lab, "again", "Restart")
    lab.clock.time += 23 * 3600
    lab.resume()
    assert lab.phase(OPERATION, "again") == "Completed"
    lab.clock.time += 2 * 3600
    lab.resume()
    assert lab.phase(OPERATION, "again") == "gone"


def test_the_ten_newest_of_a_machine_are_kept(lab: Lab) -> None:
    lab.apply(web())
    for number in range(13):
        lab.clock.time += 1
        ask(lab, f"again-{number:02}", "Restart")
    with lab.session() as session:
        kept = sorted(item.key.name for item in session.ledger.snapshot().of_kind(OPERATION))
    assert kept == [f"again-{number:02}" for number in range(3, 13)]


APPLICABLE: dict[str, dict[str, tuple[bool, ...]]] = {
    # on: Start, Stop, Restart; off: Start, Stop, Restart
    "AlwaysOn": {"on": (False, False, True)},
    "AlwaysOnUnlessStoppedManually": {"on": (False, True, True), "off": (True, False, False)},
    "Manual": {"on": (False, True, True), "off": (True, False, False)},
    "AlwaysOff": {"off": (False, False, False)},
}
ROWS = [
    (policy, state, act, allowed)
    for policy, states in APPLICABLE.items()
    for state, row in states.items()
    for act, allowed in zip(("Start", "Stop", "Restart"), row, strict=True)
]


@pytest.mark.parametrize(("policy", "state", "act", "allowed"), ROWS)
def test_each_operation_under_each_policy(lab: Lab, policy: str, state: str, act: str, allowed: bool) -> None:
    lab.apply(web())
    if state == "off":
        ask(lab, "prepared", "Stop")
    lab.apply(web(policy))
    before, first = power(lab), nonce(lab)
    ask(lab, "asked", act)
    phase, reason = completed(lab, "asked")
    assert (phase == "Completed") == allowed
    if allowed:
        assert power(lab) == ("off" if act == "Stop" else "running")
        assert nonce(lab) != first
        return
    by_policy = (policy == "AlwaysOff") or (policy == "AlwaysOn" and act != "Restart")
    wanted = "NotApplicableForVirtualMachineRunPolicy" if by_policy else "NotApplicableForVirtualMachinePhase"
    assert (phase, reason) == ("Failed", wanted)
    assert (power(lab), nonce(lab)) == (before, first)


def test_an_apply_forgets_it_too_and_does_nothing_before(lab: Lab) -> None:
    lab.apply(web())
    ask(lab, "again", "Restart")
    lab.resume()
    for hours in (1, 22):
        lab.clock.time += hours * 3600
        with lab.session() as session:
            assert session.unsettled() == []
    lab.clock.time += 3 * 3600
    lab.apply(web())
    assert lab.phase(OPERATION, "again") == "gone"
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_what_an_engine_at_work_is_asked_is_done_there(lab: Lab) -> None:
    lab.apply(web())
    first = nonce(lab)
    with Engine(lab), hold(lab) as session:
        result = wanted(session, "again", "Restart")
        assert not session.take()
        assert result == Result()
    assert completed(lab, "again") == ("Completed", "OperationCompleted")
    assert nonce(lab) not in ("", first)


def test_force_does_not_wait_for_a_shutdown_under_way(lab: Lab) -> None:
    """The guest has a quarter of an hour, and the one who asks by force has not."""
    lab.apply(web(more="terminationGracePeriodSeconds: 900"))
    lab.world.machines[lab.uid("web")].hears_shutdown = False
    with Engine(lab), hold(lab) as slow, hold(lab) as session:
        patient = threading.Thread(target=lambda: wanted(slow, "off", "Stop"))
        patient.start()
        until(lambda: (item := refreshed(session, "off")) is not None and item.phase == "InProgress")
        wanted(session, "now", "Stop", force=True)
        patient.join(PATIENCE_S)
        assert not patient.is_alive()
    assert power(lab) == "off"
    assert {completed(lab, "off")[0], completed(lab, "now")[0]} <= {"Completed", "Superseded"}
    assert completed(lab, "now")[0] == "Completed"
    assert any("without waiting for the guest" in line and "operation now" in line.lower() for line in events(lab))


def test_a_stop_that_is_deleted_cuts_no_power(lab: Lab) -> None:
    """The guest does not hear the shutdown, and who asked for it takes that back."""
    lab.apply(web(more="terminationGracePeriodSeconds: 8"))
    first = nonce(lab)
    lab.world.machines[lab.uid("web")].hears_shutdown = False
    key = Key(OPERATION, "default", "off")
    with Engine(lab), hold(lab) as slow, hold(lab) as session:
        patient = threading.Thread(target=lambda: wanted(slow, "off", "Stop"))
        patient.start()
        until(lambda: (item := refreshed(session, "off")) is not None and holds(item.status, "SignalSent"))
        session.ledger.mark_deleted(key)
        session.converge([key])
        patient.join(PATIENCE_S)
        assert not patient.is_alive()
    assert (power(lab), nonce(lab)) == ("running", first)


@pytest.mark.parametrize("policy", ["AlwaysOnUnlessStoppedManually", "Manual"])
@pytest.mark.parametrize(("act", "runs"), [("Stop", False), ("Restart", True)])
def test_a_guest_obeys_after_what_it_was_told_to_was_deleted(lab: Lab, policy: str, act: str, runs: bool) -> None:
    """Somebody wanted it stopped, so it stays off; nobody wanted that of one that was to be restarted."""
    lab.apply(web("AlwaysOn", more="terminationGracePeriodSeconds: 900"))
    lab.apply(web(policy, more="terminationGracePeriodSeconds: 900"))
    found = lab.world.machines[lab.uid("web")]
    found.hears_shutdown = False
    key = Key(OPERATION, "default", "late")
    with Engine(lab), hold(lab) as slow, hold(lab) as session:
        patient = threading.Thread(target=lambda: wanted(slow, "late", act))
        patient.start()
        until(lambda: (item := refreshed(session, "late")) is not None and holds(item.status, "SignalSent"))
        session.ledger.mark_deleted(key)
        lab.world.power_off_inside(found.uid)
        session.converge([key, VM])
        patient.join(PATIENCE_S)
        assert not patient.is_alive()
    assert lab.get(OPERATION, "late") is None
    assert (power(lab) == "running") == runs


def wanted(session: Session, name: str, act: str, *, force: bool = False) -> Result:
    """What a verb does that makes an operation on `web`."""
    stored = operating.create(session.store, VM, Act(act, force), name)
    session.ledger.learn(stored)
    return session.converge([stored.key, VM])


def refreshed(session: Session, name: str) -> Object | None:
    session.ledger.refresh()
    return session.ledger.get(Key(OPERATION, "default", name))


@pytest.mark.parametrize("act", ["Start", "Stop", "Restart"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_it_happens_exactly_once_wherever_the_engine_dies(act: str, after: bool, tmp_path: Path) -> None:
    reference = prepared(tmp_path / "reference", act)
    ask(reference, "once", act)
    count = len(reference.death.seen)
    for at in range(1, count + 1):
        lab = prepared(tmp_path / f"{act}-{at}", act)
        seen = instances(lab)
        lab.death = Death(at, after)
        with pytest.raises(Died):
            ask(lab, "once", act)
        where = f"killed {'after' if after else 'before'} {lab.death.seen[at - 1]}"
        lab.death = Death()
        lab.resume()
        lab.resume()
        assert completed(lab, "once") == ("Completed", "OperationCompleted"), where
        assert len(seen) == {"Start": 1, "Stop": 0, "Restart": 1}[act], where
        assert power(lab) == ("off" if act == "Stop" else "running"), where
        turned(lab, act)
        assert power(lab) == ("running" if act == "Stop" else "off"), f"{where}, and done again"


def prepared(directory: Path, act: str) -> Lab:
    """A host on which something is about to be asked of a machine."""
    directory.mkdir()
    lab = Lab(directory)
    lab.apply(web("Manual"))
    if act != "Start":
        ask(lab, "before", "Start")
    lab.death = Death()
    return lab


def instances(lab: Lab) -> set[str]:
    """Fills with what is started from now on."""
    found: set[str] = set()
    uid, there = lab.uid("web"), nonce(lab)

    def changed(_uid: str) -> None:
        running = lab.world.machines[uid].running
        if running is not None and running.nonce != there:
            found.add(running.nonce)

    lab.world.watchers.append(changed)
    return found


def turned(lab: Lab, act: str) -> None:
    """Somebody else does the opposite, and everything is looked at again."""
    if act == "Stop":
        uid = lab.uid("web")
        with lab.session() as session:
            session.driver.start(uid)
    else:
        lab.world.power_off_inside(lab.uid("web"))
    lab.resume()
