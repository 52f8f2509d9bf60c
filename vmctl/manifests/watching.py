"""Notices that something happened in directories of manifests. Hints only: whoever hears them reads everything anew.

A directory that is replaced, removed or not there yet is watched again as soon as it is there: a watch belongs to an
inode, and users mean a name.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import signal
import threading
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING

from vmctl.manifests.finding import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from asyncinotify import Event, Inotify

LOG = logging.getLogger(__name__)
QUIET_MS = 5  # the events of one save come together; so long without another one, and it is told
MOST_QUIETS = 10  # while events go on and on, it is told all the same after so many
LOOK_AGAIN_MS = 1000  # how often a quiet directory is compared with the one that is watched
ABSENT_MS = 200


class Watch:
    """A thread that watches one directory, calling `changed` from it. It sleeps in the kernel until there is news."""

    def __init__(self, directory: str, changed: Callable[[], None], *, recursive: bool) -> None:
        self._directory, self._changed, self._recursive = directory, changed, recursive
        self._end = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"watch {directory}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        os.eventfd_write(self._end, 1)
        self._thread.join()
        os.close(self._end)

    def _run(self) -> None:
        """Watch the directory in all its incarnations."""
        while not self._ends():
            inode = _inode(self._directory)
            if inode is None:
                self._ends(within_ms=ABSENT_MS)
                continue
            try:
                self._follow(inode)
            except OSError as error:  # the limits of inotify are among them
                LOG.warning("%s cannot be watched, only looked at now and then: %s", self._directory, error)
                self._ends(within_ms=LOOK_AGAIN_MS)
            self._changed()  # it has gone, or another has taken its place

    def _follow(self, inode: tuple[int, int]) -> None:
        """Watch one incarnation until it goes, or until directories come and go in it: then all are watched anew."""
        from asyncinotify import Inotify

        with Inotify(sync_timeout=0) as notices:
            for each in _below(self._directory) if self._recursive else (self._directory,):
                _add(notices, each, must=each == self._directory)
            self._changed()  # for what happened while the watches were being set up
            while _inode(self._directory) == inode and not self._ends(notices.fd, within_ms=LOOK_AGAIN_MS):
                news = [event for event in self._news(notices) if _concerns(event, self._directory)]
                if news:
                    self._changed()
                if self._recursive and any(_moves_watches(event) for event in news):
                    return

    def _news(self, notices: Inotify) -> list[Event]:
        """The events of one save, or of much that is written at a time; none when there are none yet."""
        found = more = list(notices)
        for _ in range(MOST_QUIETS):
            if not more or self._ends(within_ms=QUIET_MS):
                break
            more = list(notices)
            found += more
        return found

    def _ends(self, *others: int, within_ms: int = 0) -> bool:
        """Whether the watch is to end; sleeps until it is, or until another of the descriptors can be read."""
        poll = select.poll()
        for descriptor in (self._end, *others):
            poll.register(descriptor, select.POLLIN)
        return any(ready == self._end for ready, _ in poll.poll(within_ms))


def _below(directory: str) -> Iterator[str]:
    """A directory and all that is read below it, each once, whatever links lead to it.

    Each comes before its entries are listed: what is made in it after that, its watch tells.
    """
    seen: set[tuple[int, int] | None] = {None}
    paths = [directory]
    while paths:
        path = paths.pop()
        inode = _inode(path)
        if inode in seen:
            continue
        seen.add(inode)
        yield path
        with suppress(OSError), os.scandir(path) as entries:
            paths += [entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir()]


def _add(notices: Inotify, directory: str, *, must: bool) -> None:
    """Watch one directory; one that has gone, or that may not be read, only when it must be. Raises OSError."""
    from asyncinotify import Mask

    written = Mask.CREATE | Mask.MODIFY | Mask.CLOSE_WRITE | Mask.ATTRIB
    moved = Mask.MOVE | Mask.DELETE | Mask.MOVE_SELF | Mask.DELETE_SELF
    try:
        notices.add_watch(directory, written | moved | Mask.ONLYDIR)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        if must:
            raise


def _inode(directory: str) -> tuple[int, int] | None:
    try:
        status = os.stat(directory)  # noqa: PTH116  # follows links, as reading does
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _concerns(event: Event, directory: str) -> bool:
    """Whether an event may concern manifests; one without a path says that the kernel had to leave some out."""
    return event.path is None or _matters(str(event.path), directory)


def _moves_watches(event: Event) -> bool:
    """Whether other directories may have to be watched after an event."""
    from asyncinotify import Mask

    return event.path is None or Mask.ISDIR in event.mask


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
