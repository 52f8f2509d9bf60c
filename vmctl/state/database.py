"""Connections to the SQLite file: who may read and write when, how durable a write is, and what SQLite's errors mean.

One writer per process, guarded by a lock; readers take a connection each from a pool, so that nobody waits for a long
batch to read. A thread inside its own transaction reads through it and so sees what it has written. Knows nothing of
what the tables hold.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from vmctl.errors import Bug, Corrupt, Locked, StateError
from vmctl.state import migrations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "vmctl.db"
_BUSY_TIMEOUT_S = 30.0
_HARMLESS = {"README.md", "manifests.cache"}  # what may lie in a state directory before there is a store
_WAL_LIMIT_BYTES = 16 << 20  # a batch of ten thousand objects leaves a long log behind: cut it at the next checkpoint
_KEPT = 8  # connections for reading, each with the statements it has prepared


def translated(error: sqlite3.Error, path: Path) -> StateError | Bug:
    """The error a user can act on for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the primary code stands in the low byte
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked(
            f"another process has been writing {path} for more than {_BUSY_TIMEOUT_S:.0f} s",
            remedy=f"find it with `fuser {path}`; try again when it is done",
        )
    if code == sqlite3.SQLITE_FULL:
        return StateError(
            f"no space is left for the state database {path}: nothing was recorded",
            remedy=f"free some space on the file system of {path.parent} and try again",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StateError(
            f"the state database {path} cannot be opened or written: {error}",
            remedy=f"{path.parent} must belong to you, on a writable file system; or name another --state-dir",
        )
    if code == sqlite3.SQLITE_IOERR:
        return StateError(
            f"the disk under {path} fails: {error}",
            remedy="see the kernel's log (`dmesg`) and the free space of the file system",
        )
    return Bug(f"the state database refuses a statement: {error}")


def damaged(path: Path, why: str) -> Corrupt:
    """The error for a file that is no longer what we wrote."""
    return Corrupt(
        f"the state database {path} is damaged: {why}",
        remedy=f"bring {path} back from a backup, or move it away and apply the manifests again",
    )


def denied(error: OSError, path: Path) -> StateError:
    """The error for a state directory that the operating system does not let us use."""
    return StateError(
        f"the state directory {path} cannot be used: {error.strerror or error}",
        remedy="run as the user it belongs to, free space, or name another --state-dir",
    )


class Database:
    """The connections of one process to one file; safe to share between threads."""

    def __init__(self, path: Path, *, readonly: bool) -> None:
        self.path = path
        self.readonly = readonly
        self._lock = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._durable = False  # what the writer's `synchronous` stands at
        self._depth = 0
        self._owner = 0  # the thread inside a transaction
        self._idle: list[sqlite3.Connection] = []
        self._watching: sqlite3.Connection | None = None

    def prepare(self) -> None:
        """Create the file when it is missing and bring its shape up to date; a read-only one is left missing."""
        try:
            if self.readonly:
                self._prepare_reading()
            else:
                _create(self.path)
                self._writer = self._open("rw")
                self._writer.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
                self._writer.execute("PRAGMA synchronous = NORMAL")
                if migrations.version(self._writer) != migrations.LATEST:
                    migrations.migrate(self._writer)
        except sqlite3.Error as error:
            self.close()
            raise translated(error, self.path) from error
        except OSError as error:
            self.close()
            raise denied(error, self.path.parent) from error

    def _prepare_reading(self) -> None:
        if not self.path.exists():
            return
        with self.reading() as connection:
            found = migrations.version(connection)
        migrations.refuse_newer(found)
        if found < migrations.LATEST:
            upgrade = Database(self.path, readonly=False)
            upgrade.prepare()
            upgrade.close()

    def _open(self, mode: str) -> sqlite3.Connection:
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        # Every connection is used by one thread at a time, but not always by the same one.
        return sqlite3.connect(
            address, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )

    def _open_reader(self) -> sqlite3.Connection:
        connection = self._open("ro")
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            writable = not os.statvfs(self.path.parent).f_flag & os.ST_RDONLY
            if writable or self.path.with_name(f"{FILE}-wal").exists():
                raise
            # A read-only file system: the log that WAL wants cannot be made. Without a log the file is complete.
            connection = self._open("ro&immutable=1")
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; a missing file reads as an empty database."""
        if self._owner == threading.get_ident() and self._writer is not None:
            yield self._writer
            return
        try:
            if not self._idle and self.readonly and not self.path.exists():
                with closing(_empty()) as connection:
                    yield connection
                return
            connection = self._taken()
            try:
                yield connection
            finally:
                self._put_back(connection)
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection whose statements all see the database as it was at the first of them."""
        with self.reading() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")

    def _taken(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._open_reader()

    def _put_back(self, connection: sqlite3.Connection) -> None:
        """Keep a connection for the next reader, unless enough are kept: one burst must not hold memory for ever."""
        if len(self._idle) < _KEPT:
            self._idle.append(connection)
        else:
            connection.close()

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """One transaction, or a part of the one this thread is in; `durable` waits until the disk has it.

        An exception rolls all of it back.
        """
        with self._lock:
            if self._writer is None:
                raise Bug("a store that was opened for reading, or closed, was asked to write")
            try:
                if self._depth == 0:
                    self._begin(self._writer, durable=durable)
                self._depth += 1
                try:
                    yield self._writer
                    if self._depth == 1:
                        self._writer.execute("COMMIT")
                except BaseException:
                    if self._depth == 1 and self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
                finally:
                    self._depth -= 1
                    if self._depth == 0:
                        self._owner = 0
            except sqlite3.Error as error:
                raise translated(error, self.path) from error

    def _begin(self, writer: sqlite3.Connection, *, durable: bool) -> None:
        if durable != self._durable:
            writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        writer.execute("BEGIN IMMEDIATE")
        self._owner = threading.get_ident()

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside a transaction, so that nothing it writes is durable yet."""
        return self._owner == threading.get_ident()

    def data_version(self) -> int:
        """A number that differs from the last one when anybody, in this process or another, has committed since."""
        with self._lock:
            try:
                if self._watching is None:
                    if self.readonly and not self.path.exists():
                        return 0
                    self._watching = self._open_reader()
                found: int = self._watching.execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error as error:
                raise translated(error, self.path) from error
            return found

    def close(self) -> None:
        """Close every connection; the last process to do so folds the log into the file."""
        with self._lock:
            for connection in (*self._idle, self._watching, self._writer):
                if connection is not None:
                    connection.close()
            self._idle.clear()
            self._watching = self._writer = None


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrations.migrate(connection)
    return connection


def _create(path: Path) -> None:
    """Make directory and file, the file complete or not at all, however many processes try at once or die meanwhile."""
    if path.exists():
        return
    fresh = not path.parent.exists()
    if fresh:
        path.parent.mkdir(parents=True, exist_ok=True)
    if fresh or {entry.name for entry in path.parent.iterdir()} <= _HARMLESS:
        path.parent.chmod(0o711)  # a directory that holds other things is somebody else's: its mode stays
    guard = os.open(path.parent / "create.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not path.exists():
            _build(path)
    finally:
        os.close(guard)


def _build(path: Path) -> None:
    new = path.with_name(f"{path.name}.new")
    for leftover in (new, new.with_name(f"{new.name}-wal"), new.with_name(f"{new.name}-shm")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(new, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        migrations.migrate(connection)
    finally:
        connection.close()
    new.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
