"""Ringing, and being woken."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from vmctl.errors import StateError
from vmctl.state.bell import FILE, Bell, ring

if TYPE_CHECKING:
    from pathlib import Path


def test_a_ring_wakes_once_however_often_it_rang(tmp_path: Path) -> None:
    with Bell(tmp_path) as bell:
        assert not bell.wait(0)
        for _ in range(5):
            ring(tmp_path)
        assert bell.wait(30)
        assert not bell.wait(0)


def test_another_process_rings(tmp_path: Path) -> None:
    code = "import sys, pathlib; from vmctl.state.bell import ring; ring(pathlib.Path(sys.argv[1]))"
    with Bell(tmp_path) as bell:
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        assert bell.wait(30)


def test_a_sleeper_without_a_time_limit_is_woken(tmp_path: Path) -> None:
    with Bell(tmp_path) as bell:
        woken: list[bool] = []
        sleeper = threading.Thread(target=lambda: woken.append(bell.wait(None)))
        sleeper.start()
        ring(tmp_path)
        sleeper.join(30)
        assert woken == [True]


def test_nobody_at_home_is_no_error(tmp_path: Path) -> None:
    ring(tmp_path / "absent")
    ring(tmp_path)
    Bell(tmp_path).close()
    ring(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_more_rings_than_fit_do_not_block(tmp_path: Path) -> None:
    with Bell(tmp_path) as bell:
        for _ in range(5000):
            ring(tmp_path)
        assert bell.wait(0)


def test_a_bell_takes_the_place_of_a_dead_ones(tmp_path: Path) -> None:
    dead = Bell(tmp_path)
    dead._socket.close()
    ring(tmp_path)
    with Bell(tmp_path) as bell:
        ring(tmp_path)
        assert bell.wait(30)


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    with Bell(deep) as bell:
        ring(deep)
        assert bell.wait(30)
        assert stat.S_IMODE((deep / FILE).stat().st_mode) == 0o600


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be used: No such file"):
        Bell(tmp_path / "absent")
