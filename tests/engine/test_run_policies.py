"""The table of run policies: what becomes of a machine under each of them, whatever happens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.daemons import Daemon
from tests.engine.operating import VM, ask, events, nonce, power, web
from tests.waiting import until
from vmctl.errors import Busy
from vmctl.planning import power as rules
from vmctl.planning.observed import Guest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.lab import Lab

ON, UNLESS, MANUAL, OFF = "AlwaysOn", "AlwaysOnUnlessStoppedManually", "Manual", "AlwaysOff"
RUNS = (ON, UNLESS, MANUAL)


def running(lab: Lab, policy: str) -> None:
    """A machine that runs under a policy; under Manual somebody started it."""
    lab.apply(web(policy))
    if policy == MANUAL:
        ask(lab, "prepared", "Start")
    assert power(lab) == "running"


def guest_off(lab: Lab) -> None:
    lab.world.power_off_inside(lab.uid("web"))


def killed(lab: Lab) -> None:
    lab.world.crash(lab.uid("web"))


def destroyed(lab: Lab) -> None:
    uid = lab.uid("web")
    with lab.session() as session:
        session.driver.destroy(uid)


def terminated_unheard(lab: Lab) -> None:
    """Somebody on the host ends its QEMU by a signal, and nobody listens: libvirt shows a guest's power-off."""
    lab.world.terminate(lab.uid("web"))


def panicked(lab: Lab) -> None:
    lab.world._stop(lab.uid("web"), "panicked")


def host_restarted(lab: Lab) -> None:
    lab.world.restart_host()
    lab.boot = "boot-2"


def host_shut_down(lab: Lab) -> None:
    """As libvirt-guests does it: guests are shut down first, and somebody looks meanwhile."""
    guest_off(lab)
    lab.resume()
    host_restarted(lab)


def undefined(lab: Lab) -> None:
    del lab.world.machines[lab.uid("web")]


HAPPENINGS: list[tuple[Callable[[Lab], None], tuple[bool, bool, bool]]] = [
    # what happens, and whether it runs afterwards under AlwaysOn, AlwaysOnUnlessStoppedManually, Manual
    (guest_off, (True, False, False)),
    (killed, (True, True, False)),
    (panicked, (True, True, False)),
    (terminated_unheard, (True, False, False)),
    (destroyed, (True, True, False)),
    (undefined, (True, True, False)),
    (host_restarted, (True, True, False)),
    (host_shut_down, (True, True, False)),
]


@pytest.mark.parametrize(
    ("happens", "policy", "runs"),
    [(happens, policy, runs) for happens, row in HAPPENINGS for policy, runs in zip(RUNS, row, strict=True)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_happens_to_a_machine_that_runs(lab: Lab, happens: Callable[[Lab], None], policy: str, runs: bool) -> None:
    running(lab, policy)
    happens(lab)
    lab.resume()
    assert (lab.phase("VirtualMachine", "web") == "Running") == runs
    lab.resume()
    assert (lab.phase("VirtualMachine", "web") == "Running") == runs, "and it stays so"


@pytest.mark.parametrize(("policy", "runs"), [(ON, True), (UNLESS, True), (MANUAL, False)])
def test_who_listens_knows_that_somebody_ended_qemu(lab: Lab, policy: str, runs: bool) -> None:
    """What was heard is noted: the one that comes next knows it too, should this one die before the start."""
    running(lab, policy)
    found = lab.world.machines[lab.uid("web")]
    with lab.session() as session:
        session.driver.watch(lambda _uid: None)
        found.refuses_start = Busy("the host is busy", remedy="wait")
        lab.world.terminate(found.uid)
        session.passes(lambda _before, _after: None).run(VM)
        found.refuses_start = None
    lab.resume()
    assert (lab.phase("VirtualMachine", "web") == "Running") == runs
    guest_off(lab)
    lab.resume()
    assert lab.phase("VirtualMachine", "web") == ("Running" if policy == ON else "Stopped"), "it was told of one end"


def test_a_daemon_starts_again_whose_qemu_somebody_ended_and_says_why(lab: Lab) -> None:
    running(lab, UNLESS)
    with Daemon(lab) as daemon:
        uid, before = daemon.lab_uid("web"), len(daemon.told("VirtualMachine", "web", "Started"))
        lab.world.terminate(uid)
        until(lambda: len(daemon.told("VirtualMachine", "web", "Started")) > before, "its next start")
        assert "terminated" in daemon.told("VirtualMachine", "web", "Started")[-1].message
        lab.world.power_off_inside(uid)
        daemon.becomes("VirtualMachine", "web", "Stopped")


@pytest.mark.parametrize(("policy", "runs"), [(ON, True), (UNLESS, True), (MANUAL, False), (OFF, False)])
def test_a_new_machine(lab: Lab, policy: str, runs: bool) -> None:
    lab.apply(web(policy))
    assert lab.phase("VirtualMachine", "web") == ("Running" if runs else "Stopped")


@pytest.mark.parametrize("policy", RUNS)
def test_a_guest_that_reboots_is_left_alone(lab: Lab, policy: str) -> None:
    running(lab, policy)
    first = nonce(lab)
    lab.world.boot_finished(lab.uid("web"), Guest({}))
    lab.resume()
    lab.world.reboot_inside(lab.uid("web"))
    lab.resume()
    assert (power(lab), nonce(lab)) == ("running", first)


@pytest.mark.parametrize("policy", [*RUNS, OFF])
def test_a_new_connection_to_libvirt_moves_nothing(lab: Lab, policy: str) -> None:
    lab.apply(web(policy))
    before = lab.portrait(), nonce(lab)
    lab.resume()
    assert (lab.portrait(), nonce(lab)) == before


SWITCHES = [
    # before, how it is then, after, whether it runs
    (ON, "on", UNLESS, True), (ON, "on", MANUAL, True), (ON, "on", OFF, False),
    (UNLESS, "on", ON, True), (UNLESS, "on", MANUAL, True), (UNLESS, "on", OFF, False),
    (UNLESS, "stopped", ON, True), (UNLESS, "stopped", MANUAL, False), (UNLESS, "stopped", OFF, False),
    (UNLESS, "guest off", ON, True), (UNLESS, "guest off", MANUAL, False),
    (MANUAL, "on", ON, True), (MANUAL, "on", UNLESS, True), (MANUAL, "on", OFF, False),
    (MANUAL, "never on", ON, True), (MANUAL, "never on", UNLESS, False), (MANUAL, "never on", OFF, False),
    (MANUAL, "stopped", UNLESS, False), (MANUAL, "guest off", UNLESS, False),
    (OFF, "never on", ON, True), (OFF, "never on", UNLESS, True), (OFF, "never on", MANUAL, False),
]  # fmt: skip


@pytest.mark.parametrize(("before", "state", "after", "runs"), SWITCHES)
def test_a_policy_is_switched(lab: Lab, before: str, state: str, after: str, runs: bool) -> None:
    if state == "never on":
        lab.apply(web(before))
    else:
        running(lab, before)
    if state == "stopped":
        ask(lab, "stopped", "Stop")
    elif state == "guest off":
        guest_off(lab)
        lab.resume()
    lab.apply(web(after))
    assert (lab.phase("VirtualMachine", "web") == "Running") == runs
    lab.resume()
    assert (lab.phase("VirtualMachine", "web") == "Running") == runs


@pytest.mark.parametrize("how", ["on", "stopped", "guest off"])
@pytest.mark.parametrize(("after", "runs"), [(ON, True), (UNLESS, True), (MANUAL, False)])
def test_what_was_always_off_is_not_what_somebody_stopped(lab: Lab, how: str, after: str, runs: bool) -> None:
    """The policy that was there last counts, not what was before it."""
    running(lab, UNLESS)
    if how == "stopped":
        ask(lab, "stopped", "Stop")
    elif how == "guest off":
        guest_off(lab)
        lab.resume()
    lab.apply(web(OFF))
    assert lab.phase("VirtualMachine", "web") == "Stopped"
    lab.apply(web(after))
    assert (lab.phase("VirtualMachine", "web") == "Running") == runs


def test_what_was_manual_meanwhile_stays_off(lab: Lab) -> None:
    running(lab, UNLESS)
    for policy in (OFF, MANUAL, UNLESS):
        lab.apply(web(policy))
        assert lab.phase("VirtualMachine", "web") == "Stopped"


def test_a_crash_loop_backs_off_where_everybody_sees_it(lab: Lab) -> None:
    running(lab, UNLESS)
    killed(lab)
    lab.resume()
    assert lab.phase("VirtualMachine", "web") == "Running", "once is no loop"
    pauses = []
    for _ in range(7):
        killed(lab)
        lab.resume()
        assert lab.phase("VirtualMachine", "web") == "Pending"
        item = lab.get("VirtualMachine", "web")
        assert item is not None
        (said,) = [entry["message"] for entry in item.status["conditions"] if entry["type"] == "Running"]
        assert "in a row" in said
        assert "started again at" in said
        began = lab.clock.time
        while lab.phase("VirtualMachine", "web") != "Running":
            lab.clock.time += 5
            lab.resume()
        pauses.append(lab.clock.time - began)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (rules.FIRST_PAUSE_S, rules.LONGEST_PAUSE_S)
    lab.clock.time += rules.CALM_S
    killed(lab)
    lab.resume()
    assert lab.phase("VirtualMachine", "web") == "Running", "after a calm time the count begins anew"


def test_each_transition_says_whose_it_was(lab: Lab) -> None:
    running(lab, UNLESS)
    ask(lab, "off", "Stop")
    ask(lab, "on", "Start")
    guest_off(lab)
    lab.resume()
    lab.apply(web(ON))
    lab.apply(web(OFF))
    told = [line for line in events(lab) if line.startswith(("Started", "Stopped", "Restarted"))]
    assert told == [
        "Started: the machine runs (first start)",
        "Stopped: the machine is off: VirtualMachineOperation off",
        "Started: the machine runs (VirtualMachineOperation on)",
        "Stopped: the machine is off: its guest switched it off",
        "Started: the machine runs (runPolicy AlwaysOn)",
        "Stopped: the machine is off: runPolicy AlwaysOff",
    ]


def test_disks_are_not_touched_by_any_of_it(lab: Lab) -> None:
    running(lab, UNLESS)
    before = sorted(path.name for path in (lab.state / "storage").rglob("*.qcow2"))
    for policy in (OFF, ON, MANUAL):
        lab.apply(web(policy))
    assert sorted(path.name for path in (lab.state / "storage").rglob("*.qcow2")) == before


def test_a_clock_that_is_set_back_does_not_keep_a_machine_off(lab: Lab) -> None:
    running(lab, ON)
    for _ in range(3):
        killed(lab)
        lab.resume()
    assert power(lab) == "off", "it crashes in a loop, and its next start is put off"
    lab.clock.time -= 30 * 86400.0
    lab.clock.sleep(rules.LONGEST_PAUSE_S)
    lab.resume()
    assert power(lab) == "running"


def test_a_clock_that_is_set_back_does_not_put_off_the_next_try(lab: Lab) -> None:
    running(lab, ON)
    killed(lab)
    found = lab.world.machines[lab.uid("web")]
    found.refuses_start = Busy("the host is busy", remedy="wait")
    with lab.session() as session:
        passes = session.passes(lambda _before, _after: None)
        assert passes.run(VM).failure is not None
        found.refuses_start = None
        lab.clock.time -= 30 * 86400.0
        assert passes.run(VM).failure is None
    assert power(lab) == "running"
