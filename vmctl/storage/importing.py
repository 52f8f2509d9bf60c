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
    progress = sources.throttled(progress, clock)
    require("qemu-img")  # rather now than after an hour of download
    layers.prepare(directory)
    downloaded = layers.path(directory, layer, ".part")
    fetched = sources.fetch(source, downloaded, progress=progress, cancelled=cancelled, clock=clock)
    unpacked = layers.path(directory, layer, ".unpacked")
    converted = layers.path(directory, layer, ".convert")
    try:
        image, found = _open(downloaded, unpacked, source.shown, bounds, progress, cancelled)
        progress(sources.Progress("convert", 0, found.virtual_bytes))
        largest = bounds.data_bytes(image.stat().st_size)
        convert(image, found.driver, converted, largest_bytes=largest, cancelled=cancelled)
        _tell(directory, layer, found, converted, fetched.average_bytes_per_s)
        layers.finish(
            converted, layers.path(directory, layer), layers.FROZEN_MODE if readonly else layers.WRITABLE_MODE
        )
    except (DiskFull, TransferInterrupted):
        raise
    except StorageError:
        layers.discard(directory, layer)  # the bytes are no good: the next call shall not take them for complete
        raise
    finally:
        unpacked.unlink(missing_ok=True)
        converted.unlink(missing_ok=True)
    layers.discard(directory, layer)
    return _told(directory, layer)


def _open(
    downloaded: Path,
    unpacked: Path,
    name: str,
    bounds: Bounds,
    progress: Callable[[sources.Progress], None],
    cancelled: Callable[[], bool],
) -> tuple[Path, formats.Inspected]:
    """Unpack where it is packed, and look at what it is."""
    packed = formats.compression(downloaded)
    if packed is None:
        return downloaded, formats.inspect(downloaded, name, largest_bytes=bounds.virtual_bytes)
    unpack(downloaded, unpacked, packed, bounds, progress, cancelled)
    return unpacked, formats.inspect(unpacked, name, largest_bytes=bounds.virtual_bytes)


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
