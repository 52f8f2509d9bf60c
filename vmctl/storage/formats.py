"""What an image is, by its content, and whether it may be let near qemu-img: files from outside are not to be trusted.

QEMU follows names inside images: a backing file, an external data file, the extents of a vmdk. A downloaded image with
such a name could pull any file of the host into a guest. So heads are read here first and refused, and qemu-img, under
limits and with the format given, is only asked afterwards; what it says about names is checked once more.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vmctl.errors import StorageError
from vmctl.storage import commands, qcow2
from vmctl.storage.space import shown, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Format = Literal["qcow2", "raw", "vmdk", "vdi", "iso"]
Compression = Literal["gz", "xz"]

HEAD = 4096
VOLUME_AT = 0x8001  # the first volume descriptor of ISO 9660 and of UDF
VOLUMES = (b"CD001", b"BEA01")
VDI_MAGIC_AT, VDI_MAGIC = 0x40, b"\x7f\x10\xda\xbe"
VMDK_HEAD = struct.Struct("<4sIIQQQQ")  # magic, version, flags, capacity, grain, descriptor offset and size, in sectors
GZ, XZ = b"\x1f\x8b\x08", b"\xfd7zXZ\x00"
FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"vhdxfile", "a vhdx image"),
    (b"conectix", "a vhd image"),
    (b"QED\0", "a qed image"),
    (b"COWD", "an ESX copy-on-write image"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "compressed with bzip2"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (GZ, "compressed twice"),
    (XZ, "compressed twice"),
)
TEXTS = (b"<!doctype html", b"<html", b"<?xml", b"<head")
ACCEPTED = "qcow2, raw, vmdk, vdi or iso, each also with gz or xz"


@dataclass(frozen=True, slots=True)
class Inspected:
    """A harmless image: what it is and how large a disk it describes."""

    format: Format
    virtual_bytes: int

    @property
    def driver(self) -> str:
        """QEMU's name for how it is read."""
        return "raw" if self.format == "iso" else self.format


def compression(path: Path) -> Compression | None:
    """Tell how a file is compressed, by its first bytes."""
    head = _head(path)
    if head.startswith(GZ):
        return "gz"
    return "xz" if head.startswith(XZ) else None


def inspect(path: Path, name: str, *, largest_bytes: int) -> Inspected:
    """Find out what an image is and that it is safe to convert; `name` is for messages.

    Raises StorageError for formats that are not accepted, names of other files, encryption, absurd sizes, damage.
    """
    found = _detect(path, name)
    size = path.stat().st_size if found in ("raw", "iso") else _asked(path, found, name)
    if not size:
        raise StorageError(f"{name} is empty", remedy="check the URL")
    if size > largest_bytes:
        raise StorageError(
            f"{name} describes a disk of {shown(size)}, more than the {shown(largest_bytes)} that are allowed",
            remedy="the image is damaged or malicious; take it from another source",
        )
    return Inspected(found, size)


def _head(path: Path) -> bytes:
    with writing(path.parent, "reading an image"), path.open("rb") as file:
        return file.read(HEAD)


def _detect(path: Path, name: str) -> Format:
    head = _head(path)
    if head.startswith(qcow2.MAGIC):
        _refuse_qcow2(qcow2.read_header(path), name)
        return "qcow2"
    if head[VDI_MAGIC_AT : VDI_MAGIC_AT + 4] == VDI_MAGIC:
        return "vdi"
    if head.startswith((b"KDMV", b"# Disk DescriptorFile")):
        _refuse_extents(head, name)
        return "vmdk"
    with path.open("rb") as file:
        file.seek(VOLUME_AT)
        if file.read(5) in VOLUMES:
            return "iso"
    for magic, what in FOREIGN:
        if head.startswith(magic):
            raise StorageError(f"{name} is {what}", remedy=f"give an image that is {ACCEPTED}")
    if head.lstrip().lower().startswith(TEXTS):
        raise StorageError(f"{name} is a web page, not an image", remedy="use the URL of the file itself")
    return "raw"


def _refuse_qcow2(header: qcow2.Header, name: str) -> None:
    if header.version not in (2, 3):
        raise StorageError(f"{name} is qcow2 version {header.version}", remedy="convert it with a current qemu-img")
    if header.backing is not None:
        raise _names_another(name, f"the backing file {header.backing[:200]!r}")
    if header.encrypted:
        raise StorageError(f"{name} is encrypted", remedy="decrypt it with qemu-img convert first")
    if header.external_data:
        raise _names_another(name, "an external data file")


def _refuse_extents(head: bytes, name: str) -> None:
    if head.startswith(b"#"):
        raise _names_another(name, "its extents (it is a descriptor only)")
    _, _, _, capacity, _, _, _ = VMDK_HEAD.unpack_from(head.ljust(VMDK_HEAD.size, b"\0"))
    if not capacity:  # QEMU then reads a descriptor from inside the file, with names in it
        raise _names_another(name, "its extents")


def _names_another(name: str, what: str) -> StorageError:
    return StorageError(
        f"{name} refers to another file: {what}",
        remedy="make it self-contained: qemu-img convert -O qcow2 OLD NEW",
    )


def _asked(path: Path, found: Format, name: str) -> int:
    """Ask qemu-img, check what it says, return the virtual size."""
    arguments = ["info", "--output", "json", "-f", found, str(path.absolute())]
    try:
        told: dict[str, Any] = json.loads(commands.qemu_img_confined(arguments, path.parent, commands.INSPECTION))
    except ValueError as error:
        raise StorageError(
            f"qemu-img says nothing sensible about {name}", remedy="take it from another source"
        ) from error
    details = told.get("format-specific", {}).get("data", {})
    if details.get("corrupt"):
        raise StorageError(f"{name} is marked as corrupt", remedy="repair it with `qemu-img check -r all`")
    for other in (told.get("backing-filename"), details.get("data-file"), *_extents(details)):
        if other and other != str(path.absolute()):
            raise _names_another(name, repr(other))
    return int(told["virtual-size"])


def _extents(details: dict[str, Any]) -> Iterator[str]:
    return (extent["filename"] for extent in details.get("extents", ()) if "filename" in extent)
