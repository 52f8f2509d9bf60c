"""One engine per state directory: who holds the lock, and who does.

The kernel holds the lock (an open file description lock), so a killed holder leaves nothing to clean up, and looking
whether it is held never gets in the way of somebody who tries to take it, as a trial `flock` would.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vmctl.errors import Locked
from vmctl.state.database import denied

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

FILE = "engine.lock"
_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid (must be 0)
_DESCRIPTION_LIMIT = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Holder:
    """The engine at work: its process id, 0 where that is not known, and its command line."""

    pid: int
    command: str

    @property
    def stays(self) -> bool:
        """Whether it is a daemon, which lets go only when it is told to end."""
        words = self.command.split()
        return words[:2] == ["vmctl", "run"] and "--once" not in words

    def __str__(self) -> str:
        return f"`{self.command}` (process {self.pid})" if self.pid else "another vmctl"


class EngineLock:
    """The right to change the host from one state directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._descriptor = -1

    @property
    def held(self) -> bool:
        """Whether the lock is ours."""
        return self._descriptor >= 0

    def acquire(self, command: str) -> None:
        """Take the lock at once or raise Locked naming the holder; `command` is what others are told about us.

        Nothing when it is ours already.
        """
        if self.held:
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise denied(error, self._path.parent) from error
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request())
            os.fchmod(descriptor, 0o644)  # whatever our umask: other users may read who is at work
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n{command}\n".encode(errors="replace")[:_DESCRIPTION_LIMIT], 0)
        except BlockingIOError as error:
            found = _described(descriptor)
            os.close(descriptor)
            where = self._path.parent
            raise Locked(f"{found} is at work in {where}", remedy="wait until it is done, or stop it") from error
        except OSError as error:
            os.close(descriptor)
            raise denied(error, self._path.parent) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; nothing when it is not held."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(directory: Path) -> Holder | None:
    """Who holds the lock of a state directory now; None when nobody does. Takes nothing, makes nothing."""
    try:
        descriptor = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # no lock file: no engine has ever run here
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request())
        held = struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK
        return _described(descriptor) if held else None
    finally:
        os.close(descriptor)


def _request() -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def _described(descriptor: int) -> Holder:
    pid, _, command = os.pread(descriptor, _DESCRIPTION_LIMIT, 0).decode(errors="replace").partition("\n")
    return Holder(int(pid) if pid.isdigit() else 0, command.strip())
