"""How large an image of unknown origin may become: a few kilobytes can claim to be petabytes."""

from __future__ import annotations

from dataclasses import dataclass

from vmctl.errors import StorageError
from vmctl.storage.space import shown

RESERVE_BYTES = 16 << 20  # left for the rest of the file system: the store itself may live there


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of an import: its disk, its unpacked file with all holes, and the data in it against the bytes that came.

    Zeros cost nothing here (they become holes), and real data never shrinks two hundred times; small files may.
    """

    virtual_bytes: int = 16 << 40
    unpacked_bytes: int = 4 << 40
    expansion: int = 200
    expansion_from_bytes: int = 1 << 30

    def data_bytes(self, source_bytes: int) -> int:
        """How much data may come out of so many bytes."""
        return max(self.expansion_from_bytes, self.expansion * source_bytes)


def too_much(limit_bytes: int) -> StorageError:
    """Make the error for an image that grows beyond its bounds."""
    return StorageError(
        f"the image unpacks to more than {shown(limit_bytes)}",
        remedy="it is damaged or malicious; take it from another source",
    )
