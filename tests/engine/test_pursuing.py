"""A verb that waits: it works while there is something to do, and keeps nobody from working while there is not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.engine import manifests as texts
from tests.engine.daemons import Daemon
from tests.engine.verbs import HurryingClock, Verb, apply, hold
from tests.waiting import until
from vmctl.engine import applying, pursuing
from vmctl.engine.following import WATCH_S
from vmctl.engine.pursuing import Result
from vmctl.engine.session import Session, taken
from vmctl.errors import Rejected
from vmctl.planning import goals
from vmctl.resources.keys import Key
from vmctl.state.lock import EngineLock, holder
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.engine.lab import Lab
    from tests.memory_world import Machine

DISK = texts.blank("root")
MACHINE = texts.machine("web", "root")
VM = Key("VirtualMachine", "default", "web")
ROOT = Key("VirtualDisk", "default", "root")
A_DAY_S = 86400.0


def wait(session: Session) -> Result:
    """What `vmctl wait` does for what a machine's spec asks."""
    return session.converge([VM], goal=[VM], timeout_s=A_DAY_S)


def begin(lab: Lab) -> None:
    """A machine that waits for a disk that nobody has declared."""
    lab.apply(MACHINE)
    assert lab.phase("VirtualMachine", "web") == "Pending"


def write(lab: Lab, text: str) -> None:
    """Store manifests as one who dies before the first pass."""
    manifests = lab.load(text)
    with hold(lab) as session:
        applying.store_all(session.store, session.ledger, manifests)


def refuse(lab: Lab) -> Machine:
    """A machine that is to be started and cannot be, whatever is tried."""
    lab.apply(DISK + texts.machine("web", "root", extra="runPolicy: AlwaysOff"))
    machine = lab.world.machines[lab.uid("web")]
    machine.refuses_start = Rejected("no such device")
    write(lab, DISK + MACHINE)
    return machine


def stay(ended: list[bool], *goal: Key) -> Callable[[Session], Result]:
    """A verb that goes on until it is told to end."""
    return lambda session: session.converge([VM], goal=goal, until=lambda: bool(ended))


@contextmanager
def at_work(lab: Lab) -> Iterator[EngineLock]:
    """Somebody who has the lock and answers nobody."""
    with EngineLock(lab.state) as lock:
        until(lambda: taken(lock, "vmctl apply -f elsewhere"), "the lock can be had")
        yield lock


def phase(session: Session) -> str:
    session.ledger.refresh()
    item = session.ledger.get(VM)
    return item.phase if item is not None else "gone"


def tries(session: Session) -> int:
    """How often the machine's start was refused."""
    return sum(event.count for event in session.store.events(VM) if event.message.startswith("no such device"))


def rests(lab: Lab) -> bool:
    return holder(lab.state) is None


def test_who_only_waits_leaves_the_host_to_others(lab: Lab) -> None:
    begin(lab)
    with Verb(lab, wait) as waiting, hold(lab) as session:
        until(lambda: rests(lab) and session.take(), "the lock can be had")
        assert apply(session, lab, DISK) == Result()
        assert phase(session) == "Running"
        assert waiting.result() == Result(), "what others did is seen"


def test_a_daemon_begins_beside_one_who_waits_and_does_the_work(lab: Lab) -> None:
    begin(lab)
    with Verb(lab, wait) as waiting, Daemon(lab) as daemon:
        daemon.save("web.yaml", DISK + MACHINE)
        assert waiting.result() == Result()
        assert not rests(lab), "the lock is the daemon's to its end"
        assert daemon.phase("VirtualMachine", "web") == "Running"


def test_the_wait_goes_on_by_itself_when_the_daemon_is_killed(lab: Lab) -> None:
    begin(lab)
    with Verb(lab, wait) as waiting, Store.open(lab.state, clock=HurryingClock().now) as store:
        with at_work(lab) as killed:
            until(store.requests, "who waits asks who is at work")
            write(lab, DISK)
            assert waiting.runs
            killed.release()
        assert waiting.result() == Result()
        assert store.requests() == []
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_two_who_wait_beside_each_other_both_end(lab: Lab) -> None:
    begin(lab)
    other = Key("VirtualMachine", "default", "other")
    lab.apply(MACHINE + texts.machine("other", "second"))
    with Verb(lab, wait) as first:
        with Verb(lab, lambda session: session.converge([other], goal=[other], timeout_s=A_DAY_S)) as second:
            write(lab, texts.blank("second"))
            assert second.result() == Result()
            assert first.runs
        write(lab, DISK)
        assert first.result() == Result()
    assert {lab.phase("VirtualMachine", name) for name in ("web", "other")} == {"Running"}


def test_what_is_left_to_one_who_has_just_let_go_is_done(lab: Lab) -> None:
    begin(lab)
    with Verb(lab, wait) as waiting, hold(lab) as session:
        applying.store_all(session.store, session.ledger, lab.load(texts.blank("more")))
        until(lambda: rests(lab), "the wait lets go")
        session.hand_over([Key("VirtualDisk", "default", "more")])
        until(lambda: not session.store.requests(), "what was left is taken up")
        assert waiting.runs
        write(lab, DISK)
        assert waiting.result() == Result()
    assert lab.phase("VirtualDisk", "more") == "Ready"


def test_a_failure_for_good_is_not_tried_again_at_every_turn(lab: Lab) -> None:
    refuse(lab)
    ended: list[bool] = []
    clock = HurryingClock()
    with hold(lab) as session, Verb(lab, stay(ended, VM)) as first, Verb(lab, stay(ended, VM)) as second:
        while clock.skipped_s < 60:
            clock.sleep(pursuing.TICK_S)
        ended.append(True)
        assert first.result().unreached == second.result().unreached
        assert 1 <= tries(session) <= 2, "each of them once"


def test_nor_after_another_has_been_at_work(lab: Lab) -> None:
    refuse(lab)
    ended: list[bool] = []
    with hold(lab) as session, Verb(lab, stay(ended, VM)) as waiting:
        until(lambda: tries(session) == 1 and rests(lab), "the first try")
        with at_work(lab):
            until(lambda: session.store.requests(), "who waits asks who is at work")
            assert not session.store.requests()[0].anew, "and does not have it tried again either"
        until(lambda: not session.store.requests() and rests(lab), "the wait has had a turn")
        ended.append(True)
        assert "no such device" in waiting.result().failed[VM]
        assert tries(session) == 1


def test_a_failure_that_others_have_mended_counts_no_more(lab: Lab) -> None:
    machine = refuse(lab)
    ended: list[bool] = []
    with hold(lab) as session, Verb(lab, stay(ended)) as waiting:
        until(lambda: tries(session) == 1 and rests(lab), "the first try")
        with hold(lab) as mending:
            until(mending.take, "the lock can be had")
            machine.refuses_start = None
            assert mending.converge([VM]) == Result()
            mending.driver.destroy(machine.uid)
        until(lambda: phase(session) == "Running" and machine.power == "running", "who waits starts it again")
        ended.append(True)
        assert waiting.result() == Result()


def test_what_one_who_died_had_begun_is_taken_up(lab: Lab, image_url: str) -> None:
    rest = texts.disk("root", "os") + MACHINE
    lab.apply(texts.image("os", f"{image_url}.missing") + rest)
    assert lab.phase("VirtualImage", "os") == "Failed"
    ended: list[bool] = []
    with hold(lab) as session, Verb(lab, stay(ended)) as waiting:
        until(lambda: rests(lab), "the wait lets go")
        write(lab, texts.image("os", image_url) + rest)
        until(lambda: phase(session) == "Running", "the machine runs")
        ended.append(True)
        assert waiting.result() == Result()


def test_waiting_is_no_busy_loop(lab: Lab) -> None:
    begin(lab)
    turns: list[float] = []
    with lab.session() as session:
        session.let_go = lambda: turns.append(session.clock.elapsed())
        result = session.converge([VM], goal=[VM], timeout_s=3600.0)
        assert result.timed_out
        assert "root" in result.unreached[VM]
        assert 3600 / (WATCH_S + pursuing.TICK_S) - 2 < len(turns) <= 3600 / WATCH_S


def test_an_interrupted_wait_leaves_nothing_behind(lab: Lab) -> None:
    begin(lab)
    with hold(lab) as session:
        clock = session.clock

        class Interrupted(HurryingClock):
            def sleep(self, seconds: float) -> None:
                assert rests(lab)
                raise KeyboardInterrupt

        session.clock = Interrupted()
        with pytest.raises(KeyboardInterrupt):
            wait(session)
        session.clock = clock
        assert session.store.requests() == []
        assert session.store.unfinished() == []
        assert rests(lab)
    lab.apply(DISK + MACHINE)
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_an_apply_that_does_not_wait_keeps_the_lock_to_its_end(lab: Lab) -> None:
    with hold(lab) as session:
        gone: list[bool] = []
        session.let_go = lambda: gone.append(True)
        apply(session, lab, DISK + MACHINE)
        assert gone == []
        assert not rests(lab)
        item = session.ledger.get(VM)
        assert item is not None
        assert not goals.missing(item)
