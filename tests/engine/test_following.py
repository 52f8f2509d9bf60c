"""Two verbs on one host: one has the engine's lock, the other asks it, rings, and follows; or takes over."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.engine import manifests as texts
from tests.engine.verbs import Engine, apply, hold
from tests.waiting import PATIENCE_S, until
from vmctl.engine import applying, deleting
from vmctl.engine.pursuing import Result
from vmctl.errors import Rejected
from vmctl.resources.keys import Key
from vmctl.state.lock import EngineLock
from vmctl.state.store import Store

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from vmctl.engine.session import Session
    from vmctl.planning.objects import Object

WEB = texts.blank("root") + texts.machine("web", "root")
VM = Key("VirtualMachine", "default", "web")
DISK = Key("VirtualDisk", "default", "root")


def test_what_is_written_while_an_engine_works_is_done_by_it(lab: Lab) -> None:
    phases: list[str] = []

    def seen(before: Object, after: Object) -> None:
        if before.phase != after.phase:
            phases.append(f"{after.key.kind} {after.phase}")

    with Engine(lab), hold(lab) as session:
        result = apply(session, lab, WEB, seen=seen)
        assert not session.take()
        assert result == Result()
        item = session.ledger.get(VM)
        assert item is not None
        assert item.phase == "Running"
    assert "VirtualMachine Running" in phases


def test_both_end_alike(lab: Lab) -> None:
    lab.apply(texts.blank("other"))
    with Engine(lab):
        with hold(lab) as session:
            missing = apply(session, lab, texts.machine("web", "root"), goal=[VM], timeout_s=0.3)
        with hold(lab) as session:
            assert apply(session, lab, WEB, goal=[VM], timeout_s=PATIENCE_S) == Result()
    assert missing.timed_out
    assert "root" in missing.unreached[VM]


def test_what_fails_there_is_told_here(lab: Lab) -> None:
    lab.apply(texts.blank("root") + texts.machine("web", "root", extra="runPolicy: AlwaysOff"))
    machine = lab.world.machines[lab.uid("web")]
    machine.refuses_start = Rejected("no such device")
    with Engine(lab), hold(lab) as session:
        result = apply(session, lab, WEB)
        assert "no such device" in result.failed[VM]
        machine.refuses_start = None
        assert session.converge([VM]) == Result(), "a later verb tries again what had failed for good"


def test_a_deletion_is_followed_to_its_end(lab: Lab) -> None:
    lab.apply(WEB)
    with Engine(lab), hold(lab) as session:
        deleting.delete(session.store, session.ledger, [VM], by_name=True)
        session.converge([VM], until=lambda: session.ledger.get(VM) is None, timeout_s=PATIENCE_S)
        assert session.ledger.get(VM) is None
        assert not session.take()


def test_who_follows_takes_over_when_the_engine_ends(lab: Lab) -> None:
    with hold(lab) as session:
        with Engine(lab) as engine:
            manifests = lab.load(texts.machine("web", "root"))
            applying.store_all(session.store, session.ledger, manifests)
            waiting = threading.Thread(
                target=lambda: session.converge([VM], goal=[VM], until=lambda: session.take() and engine.ended.is_set())
            )
            waiting.start()
        waiting.join(PATIENCE_S)
        assert session.take()
        assert session.store.requests() == []


def test_an_engine_that_dies_leaves_the_one_who_follows_to_take_over(lab: Lab) -> None:
    with Store.open(lab.state, clock=time.time), EngineLock(lab.state) as dead:
        dead.acquire("an engine that answers nobody")
        with hold(lab) as session:
            done: list[Result] = []
            waiting = threading.Thread(target=lambda: done.append(apply(session, lab, WEB)))
            waiting.start()
            until(lambda: bool(session.store.requests()))
            dead.release()
            waiting.join(PATIENCE_S)
    assert done == [Result()]
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_a_request_that_got_lost_is_made_again(lab: Lab) -> None:
    with Store.open(lab.state, clock=time.time) as store, EngineLock(lab.state) as lock:
        lock.acquire("an engine that loses requests")
        with hold(lab) as session:
            waiting = threading.Thread(target=lambda: session.converge([VM], timeout_s=PATIENCE_S, goal=[DISK]))
            waiting.start()
            until(lambda: bool(store.requests()))
            first = store.requests()[0].id
            store.withdraw(first)
            until(lambda: any(request.id != first for request in store.requests()))
            session.cancel()
            waiting.join(PATIENCE_S)
        assert store.requests() == [], "who gives up takes its request back"


def test_an_interrupted_verb_leaves_nothing_behind(lab: Lab) -> None:
    def interrupt(before: Object, after: Object) -> None:
        raise KeyboardInterrupt

    with Engine(lab), hold(lab) as session:
        with pytest.raises(KeyboardInterrupt):
            apply(session, lab, WEB, seen=interrupt)
        assert session.store.requests() == []
        until(lambda: lab_phase(session) == "Running")


def lab_phase(session: Session) -> str:
    session.ledger.refresh()
    item = session.ledger.get(VM)
    return item.phase if item is not None else ""
