"""Where image bytes come from: an HTTP source as a value, and `fetch`, which brings it to a local file.

Cheap to import; what speaks HTTP is loaded with the first transfer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

from vmctl.errors import StorageError
from vmctl.storage import checksums
from vmctl.storage.commands import never

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Stage = Literal["download", "unpack", "convert"]
REPORT_S = 0.2


@dataclass(frozen=True, slots=True)
class HttpSource:
    """An image behind a URL; `checksums` maps md5, sha1, sha256, sha512 to hex, `ca_bundle` is base64 of PEM."""

    url: str = field(repr=False)
    checksums: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    ca_bundle: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The URL for messages: a password in it stays out."""
        parts = urlsplit(self.url)
        return urlunsplit(
            parts._replace(netloc=parts.netloc.rpartition("@")[2], query="" if "@" in parts.netloc else parts.query)
        )

    @property
    def host(self) -> str:
        """Host and port for messages and requests."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is; `total_bytes` is None as long as nobody knows. Speeds are those of the download."""

    stage: Stage
    received_bytes: int
    total_bytes: int | None
    current_bytes_per_s: float = 0.0
    average_bytes_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete, verified file."""

    size_bytes: int
    average_bytes_per_s: float


def silent(_: Progress) -> None:
    """The listener of a caller that wants no progress."""


def throttled(listener: Callable[[Progress], None], clock: Callable[[], float]) -> Callable[[Progress], None]:
    """Make a listener that hears of each stage's beginning and end, and a few times a second in between."""
    heard: Progress | None = None
    at = 0.0

    def listen(seen: Progress) -> None:
        nonlocal heard, at
        now = clock()
        begun = heard is None or seen.stage != heard.stage
        ended = seen.received_bytes == seen.total_bytes and (heard is None or heard.received_bytes != seen.total_bytes)
        if begun or ended or now - at >= REPORT_S:
            heard, at = seen, now
            listener(seen)

    return listen


def problem(source: HttpSource) -> str:
    """Say what no transfer from this source can get over; empty when nothing is. For validation, and for `fetch`."""
    if not _addressable(source.url):
        return f"{source.shown} is not an http or https URL"
    if wrong := checksums.problem(source.checksums):
        return wrong
    if source.ca_bundle:
        from vmctl.storage import transport

        return transport.bundle_problem(source.ca_bundle)
    return ""


def _addressable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets without an IPv6 address
        return False


def fetch(
    source: HttpSource,
    into: Path,
    *,
    progress: Callable[[Progress], None] = silent,
    cancelled: Callable[[], bool] = never,
    clock: Callable[[], float] = time.monotonic,
) -> Fetched:
    """Download to `into`, going on where an earlier attempt stopped, and verify the checksums.

    What arrived survives an interruption beside a small record (`into` + `.json`). Raises TransferInterrupted when a
    later call can go on (also when cancelled), DiskFull, or StorageError; wrong bytes are removed. `cancelled` is asked
    from another thread too.
    """
    if wrong := problem(source):
        raise StorageError(wrong, remedy="correct the data source in the manifest")
    from vmctl.storage.downloading import Download

    return Download(source, into, Meter(progress, clock), cancelled).run()


class Meter:
    """Turns counts of bytes into Progress, a few times a second."""

    def __init__(self, listener: Callable[[Progress], None], clock: Callable[[], float]) -> None:
        self._listener = listener
        self.clock = clock
        self._begin = self._last = clock()
        self._fresh = 0  # bytes that came over the network since the beginning
        self._recent = 0
        self._current = 0.0

    @property
    def average_bytes_per_s(self) -> float:
        """The speed of what came over the network since the beginning."""
        return self._fresh / max(self.clock() - self._begin, 1e-6)

    def count(self, arrived: int, received: int, total: int | None) -> None:
        """Take note of `arrived` new bytes, `received` in all."""
        self._fresh += arrived
        self._recent += arrived
        elapsed = self.clock() - self._last
        if elapsed >= REPORT_S:
            self._current = self._recent / elapsed
            self._recent, self._last = 0, self._last + elapsed
            self.report(received, total)

    def report(self, received: int, total: int | None) -> None:
        """Tell the listener now."""
        self._listener(
            Progress("download", received, total, self._current or self.average_bytes_per_s, self.average_bytes_per_s)
        )
