"""Conversion of a whole image into one self-contained qcow2 file, under limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.storage import commands
from vmctl.storage.space import free_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RESERVE_BYTES = 16 << 20  # left for the rest of the file system: the store itself may live there
CPU_S = 4 * 3600
WALL_S = 12 * 3600.0


def convert(source: Path, source_format: str, target: Path, cancelled: Callable[[], bool] = commands.never) -> None:
    """Write `source` (with what lies below it) as qcow2 to `target`, which is overwritten and not yet durable.

    Raises StorageError when the disk is full or qemu-img refuses; a partial target is left to the caller.
    """
    # A converter of a killed predecessor may still hold the old file open: let it write into a file without a name.
    target.unlink(missing_ok=True)
    limits = commands.Limits(CPU_S, WALL_S, 4 * commands.GIB, free_bytes(target.parent) - RESERVE_BYTES)
    # -W and -m: writes out of order and eight at a time, a quarter faster.
    # An absolute path never looks like the name of a protocol to QEMU.
    arguments = [
        "convert",
        "-q",
        "-f",
        source_format,
        "-O",
        "qcow2",
        "-W",
        "-m",
        "8",
        str(source.absolute()),
        str(target.absolute()),
    ]
    commands.qemu_img_confined(arguments, target.parent, limits, cancelled)
