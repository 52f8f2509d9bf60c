"""Becoming the engine of a host: a verb at work is waited for, a daemon is not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.waiting import until
from vmctl.engine.clock import SystemClock
from vmctl.engine.keeping import at_work
from vmctl.engine.settings import Settings
from vmctl.errors import ChangeRefused
from vmctl.state.lock import EngineLock, holder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "state").mkdir()
    return Settings("test:///default", tmp_path / "state")


def test_a_verb_at_work_is_waited_for(settings: Settings) -> None:
    told: list[str] = []
    began, over = threading.Event(), threading.Event()

    def work() -> None:
        with at_work(settings, SystemClock(), told.append):
            began.set()
            over.wait()

    with EngineLock(settings.state_dir) as verb:
        verb.acquire("vmctl apply -f machines")
        daemon = threading.Thread(target=work)
        daemon.start()
        until(lambda: told)
        assert not began.is_set()
    assert began.wait(60)
    found = holder(settings.state_dir)
    over.set()
    daemon.join()
    assert "vmctl apply -f machines" in told[0]
    assert len(told) == 1
    assert found is not None
    assert found.stays
    assert holder(settings.state_dir) is None


def test_a_daemon_is_not(settings: Settings) -> None:
    with EngineLock(settings.state_dir) as other:
        other.acquire("vmctl run -f machines")
        with pytest.raises(ChangeRefused, match="is at work"), at_work(settings, SystemClock(), lambda _: None):
            pass


@pytest.mark.parametrize(
    ("command", "stays"),
    [
        ("vmctl run -f machines", True),
        ("vmctl run --once -f machines", False),
        ("vmctl apply -f run", False),
        ("vmctl", False),
    ],
)
def test_who_stays(settings: Settings, command: str, *, stays: bool) -> None:
    with EngineLock(settings.state_dir) as lock:
        lock.acquire(command)
        found = holder(settings.state_dir)
        assert found is not None
        assert found.stays is stays
