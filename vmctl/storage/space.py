"""Room on a file system: how much there is, and the one error that says there is not enough."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vmctl.errors import DiskFull, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def free_bytes(directory: Path) -> int:
    """Tell how many bytes may still be written there; a directory that does not exist yet counts as its parent."""
    found = directory.absolute()
    while not found.exists() and found != found.parent:
        found = found.parent
    room = os.statvfs(found)
    return room.f_bavail * room.f_frsize


def shown(count: float) -> str:
    """Write a number of bytes for people: `4.2 GiB`."""
    for unit in UNITS[:-1]:
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"


def disk_full(directory: Path, doing: str, need_bytes: int | None = None) -> DiskFull:
    """Make the error for a full disk: which directory, what was being done, how much it needs and how much is free."""
    need = f", {shown(need_bytes)} needed" if need_bytes else ""
    return DiskFull(
        f"no space left in {directory} while {doing}: {shown(free_bytes(directory))} free{need}",
        remedy=f"free space in {directory} or use a storage class on a larger disk; the work goes on by itself then",
    )


@contextmanager
def writing(directory: Path, doing: str, need_bytes: int | None = None) -> Iterator[None]:
    """Turn the system's refusals to write into StorageError, a full disk by its own words."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(directory, doing, need_bytes) from error
        raise StorageError(
            f"{doing} failed in {directory}: {error.strerror or error}",
            remedy="check that the directory exists, is mounted writable and belongs to the user that runs vmctl",
        ) from error
