"""A download that survives cut connections, killed processes, power cuts, changed files and servers without ranges.

What arrived lies in one file, what must be true for going on in a small record beside it. The record names how much is
known to be on the disk; within one boot of the host the whole file is trusted, because the page cache survives us.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.errors import StorageError, TransferInterrupted
from vmctl.storage import transport
from vmctl.storage.bounds import RESERVE_BYTES
from vmctl.storage.checksums import Digests
from vmctl.storage.commands import stopped
from vmctl.storage.sources import Fetched
from vmctl.storage.space import disk_full, free_bytes, writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.storage.sources import HttpSource, Meter

CHUNK = 1 << 20
SYNC_S = 5.0
ATTEMPTS = 4  # in a row without anything new arriving
WORTHWHILE = 64 << 10  # bytes; a round of attempts that brought as much is followed by another
# stamina warns of each retry; without this, Python would print that to stderr where no logging is set up
logging.getLogger("stamina").addHandler(logging.NullHandler())
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Arrived:
    """The record beside a partial file. `validator` is an ETag or a date, `synced` counts bytes that are durable."""

    source: str
    validator: str = ""
    total: int | None = None
    synced: int = 0
    boot: str = ""


class Download:
    """One file on its way. `run` may be called once."""

    def __init__(self, source: HttpSource, into: Path, meter: Meter, cancelled: Callable[[], bool]) -> None:
        self._source = source
        self._into = into
        self._meter = meter
        self._cancelled = cancelled
        self._digests = Digests(source.checksums)
        self._identity = hashlib.sha256(source.url.encode()).hexdigest()  # the URL itself may hold a password
        self._boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        self._record = self._load()
        self._received = 0
        self._continued = False

    def run(self) -> Fetched:
        """Transfer until everything is there, then verify."""
        self._persist()
        try:
            self._verify()
        except StorageError:
            if not self._continued or self._cancelled():
                raise
            # Two halves of different files look like this; once more, from the beginning, tells.
            self._persist()
            self._verify()
        self._meter.report(self._received, self._received)
        return Fetched(self._received, self._meter.average_bytes_per_s)

    def _verify(self) -> None:
        """Compare the checksums; what does not match is thrown away."""
        self._digest_up_to(self._received)
        try:
            self._digests.verify(self._source.shown)
        except StorageError:
            self._forget()
            raise

    def _persist(self) -> None:
        """Try a few times with growing pauses, and go on for as long as each round brings something."""
        import stamina

        furthest = 0
        while True:
            try:
                for attempt in stamina.retry_context(
                    on=self._worth_retrying,
                    attempts=ATTEMPTS,
                    timeout=60,
                    wait_initial=0.2,
                    wait_max=5,
                    wait_jitter=0.2,
                ):
                    with attempt:
                        return self._transfer()
            except TransferInterrupted:
                if self._cancelled() or self._received < furthest + WORTHWHILE:
                    raise
                furthest = self._received

    def _worth_retrying(self, error: Exception) -> bool:
        return isinstance(error, TransferInterrupted) and not self._cancelled()

    def _transfer(self) -> None:
        """Ask for what is missing and take it in."""
        offset = self._offset()
        if offset and offset == self._record.total:
            self._received, self._continued = offset, True
            return
        reply = transport.ask(self._source, offset, self._record.validator)
        if reply is None or not self._fits(reply, offset):
            if reply is not None:
                reply.stream.close()
            self._forget()
            offset, reply = 0, transport.ask(self._source, 0, "")
            if reply is None or reply.start:
                raise TransferInterrupted(f"{self._source.host} sent a part of the file that was not asked for")
        with reply.stream, transport.cut_when(reply.stream, self._cancelled):
            self._room(reply)
            self._receive(reply)

    def _fits(self, reply: transport.Reply, offset: int) -> bool:
        """Tell whether an answer starts where we may go on: at our offset of the same file, or at the beginning."""
        if reply.start == 0:
            return True
        same = reply.total in (None, self._record.total) or self._record.total is None
        # A server that ignores If-Range still shows that the file is another one.
        return reply.start == offset and same and reply.validator in ("", self._record.validator)

    def _offset(self) -> int:
        """How much of what is there can be gone on from."""
        try:
            size = self._into.stat().st_size
        except FileNotFoundError:
            return 0
        if self._record.boot != self._boot:
            size = min(size, self._record.synced)
        # Without a validator only a checksum would notice that the file changed meanwhile.
        known = self._record.validator or self._source.checksums or size == self._record.total
        return size if known else 0

    def _room(self, reply: transport.Reply) -> None:
        if reply.total is None:
            return
        directory = self._into.parent
        there = self._into.stat().st_size if self._into.exists() else 0
        if reply.total - there > free_bytes(directory) - RESERVE_BYTES:
            raise disk_full(directory, f"downloading {self._source.shown}", reply.total - there)

    def _receive(self, reply: transport.Reply) -> None:
        """Write the answer to the file from its start on; raises TransferInterrupted when it ends early."""
        self._received = reply.start
        self._continued = self._continued or reply.start > 0
        doing = f"downloading {self._source.shown}"
        with writing(self._into.parent, doing, reply.total):
            descriptor = os.open(self._into, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with writing(self._into.parent, doing, reply.total):
                os.ftruncate(descriptor, reply.start)
                os.lseek(descriptor, reply.start, os.SEEK_SET)
                kept = self._record if reply.start else Arrived(self._identity)
                self._note(
                    replace(
                        kept,
                        validator=reply.validator or kept.validator,
                        total=reply.total,
                        synced=min(kept.synced, reply.start),
                        boot=self._boot,
                    )
                )
            self._digest_up_to(reply.start)
            try:
                self._pump(reply, descriptor)
                self._expect_all(reply)
            except BaseException:
                with suppress(StorageError):  # what ended the transfer is worth telling, not what came of it
                    self._sync(descriptor)
                raise
        finally:
            os.close(descriptor)
        self._note(replace(self._record, total=self._received))

    def _expect_all(self, reply: transport.Reply) -> None:
        if reply.total is not None and self._received < reply.total:
            raise TransferInterrupted(
                f"{self._source.host} broke off after {self._received} of {reply.total} bytes",
                remedy="it is tried again",
            )

    def _pump(self, reply: transport.Reply, descriptor: int) -> None:
        synced_at = self._meter.clock()
        while self._received != reply.total:
            if self._cancelled():
                raise stopped(f"the download of {self._source.shown}")
            chunk = self._next_chunk(reply)
            if not chunk:
                return
            with writing(self._into.parent, f"downloading {self._source.shown}", reply.total):
                _write(descriptor, chunk)
            self._digests.update(chunk)
            self._received += len(chunk)
            self._meter.count(len(chunk), self._received, reply.total)
            if self._meter.clock() - synced_at > SYNC_S:
                self._sync(descriptor)
                synced_at = self._meter.clock()

    def _next_chunk(self, reply: transport.Reply) -> bytes:
        """Take what the connection has; empty at its end, which is no end when we cut it ourselves."""
        try:
            chunk = reply.stream.read1(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            if self._cancelled():
                raise stopped(f"the download of {self._source.shown}") from error
            raise transport.failure(self._source, error) from error
        if not chunk and self._cancelled():
            raise stopped(f"the download of {self._source.shown}")
        return chunk

    def _sync(self, descriptor: int) -> None:
        """Make what arrived durable, and say so in the record."""
        with writing(self._into.parent, f"downloading {self._source.shown}"):
            os.fdatasync(descriptor)
            self._note(replace(self._record, synced=self._received))

    def _digest_up_to(self, length: int) -> None:
        """Bring the digests to cover exactly the first `length` bytes of the file."""
        if not self._source.checksums or self._digests.length == length:
            return
        self._digests.reset()
        with writing(self._into.parent, "verifying a download"), self._into.open("rb", buffering=0) as file:
            while self._digests.length < length:
                if self._cancelled():
                    raise stopped(f"the download of {self._source.shown}")
                chunk = file.read(min(CHUNK, length - self._digests.length))
                if not chunk:
                    raise TransferInterrupted(f"{self._into} became shorter while it was read")
                self._digests.update(chunk)

    @property
    def _record_path(self) -> Path:
        return self._into.with_name(self._into.name + ".json")

    def _load(self) -> Arrived:
        """Read the record; one that is damaged, or of another source, counts as none."""
        try:
            found = Arrived(**json.loads(self._record_path.read_text()))
        except (OSError, ValueError, TypeError):
            return Arrived(self._identity)
        return found if found.source == self._identity else Arrived(self._identity)

    def _note(self, record: Arrived) -> None:
        self._record = record
        passing = self._into.with_suffix(".new")
        with writing(self._into.parent, "recording a download"):
            try:
                passing.write_text(json.dumps(asdict(record)))
                passing.rename(self._record_path)
            except OSError:
                passing.unlink(missing_ok=True)
                raise

    def _forget(self) -> None:
        """Start over: nothing of what arrived is used."""
        self._record_path.unlink(missing_ok=True)
        self._into.unlink(missing_ok=True)
        self._record = Arrived(self._identity)
        self._received = 0
        self._digests.reset()


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]
