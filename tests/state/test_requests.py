"""Requests between processes, and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.resources.keys import Key
from vmctl.state.store import Store

if TYPE_CHECKING:
    from pathlib import Path

VM = Key("VirtualMachine", "default", "web")


def test_a_request_is_answered_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state", clock=lambda: 0.0) as store:
        name = store.ask([Key("Node", "", "one")], anew=True)
        (request,) = store.requests()
        assert tuple(request) == (name, (Key("Node", "", "one"),), True, True)
        store.answer(request, {VM: "why"}, [VM])
        assert store.requests() == []
        assert store.answered(name) == ({VM: "why"}, frozenset([VM]))
        assert store.answered(name) is None
        silent = store.ask([], anew=False, waits=False)
        store.answer(store.requests()[0], {}, [])
        assert store.answered(silent) is None
        store.answer(request, {}, [])
        assert store.answered(name) is None, "one that was taken back is not answered"


def test_answers_that_nobody_fetches_are_thrown_away(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state", clock=lambda: 0.0) as store:
        name = store.ask([VM], anew=False)
        store.answer(store.requests()[0], {}, [])
        store.forget_answers()
        assert store.answered(name) is None


def test_a_request_can_be_taken_back_once(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state", clock=lambda: 0.0) as store:
        name = store.ask([VM], anew=False)
        assert store.asks(name)
        assert store.withdraw(name)
        assert not store.withdraw(name)
        assert not store.asks(name)
