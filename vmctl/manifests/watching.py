"""Notices that something happened in directories of manifests. Hints only: whoever hears them reads everything anew.

A directory that is replaced, removed or not there yet is watched again as soon as it is there: a watch belongs to an
inode, and users mean a name.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import threading
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING

from vmctl.manifests.finding import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LOG = logging.getLogger(__name__)
# watchfiles looks for events every STEP_MS and waits for a quiet step, at most DEBOUNCE_MS. Looking alone takes 0.8 %
# of a processor at 5 ms; at 25 ms it is 0.2 %, and a save is noticed after 35 ms.
STEP_MS, DEBOUNCE_MS = 25, 50
LOOK_AGAIN_MS = 1000  # how often a quiet directory is compared with the one that is watched
ABSENT_S = 0.2


class Watch:
    """A thread that watches one directory, calling `changed` from it."""

    def __init__(self, directory: str, changed: Callable[[], None], *, recursive: bool) -> None:
        self._directory, self._changed, self._recursive = directory, changed, recursive
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {directory}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        """Watch the directory in all its incarnations."""
        while not self._stop.is_set():
            inode = _inode(self._directory)
            if inode is None:
                self._stop.wait(ABSENT_S)
                continue
            try:
                self._follow(inode)
            except (OSError, RuntimeError) as error:  # what watchfiles raises; the inotify limits are among them
                LOG.warning("%s cannot be watched, only looked at now and then: %s", self._directory, error)
                self._stop.wait(LOOK_AGAIN_MS / 1000)
            self._changed()  # it has gone, or another has taken its place

    def _follow(self, inode: tuple[int, int]) -> None:
        from watchfiles import watch

        events = watch(
            self._directory,
            watch_filter=lambda _, path: _matters(path, self._directory),
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            rust_timeout=LOOK_AGAIN_MS,
            yield_on_timeout=True,
            stop_event=self._stop,
            recursive=self._recursive,
            raise_interrupt=False,
        )
        first = True
        self._changed()
        for changes in events:
            if changes or first:  # at first: what happened while the watch was being set up
                self._changed()
            first = False
            if _inode(self._directory) != inode:
                return


def _inode(directory: str) -> tuple[int, int] | None:
    try:
        status = os.stat(directory)  # noqa: PTH116  # follows links, as reading does
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _matters(path: str, directory: str) -> bool:
    """Whether an event may concern manifests: not in what is hidden, and a manifest or perhaps a directory."""
    try:
        parts = PurePath(path).relative_to(directory).parts
    except ValueError:
        return True
    if any(part.startswith(".") for part in parts):
        return False
    return not parts or parts[-1].lower().endswith(ENDINGS) or not PurePath(parts[-1]).suffix


def quiet_leases() -> None:
    """Let nobody be ended by the signal of a broken lease: see `being_written`."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def being_written(paths: Iterable[str]) -> str:
    """The first of these files that somebody has open for writing, else empty.

    The kernel grants a lease for reading only where nobody has a file open for writing (fcntl(2), F_SETLEASE). Where it
    cannot tell (another file system, another owner), a file counts as complete. Call `quiet_leases` before.
    """
    for path in paths:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
                fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            except BlockingIOError:
                return path
            finally:
                os.close(descriptor)
    return ""
