"""Checksums of what was downloaded: all that are given must match, over the bytes as they came."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from vmctl.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
STRONG = frozenset({"sha256", "sha512"})
# GOST R 34.11-2012: neither Python nor OpenSSL without an engine has it, and no maintained package computes it.
UNAVAILABLE = frozenset({"streebog256", "streebog512"})


def problem(checksums: Mapping[str, str]) -> str:
    """Say what is wrong with checksums as given in a manifest; empty when nothing is."""
    for name, value in checksums.items():
        if name in UNAVAILABLE:
            return f"checksum {name} cannot be computed here; give sha256 or sha512 instead"
        if name not in DIGITS:
            return f"checksum {name} is not known; known are {', '.join(DIGITS)}"
        if not re.fullmatch(f"[0-9a-fA-F]{{{DIGITS[name]}}}", value):
            return f"checksum {name} must be {DIGITS[name]} hexadecimal digits"
    return ""


class Digests:
    """Running digests over a stream; `length` is how many bytes they cover."""

    def __init__(self, expected: Mapping[str, str]) -> None:
        self.expected = expected
        self.reset()

    def reset(self) -> None:
        """Forget everything: the stream starts over."""
        self.length = 0
        self._running = [(name, hashlib.new(name, usedforsecurity=False)) for name in self.expected]

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.length += len(chunk)
        for _, running in self._running:
            running.update(chunk)

    def verify(self, what: str) -> None:
        """Raise StorageError, with both values, unless every checksum matches."""
        for name, running in self._running:
            found, wanted = running.hexdigest(), self.expected[name].lower()
            if found != wanted:
                raise StorageError(
                    f"{name} of {what} is {found}, expected {wanted}",
                    remedy="correct the checksum in the manifest, or find out why the file is another one",
                )
