"""What a process that reads the same files again and again remembers of them: a file that nobody touched is not opened.

Whether it was touched is told by its inode, size and times. The time of the last change of the inode cannot be set by
hand, but it is coarse: two writes may share one, so a file that changed a moment ago is read anew each time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.manifests.reading import Reading

COARSE_S = 2.0

Stamp = tuple[int, int, int, int, int]
Identity = tuple[int, int]


class Memory:
    """Readings by path. `clock` tells epoch seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, tuple[Stamp, Reading]] = {}

    def get(self, path: str) -> tuple[Stamp | None, Reading | None]:
        """How a file looks now, None where it is not there, and what it came to if it looked so then."""
        try:
            status = os.stat(path)  # noqa: PTH116  # five hundred of them in a look, and a Path each costs more than this
        except OSError:
            self._known.pop(path, None)
            return None, None
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._known.get(path)
        return stamp, known[1] if known is not None and known[0] == stamp else None

    def put(self, path: str, stamp: Stamp | None, reading: Reading) -> None:
        """Remember what a file came to; `stamp` is from before it was read."""
        if stamp is None or self._clock() - max(stamp[3:]) / 1e9 < COARSE_S:
            self._known.pop(path, None)
        else:
            self._known[path] = (stamp, reading)

    def keep(self, paths: set[str]) -> None:
        """Forget all other files."""
        for path in self._known.keys() - paths:
            del self._known[path]
