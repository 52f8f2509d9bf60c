"""Layers: the files that disks and images are made of. One flat directory per storage class, `<layer>.qcow2`.

Only the top of a chain is writable; below it everything is 0444 and shared. A layer names its backing by bare file
name, so that a directory can be moved as a whole. Files appear by rename, complete and durable, or not at all.
Every function is idempotent.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vmctl.errors import Bug, ChangeRefused, StorageError
from vmctl.planning.steps import LAYER_SUFFIX
from vmctl.storage import commands, qcow2
from vmctl.storage.converting import convert
from vmctl.storage.space import shown, writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,99}")
PARTIAL = (".new", ".part", ".part.json", ".unpacked", ".convert")  # what an unfinished creation or import leaves
RECORD = ".json"  # what an import found out, beside its finished layer
SECTOR = 512
FROZEN_MODE = 0o444
WRITABLE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as it is: sizes in bytes, `backing` the layer below (or the whole name where that is none of ours)."""

    virtual_size: int
    actual_size: int
    backing: str | None
    frozen: bool
    format: Literal["qcow2"] = "qcow2"


def path(directory: Path, layer: str, suffix: str = LAYER_SUFFIX) -> Path:
    """Where a layer's file lies."""
    if not NAME.fullmatch(layer):
        raise Bug(f"{layer!r} is no name for a layer")
    return directory / f"{layer}{suffix}"


def prepare(directory: Path) -> None:
    """Make the directory of a storage class; others (QEMU's user is one) pass through it and list nothing."""
    with writing(directory, "making the storage directory"):
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o711)  # whatever the umask is


def exists(directory: Path, layer: str) -> bool:
    """Tell whether the finished layer is there."""
    return path(directory, layer).is_file()


def create_blank(directory: Path, layer: str, size_bytes: int) -> None:
    """Create an empty disk; one that is there already keeps its content, and grows when it is smaller."""
    size = rounded(size_bytes)
    if exists(directory, layer):
        _accept(directory, layer, None, size)
        return
    _place(directory, layer, qcow2.template(size))


def create_overlay(directory: Path, layer: str, backing: str, size_bytes: int | None = None) -> None:
    """Put a new writable layer on another, as large as that one unless a larger size is given.

    Raises StorageError when the backing layer is missing or larger than the size.
    """
    below = info(directory, backing)
    size = below.virtual_size if size_bytes is None else rounded(size_bytes)
    if size < below.virtual_size:
        raise StorageError(
            f"a disk of {shown(size)} cannot hold its source of {shown(below.virtual_size)}",
            remedy=f"ask for at least {below.virtual_size} bytes, or leave the size out",
        )
    if exists(directory, layer):
        _accept(directory, layer, backing, size)
        return
    name = path(directory, backing).name
    _place(directory, layer, qcow2.template(size, len(name)).named(name))


def remove(directory: Path, layer: str) -> None:
    """Remove a layer and whatever is left of its making, durably: the caller forgets about it next."""
    discard(directory, layer)
    with writing(directory, f"removing layer {layer}"):
        for suffix in (LAYER_SUFFIX, RECORD):
            path(directory, layer, suffix).unlink(missing_ok=True)
        if directory.is_dir():
            sync_directory(directory)


def discard(directory: Path, layer: str) -> None:
    """Remove the unfinished files of a layer, the finished one stays."""
    with writing(directory, f"clearing up after layer {layer}"):
        for suffix in PARTIAL:
            path(directory, layer, suffix).unlink(missing_ok=True)


def open_elsewhere(directory: Path, layer: str) -> bool:
    """Tell whether a running machine has a writable layer open, by the lock that QEMU holds on it.

    A damaged file is in nobody's hands; raises StorageError when qemu-img could not look at all.
    """
    if not exists(directory, layer):
        return False
    try:
        commands.qemu_img(["info", "-f", "qcow2", path(directory, layer).name], directory)
    except StorageError as error:
        if not error.message.startswith("qemu-img: "):
            raise
        return '" lock' in error.message
    return False


def grow(directory: Path, layer: str, size_bytes: int) -> None:
    """Enlarge a layer that no machine uses at the moment; nothing when it is that large already.

    Raises ChangeRefused rather than shrink, StorageError while somebody has the disk open.
    """
    found, size = info(directory, layer), rounded(size_bytes)
    if size == found.virtual_size:
        return
    if size < found.virtual_size:
        raise ChangeRefused(
            f"a disk cannot shrink from {shown(found.virtual_size)} to {shown(size)}: data at its end would be lost",
            remedy="make a new, smaller disk and copy the files over inside a guest",
        )
    if found.frozen:
        raise StorageError(f"layer {layer} is read-only", remedy="put a new layer on top and grow that")
    commands.qemu_img(["resize", "-q", "-f", "qcow2", path(directory, layer).name, str(size)], directory)


def info(directory: Path, layer: str) -> Layer:
    """Describe a layer, also while a machine writes to it; raises StorageError when it is missing or damaged."""
    file = path(directory, layer)
    header = qcow2.read_header(file)
    with writing(directory, f"looking at layer {layer}"):
        status = file.stat()
    backing = header.backing.removesuffix(LAYER_SUFFIX) if header.backing is not None else None
    return Layer(header.virtual_bytes, status.st_blocks * 512, backing, not status.st_mode & 0o222)


def copy_to_class(
    source: Path,
    layer: str,
    directory: Path,
    copy: str,
    *,
    frozen: bool = True,
    cancelled: Callable[[], bool] = commands.never,
) -> None:
    """Materialise a layer with all that lies below it as one layer of another directory, unless it is there."""
    if exists(directory, copy):
        return
    prepare(directory)
    unfinished = path(directory, copy, ".convert")
    try:
        convert(path(source, layer), "qcow2", unfinished, cancelled=cancelled)
        finish(unfinished, path(directory, copy), FROZEN_MODE if frozen else WRITABLE_MODE)
    finally:
        unfinished.unlink(missing_ok=True)


def finish(unfinished: Path, final: Path, mode: int) -> None:
    """Let a complete file appear under its own name, with its rights, durably."""
    with writing(final.parent, f"writing {final.name}"):
        descriptor = os.open(unfinished, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.rename(final)
        sync_directory(final.parent)


def rounded(size_bytes: int) -> int:
    """The size as a disk can have it: whole sectors."""
    return -(-size_bytes // SECTOR) * SECTOR


def _place(directory: Path, layer: str, content: qcow2.Template) -> None:
    """Write a new layer under a passing name, then give it its own."""
    unfinished = path(directory, layer, ".new")
    with writing(directory, f"creating layer {layer}"):
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, WRITABLE_MODE)
        try:
            os.ftruncate(descriptor, content.length)
            for at, piece in content.pieces:
                os.pwrite(descriptor, piece, at)
            os.fchmod(descriptor, WRITABLE_MODE)
            os.fsync(descriptor)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        unfinished.rename(path(directory, layer))
        sync_directory(directory)


def _accept(directory: Path, layer: str, backing: str | None, size: int) -> None:
    """Take a layer that is there already for the one that was asked for, if it is; its content stays."""
    found = info(directory, layer)
    if found.backing != backing:
        raise StorageError(
            f"layer {layer} in {directory} lies on {found.backing or 'nothing'}, not on {backing or 'nothing'}",
            remedy="move the file away if nothing needs it; it was not touched",
        )
    if found.virtual_size < size:
        grow(directory, layer, size)


def sync_directory(directory: Path) -> None:
    """Make names that appeared in a directory, or went from it, durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
