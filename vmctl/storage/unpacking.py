"""Decompression of gz and xz files into sparse ones, within bounds.

isal reads gzip twice as fast as zlib and checks its sums; xz is the standard library's, with a limit on its memory.
"""

from __future__ import annotations

import lzma
import os
from typing import TYPE_CHECKING, Protocol, cast

from isal import igzip_lib

from vmctl.errors import StorageError
from vmctl.storage.bounds import RESERVE_BYTES, too_much
from vmctl.storage.commands import stopped
from vmctl.storage.sources import Progress
from vmctl.storage.space import disk_full, free_bytes, writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from vmctl.storage.bounds import Bounds
    from vmctl.storage.formats import Compression

READ = 1 << 20
PIECE = 1 << 20
HOLE = 64 << 10
XZ_MEMORY_BYTES = 512 << 20
DAMAGE = (lzma.LZMAError, cast("type[Exception]", igzip_lib.error))  # the stub takes it for an instance


class _Decompressor(Protocol):
    """What bz2, lzma and isal have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def unpack(
    packed: Path,
    target: Path,
    kind: Compression,
    bounds: Bounds,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> None:
    """Decompress a file, all its members one after the other; zeros become holes.

    Raises StorageError when it is damaged, out of bounds, or the disk is full; what was written is left to the caller.
    """
    doing = f"unpacking {packed.name}"
    with (
        writing(target.parent, doing),
        packed.open("rb", buffering=0) as source,
        target.open("wb", buffering=0) as sink,
    ):
        target.chmod(0o600)
        writer = _Sparse(sink, target.parent, doing)
        try:
            _members(source, writer, kind, bounds, progress, cancelled)
        except DAMAGE as error:
            raise StorageError(f"the {kind} data is damaged: {error}", remedy="check the file at its source") from error
        writer.close()


def _members(
    source: BinaryIO,
    writer: _Sparse,
    kind: Compression,
    bounds: Bounds,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> None:
    size = os.fstat(source.fileno()).st_size
    data = source.read(READ)
    while data:
        member = _decompressor(kind)
        while not member.eof:
            if cancelled():
                raise stopped("unpacking")
            if member.needs_input and not data and not (data := source.read(READ)):
                raise StorageError(f"the {kind} data ends in the middle", remedy="check the file at its source")
            piece = member.decompress(data, PIECE)
            data = b""
            writer.write(piece)
            _check(writer, source.tell(), bounds)
            progress(Progress("unpack", source.tell(), size))
        data = _next_member(member.unused_data, source)


def _next_member(rest: bytes, source: BinaryIO) -> bytes:
    """What follows the end of a member: another one, after zeros that only fill up, or nothing."""
    rest = rest.lstrip(b"\0")
    while not rest and (more := source.read(READ)):
        rest = more.lstrip(b"\0")
    return rest if len(rest) >= READ else rest + source.read(READ)


def _check(writer: _Sparse, packed: int, bounds: Bounds) -> None:
    if writer.length > bounds.unpacked_bytes:
        raise too_much(bounds.unpacked_bytes)
    if writer.data > bounds.data_bytes(packed):
        raise too_much(bounds.data_bytes(packed))


class _Sparse:
    """A file that is written from start to end and skips runs of zeros."""

    def __init__(self, sink: BinaryIO, directory: Path, doing: str) -> None:
        self._descriptor = sink.fileno()
        self._directory = directory
        self._doing = doing
        self._room = 0
        self.length = 0
        self.data = 0  # bytes that are not in holes

    def write(self, piece: bytes) -> None:
        """Append; bytes objects are compared, because comparing memoryviews goes element by element."""
        zero = bytes(HOLE)
        for at in range(0, len(piece), HOLE):
            part = piece[at : at + HOLE]
            if part != zero[: len(part)]:
                self._put(part)
            self.length += len(part)

    def _put(self, part: bytes) -> None:
        if self._room < len(part):  # asked now and then: what others write meanwhile counts too
            self._room = min(free_bytes(self._directory) - RESERVE_BYTES, 64 << 20)
            if self._room < len(part):
                raise disk_full(self._directory, self._doing)
        done = 0
        while done < len(part):
            done += os.pwrite(self._descriptor, part[done:], self.length + done)
        self._room -= len(part)
        self.data += len(part)

    def close(self) -> None:
        """Set the length, so that zeros at the end count."""
        os.ftruncate(self._descriptor, self.length)


def _decompressor(kind: Compression) -> _Decompressor:
    if kind == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
