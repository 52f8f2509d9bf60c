"""The head of a qcow2 file: read without starting a program, and empty files made from a template of qemu-img's own.

A new qcow2 file is four small clusters. qemu-img writes them in 10 ms, most of which is its start; we let it make one
for each size and length of backing name, remember the few bytes that are not zero, and write those in half a
millisecond. Reading never trusts the file. Format: docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vmctl.errors import StorageError
from vmctl.storage import commands
from vmctl.storage.space import writing

MAGIC = b"QFI\xfb"
FIXED = struct.Struct(">4sIQIIQI")  # magic, version, backing offset and length, cluster bits, size, encryption
FEATURES_AT = 72
EXTERNAL_DATA = 1 << 2  # incompatible feature: the guest's data lies in another file
LONGEST_NAME = 1023
BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Header:
    """What the first cluster says; `backing` is the name as written, None where there is none."""

    version: int
    virtual_bytes: int
    backing: str | None
    backing_at: int
    external_data: bool
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A qcow2 file that holds nothing yet: its length, and the pieces of it that are not zero."""

    length: int
    pieces: tuple[tuple[int, bytes], ...]
    backing_at: int

    def named(self, backing: str) -> Template:
        """The same with another backing name of the same length."""
        name = backing.encode()
        (at, first), *rest = self.pieces
        end = self.backing_at + len(name)
        return Template(self.length, ((at, first[: self.backing_at] + name + first[end:]), *rest), self.backing_at)


def read_header(path: Path) -> Header:
    """Read the head of a qcow2 file; raises StorageError when it is missing or is none."""
    try:
        with path.open("rb") as file:
            start = file.read(FEATURES_AT + 8)
            if len(start) < FEATURES_AT or not start.startswith(MAGIC):
                raise StorageError(
                    f"{path} is not a qcow2 file", remedy="restore it, or delete the object that names it"
                )
            _, version, backing_at, backing_length, _, size, encryption = FIXED.unpack_from(start)
            features = (
                struct.unpack_from(">Q", start, FEATURES_AT)[0] if version >= 3 and len(start) >= FEATURES_AT + 8 else 0
            )
            backing = None
            if backing_at:
                if backing_length > LONGEST_NAME:
                    raise StorageError(
                        f"{path} has a backing name of {backing_length} bytes", remedy="the file is damaged"
                    )
                file.seek(min(backing_at, 1 << 62))
                backing = file.read(backing_length).decode(errors="replace")
    except FileNotFoundError as error:
        raise StorageError(f"{path} does not exist", remedy="restore it, or delete the object that names it") from error
    return Header(version, size, backing, backing_at, bool(features & EXTERNAL_DATA), bool(encryption))


@lru_cache(maxsize=128)
def template(size_bytes: int, backing_length: int = 0) -> Template:
    """Make the template for a size and a length of backing name (0: none); qemu-img is asked once in a process."""
    name = "x" * backing_length
    # -u: qemu-img does not look for the backing file, which does not exist under this name
    backing = ["-u", "-F", "qcow2", "-b", name] if name else []
    import tempfile  # which imports a good deal more

    with writing(Path(tempfile.gettempdir()), "making an empty disk"), tempfile.TemporaryDirectory() as directory:
        commands.qemu_img(["create", "-q", "-f", "qcow2", *backing, "new", str(size_bytes)], Path(directory))
        path = Path(directory, "new")
        header = read_header(path)
        content = path.read_bytes()
    return Template(len(content), _pieces(content), header.backing_at)


def _pieces(content: bytes) -> tuple[tuple[int, bytes], ...]:
    zero = bytes(BLOCK)
    blocks = ((at, content[at : at + BLOCK]) for at in range(0, len(content), BLOCK))
    return tuple((at, block) for at, block in blocks if block != zero[: len(block)])
