"""The shape of the database, as numbered steps from every earlier shape.

A step, once released, is never edited: a new shape is a new step at the end, and `tests/state/versions` gains a dump of
the shape before it. `PRAGMA user_version` holds the number of the last step that was taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.errors import StateError

if TYPE_CHECKING:
    import sqlite3

_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('resource_version', 0);

CREATE TABLE objects (
    uid TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    resource_version INTEGER NOT NULL,
    document TEXT NOT NULL,
    status TEXT NOT NULL,
    created REAL NOT NULL,
    deleted REAL,
    source TEXT NOT NULL,
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    applied TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX objects_by_key ON objects (kind, namespace, name);
CREATE INDEX objects_by_source ON objects (source) WHERE source <> '';

CREATE TABLE notes (
    uid TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (uid, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE settled (uid TEXT PRIMARY KEY, digest TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE sources (
    id TEXT PRIMARY KEY,
    directory TEXT NOT NULL,
    revision TEXT NOT NULL,
    seen REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    uid TEXT NOT NULL,
    type TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    count INTEGER NOT NULL,
    first REAL NOT NULL,
    last REAL NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_text ON events (kind, namespace, name, uid, type, reason, message);
CREATE INDEX events_by_age ON events (last);

CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL,
    step TEXT NOT NULL,
    detail TEXT NOT NULL,
    begun REAL NOT NULL
) STRICT;
CREATE INDEX journal_by_uid ON journal (uid);

CREATE TABLE layers (
    id TEXT PRIMARY KEY,
    storage_class TEXT NOT NULL,
    backing TEXT,
    owner TEXT,
    purpose TEXT NOT NULL,
    size INTEGER NOT NULL,
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""

_ONCE = """
CREATE TABLE once (
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (source, kind, namespace, name)
) STRICT, WITHOUT ROWID;
"""

STEPS: tuple[str, ...] = (_FIRST, _ONCE)
LATEST = len(STEPS)


def version(connection: sqlite3.Connection) -> int:
    """The number of the last step this database has taken; 0 when it is new."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def refuse_newer(found: int) -> None:
    """Raise StateError when a later version of vmctl made the database."""
    if found > LATEST:
        raise StateError(
            f"the state database has version {found}, this vmctl knows versions up to {LATEST}",
            remedy="a newer vmctl wrote it: use that one",
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Take the steps that are missing, all or none of them; another process doing the same is waited for."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = version(connection)
        refuse_newer(found)
        for number, step in enumerate(STEPS[found:], start=found + 1):
            for statement in step.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
