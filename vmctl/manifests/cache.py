"""What files came to when they were last read, so that an unchanged file costs a hash and no parser.

One SQLite file that only its owner may read, because Secrets lie in it. It is never trusted and never an error: entries
carry a checksum, all of them go when the program or its models change, and a file that is damaged, locked or not
writable is as good as none. An entry leaves when its file is gone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import sqlite3
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import vmctl
from vmctl.errors import Problem
from vmctl.manifests.reading import Entry, Reading
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = logging.getLogger(__name__)
FORM = 1  # of the payload
BUSY_TIMEOUT_S = 2.0
CHECK_BYTES = 16
BLAMELESS = frozenset(  # errors that say nothing against the file itself
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
    }
)
CODE = ("resources", "manifests")  # packages whose change may change what a file comes to


def fingerprint(data: bytes, *, is_json: bool, namespace: str) -> bytes:
    """Name all that a reading depends on beside the program: the bytes, and how they are meant."""
    return hashlib.sha256(f"{int(is_json)}{namespace}\0".encode() + data).digest()


def stamp() -> bytes:
    """Name the program that made a reading: version, Python, pydantic, and our code as it lies on disk."""
    home = Path(vmctl.__file__).parent
    facts: list[object] = [FORM, vmctl.__version__, sys.version_info[:3]]
    sources = [source for part in CODE for source in sorted((home / part).glob("*.py"))]
    spec = importlib.util.find_spec("pydantic")
    if spec and spec.origin:
        sources.append(Path(spec.origin))
    for source in sources:
        status = source.stat()
        facts.append((source.name, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(facts).encode()).digest()


class ParseCache:
    """Readings by path and fingerprint, in one file; use it as a context manager, or call `flush` and `close`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._database: sqlite3.Connection | None = None
        self._fresh: dict[str, tuple[bytes, Reading]] = {}
        self._used: set[str] = set()
        with self._forgiving():
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self.close()

    def get(self, path: str, content: bytes) -> Reading | None:
        """What was kept for the file `path`, if its fingerprint is still `content`."""
        self._used.add(path)
        reading = None
        with self._forgiving():
            if self._database is not None:
                query = "SELECT payload FROM reading WHERE path = ? AND content = ?"
                row = self._database.execute(query, (os.fsencode(path), content)).fetchone()
                reading = _unpacked(row[0]) if row else None
        return reading

    def put(self, path: str, content: bytes, reading: Reading) -> None:
        """Keep what a file came to, from the next `flush` on; a file with problems is read again every time."""
        if not reading.problems:
            self._fresh[path] = (content, reading)

    def flush(self) -> None:
        """Write what is new and drop entries whose file is gone, in one transaction; without news, write nothing."""
        fresh, self._fresh = self._fresh, {}
        with self._forgiving():
            if self._database is None or not fresh:
                return
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                rows = ((os.fsencode(path), content, _packed(reading)) for path, (content, reading) in fresh.items())
                self._database.executemany("INSERT OR REPLACE INTO reading VALUES (?, ?, ?)", rows)
                known = {os.fsdecode(path) for (path,) in self._database.execute("SELECT path FROM reading")}
                gone = [(os.fsencode(path),) for path in known - self._used if not Path(path).exists()]
                self._database.executemany("DELETE FROM reading WHERE path = ?", gone)

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA synchronous = OFF")  # what a power cut damages is read again
        tables = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        current = stamp()
        if "stamp" in tables and self._database.execute("SELECT value FROM stamp").fetchall() == [(current,)]:
            return
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            for name in tables:
                self._database.execute(f'DROP TABLE "{name}"')
            self._database.execute("CREATE TABLE stamp (value BLOB NOT NULL)")
            self._database.execute("INSERT INTO stamp VALUES (?)", (current,))
            columns = "path BLOB PRIMARY KEY, content BLOB NOT NULL, payload BLOB NOT NULL"
            self._database.execute(f"CREATE TABLE reading ({columns})")

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Go on without a cache when it fails; remove the file when it is damaged, so that the next one is good."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError, LookupError) as error:
            LOG.debug("the cache of manifests %s is not used: %s", self._path, error)
            self.close()
            if _damaged(error):
                self._path.unlink(missing_ok=True)


def _damaged(error: Exception) -> bool:
    """Whether an error means that the file is not what we wrote, rather than that it cannot be had just now."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_BUSY)  # our own misuse has none
        return code & 0xFF not in BLAMELESS
    return not isinstance(error, OSError)


def _packed(reading: Reading) -> bytes:
    content = {
        "entries": [
            [*entry.key, entry.line, entry.generate_name, entry.digest, entry.acts, entry.document]
            for entry in reading.entries
        ],
        "warnings": [_problem_packed(problem) for problem in reading.warnings],
        "not_acting": [_problem_packed(problem) for problem in reading.not_acting],
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    return hashlib.blake2b(text, digest_size=CHECK_BYTES).digest() + text


def _unpacked(payload: bytes) -> Reading:
    """Read a payload; raises ValueError when it is not what was written."""
    check, text = payload[:CHECK_BYTES], payload[CHECK_BYTES:]
    if hashlib.blake2b(text, digest_size=CHECK_BYTES).digest() != check:
        raise ValueError("an entry is damaged")
    content = json.loads(text)
    return Reading(
        entries=[Entry(Key(kind, namespace, name), *fields) for kind, namespace, name, *fields in content["entries"]],
        warnings=[Problem("", *fields) for fields in content["warnings"]],
        not_acting=[Problem("", *fields) for fields in content["not_acting"]],
    )


def _problem_packed(problem: Problem) -> list[Any]:
    return [problem.line, problem.column, problem.what, problem.remedy, problem.text, problem.path, problem.warning]
