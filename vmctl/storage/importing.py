"""From a source to a layer: download, checksum, unpack, inspect, convert, fsync, rename.

A half-written import is never seen as a layer. A killed or interrupted one goes on with the next call: the download
where it stopped, the later steps from their beginning. What was found out lies beside the layer, for repeated calls.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from vmctl.errors import DiskFull, StorageError, TransferInterrupted
from vmctl.storage import formats, layers, qcow2, sources
from vmctl.storage.bounds import Bounds
from vmctl.storage.commands import never, require
from vmctl.storage.converting import convert
from vmctl.storage.space import writing
from vmctl.storage.unpacking import unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import: what the source was, bytes that the layer occupies, bytes of the disk in it, average speed."""

    format: formats.Format
    cdrom: bool
    stored_bytes: int
    unpacked_bytes: int
    average_bytes_per_s: float


def import_image(
    directory: Path,
    layer: str,
    source: sources.HttpSource,
    *,
    readonly: bool = True,
    bounds: Bounds = DEFAULT_BOUNDS,
    progress: Callable[[sources.Progress], None] = sources.silent,
    cancelled: Callable[[], bool] = never,
    clock: Callable[[], float] = time.monotonic,
) -> Imported:
    """Make a layer from a source; a finished one is described again, not touched. A changed source needs a new layer.

    `readonly` layers are images (0444), others disks (0600). Raises TransferInterrupted (also when cancelled) and
    DiskFull when a later call goes on, StorageError otherwise; only what a later call can use is left behind.
    """
    if layers.exists(directory, layer):
        layers.discard(directory, layer)
        return _told(directory, layer)
    require("qemu-img")  # rather now than after an hour of download
    layers.prepare(directory)
    work = _Import(directory, layer, source.shown, bounds, sources.throttled(progress, clock), cancelled)
    downloaded = layers.path(directory, layer, ".part")
    fetched = sources.fetch(source, downloaded, progress=work.progress, cancelled=cancelled, clock=clock)
    try:
        work.finish(downloaded, fetched, layers.FROZEN_MODE if readonly else layers.WRITABLE_MODE)
    except (DiskFull, TransferInterrupted):
        raise
    except StorageError:
        layers.remove(directory, layer)  # the bytes are no good: the next call shall not take them for complete
        raise
    layers.discard(directory, layer)
    return _told(directory, layer)


@dataclass(frozen=True, slots=True)
class _Import:
    """One import after its download."""

    directory: Path
    layer: str
    name: str  # of the source, for messages
    bounds: Bounds
    progress: Callable[[sources.Progress], None]
    cancelled: Callable[[], bool]

    def finish(self, downloaded: Path, fetched: sources.Fetched, mode: int) -> None:
        """Unpack, inspect, convert, and let the layer appear; what was in between is removed, however this ends."""
        unpacked = layers.path(self.directory, self.layer, ".unpacked")
        converted = layers.path(self.directory, self.layer, ".convert")
        try:
            image = self._unpack(downloaded, unpacked)
            found = formats.inspect(image, self.name, largest_bytes=self.bounds.virtual_bytes)
            self.progress(sources.Progress("convert", 0, found.virtual_bytes))
            largest = self.bounds.data_bytes(image.stat().st_size)
            convert(image, found.driver, converted, largest_bytes=largest, cancelled=self.cancelled)
            _tell(self.directory, self.layer, found, converted, fetched.average_bytes_per_s)
            layers.finish(converted, layers.path(self.directory, self.layer), mode)
        finally:
            unpacked.unlink(missing_ok=True)
            converted.unlink(missing_ok=True)

    def _unpack(self, downloaded: Path, unpacked: Path) -> Path:
        """The file to look at: what came, or what was packed in it."""
        packed = formats.compression(downloaded)
        if packed is None:
            return downloaded
        unpack(downloaded, unpacked, packed, self.bounds, self.progress, self.cancelled)
        return unpacked


def _tell(directory: Path, layer: str, found: formats.Inspected, converted: Path, speed: float) -> None:
    """Write down what was found out, before the layer appears."""
    told = Imported(
        found.format,
        cdrom=found.format == "iso",
        stored_bytes=converted.stat().st_blocks * 512,
        unpacked_bytes=qcow2.read_header(converted).virtual_bytes,
        average_bytes_per_s=round(speed),
    )
    passing = layers.path(directory, layer, ".new")
    with writing(directory, f"recording layer {layer}"):
        with passing.open("w") as file:
            json.dump(asdict(told), file)
            file.flush()
            os.fsync(file.fileno())
        passing.rename(layers.path(directory, layer, layers.RECORD))


def _told(directory: Path, layer: str) -> Imported:
    record = layers.path(directory, layer, layers.RECORD)
    try:
        return Imported(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(
            f"{record} is missing or damaged, nothing tells what layer {layer} was made from",
            remedy="delete the image and apply it again",
        ) from error
