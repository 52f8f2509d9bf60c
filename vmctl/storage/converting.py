"""Conversion of a whole image into one self-contained qcow2 file, under limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.errors import DiskFull
from vmctl.storage import commands
from vmctl.storage.bounds import RESERVE_BYTES, too_much
from vmctl.storage.space import free_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU_S = 4 * 3600
WALL_S = 12 * 3600.0
MEMORY_BYTES = 4 * commands.GIB


def convert(
    source: Path,
    source_format: str,
    target: Path,
    *,
    largest_bytes: int | None = None,
    cancelled: Callable[[], bool] = commands.never,
) -> None:
    """Write `source` (with what lies below it) as qcow2 to `target`, which is overwritten and not yet durable.

    Raises DiskFull, or StorageError when the result would be larger than `largest_bytes` (clusters of a malicious image
    may all be the same one) or qemu-img refuses; a partial target is left to the caller.
    """
    # A converter of a killed predecessor may still hold the old file open: let it write into a file without a name.
    target.unlink(missing_ok=True)
    room = free_bytes(target.parent) - RESERVE_BYTES
    bounded = largest_bytes is not None and largest_bytes < room
    limits = commands.Limits(CPU_S, WALL_S, MEMORY_BYTES, largest_bytes if bounded else room)
    # -W and -m: writes out of order and eight at a time, a quarter faster.
    options = ["-q", "-f", source_format, "-O", "qcow2", "-W", "-m", "8"]
    # An absolute path never looks like the name of a protocol to QEMU.
    files = [str(source.absolute()), str(target.absolute())]
    try:
        commands.qemu_img_confined(["convert", *options, *files], target.parent, limits, cancelled)
    except DiskFull:
        if bounded and largest_bytes is not None and free_bytes(target.parent) > RESERVE_BYTES:
            raise too_much(largest_bytes) from None
        raise
