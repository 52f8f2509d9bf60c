"""One engine at a time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vmctl.errors import Locked, StateError
from vmctl.state.lock import FILE, EngineLock, Holder, holder

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from vmctl.state.lock import EngineLock
EngineLock(Path(sys.argv[1])).acquire("vmctl run -f lab/")
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_second_engine_is_told_who_is_at_work(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    assert holder(tmp_path) == Holder(other.pid, "vmctl run -f lab/")
    with EngineLock(tmp_path) as lock:
        with pytest.raises(Locked, match=rf"`vmctl run -f lab/` \(process {other.pid}\) is at work") as refused:
            lock.acquire("vmctl apply")
        assert refused.value.retry == "backoff"
        other.send_signal(signal.SIGKILL)
        other.communicate()
        assert holder(tmp_path) is None
        lock.acquire("vmctl apply")
        assert holder(tmp_path) == Holder(os.getpid(), "vmctl apply")
    assert holder(tmp_path) is None


def test_two_engines_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    first, second = EngineLock(tmp_path), EngineLock(tmp_path)
    first.acquire("first")
    with pytest.raises(Locked, match="`first`"):
        second.acquire("second")
    second.release()
    assert holder(tmp_path) is not None
    first.release()
    second.acquire("second")
    second.release()


def test_looking_makes_nothing_and_holds_nothing(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    lock = EngineLock(tmp_path)
    lock.acquire("vmctl apply")
    for _ in range(3):
        assert holder(tmp_path) == Holder(os.getpid(), "vmctl apply")
    lock.release()


def test_everybody_may_read_who_is_at_work(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with EngineLock(tmp_path) as lock:
            lock.acquire("vmctl apply -f машины/")
            assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o644
            assert holder(tmp_path) == Holder(os.getpid(), "vmctl apply -f машины/")
    finally:
        os.umask(before)


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path)
    lock.acquire("vmctl apply")
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    lock.release()
    assert holder(tmp_path) is None
    child.communicate()


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be used: No such file"):
        EngineLock(tmp_path / "absent").acquire("vmctl apply")
