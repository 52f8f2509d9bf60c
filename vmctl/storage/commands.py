"""The one place that runs external programs: qemu-img, with argument lists, and a few of util-linux.

Nothing here passes through a shell. Files of unknown origin are read under limits of CPU time, memory and file size;
such a child dies with the thread that waits for it, so that a killed vmctl leaves no converter behind.
"""

from __future__ import annotations

import pwd
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmctl.errors import Bug, StorageError, TransferInterrupted
from vmctl.storage.space import disk_full

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

GIB = 1 << 30
PACKAGES = {
    "qemu-img": "qemu-utils (Debian, Ubuntu) or qemu-img (Fedora)",
    "prlimit": "util-linux",
    "setpriv": "util-linux",
}
OUT_OF_SPACE = re.compile(r"No space left on device|Disk quota exceeded|File too large")
OUT_OF_MEMORY = re.compile(r"Cannot allocate memory|[Ff]ailed to allocate|Could not allocate|out of memory")
POLL_S = 0.1
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may use: seconds of CPU and wall clock, bytes of address space and of any file it writes."""

    cpu_s: int
    wall_s: float
    memory_bytes: int
    file_bytes: int | None = None


OURS = Limits(cpu_s=600, wall_s=600, memory_bytes=4 * GIB)
INSPECTION = Limits(cpu_s=30, wall_s=60, memory_bytes=1 * GIB)


def never() -> bool:
    """The answer of a caller that does not cancel."""
    return False


def require(program: str) -> str:
    """Find a program; raises StorageError that names the package when it is not installed."""
    found = shutil.which(program, path=ENVIRONMENT["PATH"])
    if found is None:
        package = PACKAGES.get(program, program)
        raise StorageError(f"{program} is not installed", remedy=f"install the package {package}")
    return found


def qemu_img(arguments: Sequence[str], directory: Path) -> str:
    """Run qemu-img inside a directory on files of our own and return what it prints; StorageError has its words."""
    return _run([require("qemu-img"), *arguments], directory, OURS, never)


def qemu_img_confined(
    arguments: Sequence[str], directory: Path, limits: Limits, cancelled: Callable[[], bool] = never
) -> str:
    """Run qemu-img on what came from outside, under limits; it ends when `cancelled` says so, or with us."""
    if cancelled():
        raise stopped("the conversion")
    fence = [
        require("setpriv"), "--pdeathsig", "KILL", "--no-new-privs", "--",
        require("prlimit"), f"--cpu={limits.cpu_s}:{limits.cpu_s + 5}", f"--as={limits.memory_bytes}", "--core=0",
    ]  # fmt: skip
    if limits.file_bytes is not None:
        fence.append(f"--fsize={max(0, limits.file_bytes)}")
    return _run([*fence, "--", require("qemu-img"), *arguments], directory, limits, cancelled)


def allowed(user: str, test: str, path: Path) -> bool:
    """Ask the kernel, as that user, whether `test` (`-x`, `-r`, `-w`) holds for the path; needs root.

    Mode bits alone would not tell: access lists and groups count too.
    """
    group = pwd.getpwnam(user).pw_gid
    who = [f"--reuid={user}", f"--regid={group}", "--init-groups"]
    command = [require("setpriv"), *who, "--", "test", test, str(path)]
    asked = subprocess.run(
        command, env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return asked.returncode == 0


def _run(command: Sequence[str], directory: Path, limits: Limits, cancelled: Callable[[], bool]) -> str:
    try:
        child = subprocess.Popen(
            command,
            cwd=directory,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise StorageError(f"{directory} does not exist", remedy="create it, or mount what belongs there") from error
    with child:
        try:
            output, complaint = _wait(child, limits.wall_s, cancelled)
        except BaseException:
            child.kill()
            raise
    if child.returncode == 0:
        return output
    raise _failure(command, child.returncode, complaint, directory, limits)


def _wait(child: subprocess.Popen[str], wall_s: float, cancelled: Callable[[], bool]) -> tuple[str, str]:
    """Collect a child's output, looking at `cancelled` now and then; the caller kills the child when this raises."""
    deadline = time.monotonic() + wall_s
    while True:
        try:
            return child.communicate(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            if cancelled():
                raise stopped("the conversion") from None
            if time.monotonic() > deadline:
                raise StorageError(
                    f"qemu-img took longer than {wall_s:.0f} s",
                    remedy="the image may be malicious, or the disk very slow",
                ) from None


def stopped(what: str) -> StorageError:
    """Make the error for work that was cancelled; what is resumable was kept."""
    return TransferInterrupted(f"{what} was stopped", remedy="it goes on where it can the next time")


def _failure(command: Sequence[str], code: int, complaint: str, directory: Path, limits: Limits) -> StorageError:
    """Say why a command failed, in its own words where it had any."""
    words = _words(complaint)
    if OUT_OF_SPACE.search(complaint) or code == -signal.SIGXFSZ:
        return disk_full(directory, "writing a disk image")
    if code == -signal.SIGKILL:
        return TransferInterrupted(
            "qemu-img was killed", remedy="the host may have run out of memory; it is tried again"
        )
    if code == -signal.SIGXCPU:
        return StorageError(
            f"qemu-img used up its {limits.cpu_s} s of CPU time",
            remedy="the image is likely malicious; take it from another source",
        )
    if OUT_OF_MEMORY.search(complaint) or code in (-signal.SIGABRT, -signal.SIGTRAP, -signal.SIGSEGV):
        return StorageError(
            f"qemu-img failed on the image within {limits.memory_bytes // GIB} GiB of memory: {words or 'it crashed'}",
            remedy="the image is likely damaged or malicious; take it from another source",
        )
    if "rror: unknown option" in complaint or "unrecognized option" in complaint or "invalid option" in complaint:
        raise Bug(f"qemu-img does not understand {' '.join(command)}: {words}")
    return StorageError(f"qemu-img: {words or f'it ended with code {code}'}", remedy=_remedy(words))


def _words(complaint: str) -> str:
    lines = [line.removeprefix("qemu-img: ").strip() for line in complaint.splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith("Try 'qemu-img"))


def _remedy(words: str) -> str:
    if "lock" in words:
        return "a running machine or another program uses this disk; stop it first"
    if "Permission denied" in words:
        return "run vmctl as the user that owns the storage directory"
    return "check the file with `qemu-img check`; if it was imported, import it again"
