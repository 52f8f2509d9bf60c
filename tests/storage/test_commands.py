"""qemu-img under limits, and what its failures become."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import until
from vmctl.errors import DiskFull, StorageError, TransferInterrupted
from vmctl.storage import commands
from vmctl.storage.commands import Limits, qemu_img, qemu_img_confined

GENEROUS = Limits(cpu_s=60, wall_s=60, memory_bytes=4 << 30)
FOREVER = ["convert", "-r", "1", "-f", "raw", "-O", "raw", "data", "copy"]  # one byte a second


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "data").write_bytes(os.urandom(4 << 20))
    return tmp_path


def test_its_words_reach_the_user(work: Path) -> None:
    with pytest.raises(StorageError, match=r"^qemu-img: Could not open 'missing': .*No such file") as caught:
        qemu_img(["info", "missing"], work)
    assert caught.value.remedy


def test_its_output_is_returned(work: Path) -> None:
    assert '"virtual-size": 4194304' in qemu_img_confined(
        ["info", "--output", "json", "-f", "raw", "data"], work, GENEROUS
    )


def test_too_much_cpu_time_is_said_so(work: Path) -> None:
    endless = ["bench", "-f", "raw", "-c", "2000000000", "data"]
    with pytest.raises(StorageError, match="used up its 1 s of CPU time"):
        qemu_img_confined(endless, work, Limits(cpu_s=1, wall_s=60, memory_bytes=4 << 30))


def test_a_killed_child_is_worth_another_try(work: Path) -> None:
    """What the kernel does when memory runs out."""

    def kill() -> bool:
        for process in running(work):
            os.kill(process, signal.SIGKILL)
        return False

    with pytest.raises(TransferInterrupted, match="was killed"):
        qemu_img_confined(FOREVER, work, GENEROUS, kill)


def test_too_little_memory_is_said_so(work: Path) -> None:
    greedy = ["bench", "-f", "raw", "-s", "1900M", "-d", "1", "data"]
    with pytest.raises(StorageError, match="failed on the image within 1 GiB"):
        qemu_img_confined(greedy, work, Limits(cpu_s=60, wall_s=60, memory_bytes=1 << 30))


def test_a_file_that_grows_too_large_counts_as_a_full_disk(work: Path) -> None:
    limits = Limits(cpu_s=60, wall_s=60, memory_bytes=4 << 30, file_bytes=1 << 20)
    with pytest.raises(DiskFull, match="no space left in"):
        qemu_img_confined(["convert", "-f", "raw", "-O", "qcow2", "data", "copy"], work, limits)


def test_too_long_is_said_so_and_the_child_is_gone(work: Path) -> None:
    with pytest.raises(StorageError, match="longer than 0 s"):
        qemu_img_confined(FOREVER, work, Limits(cpu_s=60, wall_s=0.2, memory_bytes=4 << 30))
    assert not running(work)


def test_cancelling_ends_the_child(work: Path) -> None:
    answers = iter([False, False, True])
    with pytest.raises(TransferInterrupted, match="stopped"):
        qemu_img_confined(FOREVER, work, GENEROUS, lambda: next(answers))
    assert not running(work)


def test_an_exception_while_waiting_ends_the_child(work: Path) -> None:
    answers = iter([False])

    def interrupt() -> bool:
        if next(answers, None) is None:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        qemu_img_confined(FOREVER, work, GENEROUS, interrupt)
    assert not running(work)


def test_the_child_dies_with_us(work: Path) -> None:
    """A converter that outlived a killed vmctl would write beside its successor."""
    program = f"""
from pathlib import Path
from vmctl.storage.commands import Limits, qemu_img_confined
qemu_img_confined({FOREVER!r}, Path({str(work)!r}), Limits(60, 60, 4 << 30))
"""
    with subprocess.Popen([sys.executable, "-c", program]) as parent:
        until(lambda: bool(running(work)))
        parent.kill()
    until(lambda: not running(work))


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    monkeypatch.setitem(commands.ENVIRONMENT, "PATH", str(work))
    with pytest.raises(StorageError, match="qemu-img is not installed") as caught:
        qemu_img(["info", "data"], work)
    assert "qemu-utils" in caught.value.remedy


def test_a_missing_directory_is_said_so(work: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        qemu_img(["info", "data"], work / "gone")


def running(work: Path) -> list[int]:
    """The qemu-img processes that work in that directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == "qemu-img" and (process / "cwd").readlink() == work:
                found.append(int(process.name))
        except OSError:  # it ended meanwhile
            continue
    return found
