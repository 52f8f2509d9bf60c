"""Objects in the store: read, applied, changed, marked, removed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from vmctl.errors import ChangeRefused, NotFoundError
from vmctl.resources import registry
from vmctl.resources.keys import Key
from vmctl.state import database, merging
from vmctl.state.section import Section
from vmctl.state.stored import COLUMNS, Document, Stored, encoded, from_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping


Applied = Literal["created", "configured", "unchanged"]
Listing = list[Stored]  # inside the class `list` is the method


class Objects(Section):
    """The objects. A change of desired state is on disk when the call returns, unless it is part of a batch."""

    __slots__ = ()

    def get(self, key: Key) -> Stored | None:
        """The object of that name; None where there is none."""
        with self._database.reading() as connection:
            return self._find(connection, key)

    def list(self, kind: str | None = None, namespace: str | None = None) -> Listing:
        """Objects of one kind and namespace, or of all, in the order of listings: kinds by priority, then by name."""
        wanted = {"kind": kind, "namespace": namespace}
        terms = [name for name, value in wanted.items() if value is not None]
        where = f"WHERE {' AND '.join(f'{name} = ?' for name in terms)}" if terms else ""
        found = self._select(where, [wanted[name] for name in terms])
        found.sort(key=_place)
        return found

    def since(self, version: int) -> tuple[int, Listing, set[str]]:
        """What has changed after a version: the version now, the objects, and the uids of all that there are."""
        with self._database.snapshot() as connection:
            now: int = connection.execute("SELECT value FROM meta WHERE name = 'resource_version'").fetchone()[0]
            found = self._read(connection, "WHERE resource_version > ?", (version,))
            uids = {uid for (uid,) in connection.execute("SELECT uid FROM objects")}
        found.sort(key=_place)
        return now, found, uids

    def apply(
        self,
        key: Key,
        document: Mapping[str, Any],
        *,
        source: str = "",
        file: str = "",
        line: int = 0,
        take_over: bool = False,
    ) -> tuple[Stored, Applied]:
        """Make the object say what the document says; labels, annotations, finalizers and owners are merged three ways.

        The generation moves only when something outside metadata changed. A document without a source leaves the owner
        as it is. Raises ChangeRefused when another source owns the object, unless `take_over`.
        """
        wanted = merging.normalised(key, document)
        with self._database.writing(durable=True) as connection:
            found = self._find(connection, key)
            if found is None:
                return self._insert(connection, key, wanted, source=source, file=file, line=line), "created"
            if source and found.source and source != found.source and not take_over:
                raise _owned_elsewhere(connection, found)
            merged = merging.merged(found.document, found.applied_meta, wanted)
            owned_elsewhere = bool(found.source and not source)
            place = (found.source, found.file, found.line) if owned_elsewhere else (source, file, line)
            return self._update(connection, found, merged, merging.applied_meta(wanted), place)

    def foresee(self, key: Key, document: Mapping[str, Any]) -> Document:
        """The document that `apply` would leave, labels and annotations merged; nothing is written."""
        wanted, found = merging.normalised(key, document), self.get(key)
        return wanted if found is None else merging.merged(found.document, found.applied_meta, wanted)

    def refuse_other_owners(self, keys: Iterable[Key], *sources: str) -> None:
        """Raise the ChangeRefused that `apply` would raise for an object that none of the sources owns, without
        writing.
        """
        with self._database.reading() as connection:
            for key in keys:
                found = self._find(connection, key)
                if found is not None and any(sources) and found.source and found.source not in sources:
                    raise _owned_elsewhere(connection, found)

    def replace(
        self, key: Key, document: Mapping[str, Any], *, resource_version: int | None = None
    ) -> tuple[Stored, Applied]:
        """Make the object say exactly what the document says, metadata included, creating it when it is missing.

        Its owner and place stay. With `resource_version`, raises ChangeRefused when the object has changed since that
        version was read.
        """
        wanted = merging.normalised(key, document)
        with self._database.writing(durable=True) as connection:
            found = self._find(connection, key)
            if resource_version is not None and (found is None or found.resource_version != resource_version):
                raise ChangeRefused(
                    f"{key.short} has changed while it was being edited", remedy="read it again and repeat the change"
                )
            if found is None:
                return self._insert(connection, key, wanted, source="", file="", line=0), "created"
            return self._update(connection, found, wanted, found.applied_meta, (found.source, found.file, found.line))

    def create(
        self, key: Key, document: Mapping[str, Any], *, source: str = "", file: str = "", line: int = 0, uid: str = ""
    ) -> Stored:
        """Add an object, with a new uid unless one is given (a machine that is found again has its own).

        Raises ChangeRefused when there is one of that name.
        """
        wanted = merging.normalised(key, document)
        with self._database.writing(durable=True) as connection:
            if self._find(connection, key) is not None:
                raise ChangeRefused(
                    f"{key.short} already exists", remedy="choose another name, or `apply` to change it"
                )
            return self._insert(connection, key, wanted, source=source, file=file, line=line, uid=uid)

    def set_status(self, uid: str, status: Mapping[str, Any]) -> bool:
        """Record the status of an object, and say whether it differed; an object that is gone has none.

        Not durable by itself: what a power cut takes away, the next pass observes again.
        """
        text = encoded(status)
        with self._database.reading() as connection:
            known = connection.execute("SELECT status FROM objects WHERE uid = ?", (uid,)).fetchone()
        if known is None or known[0] == text:
            return False
        with self._database.writing(durable=False) as connection:
            version = _next_version(connection)
            changed = connection.execute(
                "UPDATE objects SET status = ?, resource_version = ? WHERE uid = ? AND status <> ?",
                (text, version, uid, text),
            )
            return changed.rowcount > 0

    def mark_deleted(self, key: Key) -> Stored | None:
        """Set the deletion time, once; None where there is no such object. The object stays until it is removed."""
        with self._database.writing(durable=True) as connection:
            found = self._find(connection, key)
            if found is None or found.deleted is not None:
                return found
            connection.execute(
                "UPDATE objects SET deleted = ?, resource_version = ? WHERE uid = ?",
                (self._clock(), _next_version(connection), found.uid),
            )
            return self._find(connection, key)

    def remove(self, uid: str) -> None:
        """Forget an object, its settled mark, notes and journal; its events stay. Nothing when it is gone."""
        with self._database.writing(durable=True) as connection:
            for table in ("objects", "settled", "journal", "notes"):
                connection.execute(f"DELETE FROM {table} WHERE uid = ?", (uid,))  # noqa: S608  # names from the line above
            _next_version(connection)

    def inventory(self, source: str) -> Listing:
        """What a source owns, in the order of listings."""
        found = self._select("WHERE source = ? AND source <> ''", (source,))
        found.sort(key=_place)
        return found

    def owned(self, source: str) -> dict[Key, tuple[str, int]]:
        """The names of what a source owns, with the file and the line where each was read."""
        query = "SELECT kind, namespace, name, file, line FROM objects WHERE source = ? AND source <> ''"
        with self._database.reading() as connection:
            return {Key(*row[:3]): row[3:] for row in connection.execute(query, (source,))}

    def adopt(self, key: Key, source: str, file: str, line: int) -> None:
        """Let a source own the object, whoever did before. Raises NotFoundError when there is no such object."""
        with self._database.writing(durable=True) as connection:
            changed = connection.execute(
                "UPDATE objects SET source = ?, file = ?, line = ? WHERE kind = ? AND namespace = ? AND name = ?",
                (source, file, line, *key),
            )
            if not changed.rowcount:
                raise NotFoundError(f"{key.short} does not exist")

    def _find(self, connection: sqlite3.Connection, key: Key) -> Stored | None:
        found = self._read(connection, "WHERE kind = ? AND namespace = ? AND name = ?", key)
        return found[0] if found else None

    def _select(self, where: str, values: Iterable[Any]) -> Listing:
        with self._database.reading() as connection:
            return self._read(connection, where, values)

    def _read(self, connection: sqlite3.Connection, where: str, values: Iterable[Any]) -> Listing:
        query = f"SELECT {COLUMNS} FROM objects {where}"  # noqa: S608  # `where` holds our own words, values are bound
        rows = connection.execute(query, tuple(values)).fetchall()
        try:
            return [from_row(row) for row in rows]
        except ValueError as error:
            raise database.damaged(self._database.path, f"an object in it is no JSON ({error})") from error

    def _insert(
        self,
        connection: sqlite3.Connection,
        key: Key,
        wanted: Document,
        *,
        source: str,
        file: str,
        line: int,
        uid: str = "",
    ) -> Stored:
        new = Stored(
            key=key,
            uid=uid or new_uid(),
            generation=1,
            resource_version=_next_version(connection),
            document=wanted,
            status={},
            created=self._clock(),
            deleted=None,
            source=source,
            file=file,
            line=line,
            applied_meta=merging.applied_meta(wanted),
        )
        connection.execute(
            f"INSERT INTO objects ({COLUMNS}) VALUES (?, ?, ?, ?, 1, ?, ?, '{{}}', ?, NULL, ?, ?, ?, ?)",  # noqa: S608  # our own names
            (
                new.uid,
                *key,
                new.resource_version,
                encoded(wanted),
                new.created,
                source,
                file,
                line,
                encoded(new.applied_meta),
            ),
        )
        return new

    def _update(
        self,
        connection: sqlite3.Connection,
        found: Stored,
        wanted: Document,
        applied: Document,
        place: tuple[str, str, int],
    ) -> tuple[Stored, Applied]:
        """Write what differs. A document that only moved to another file or owner counts as unchanged."""
        text = encoded(wanted)
        changed = text != encoded(found.document)
        if not changed and applied == found.applied_meta and place == (found.source, found.file, found.line):
            return found, "unchanged"
        generation = found.generation + (changed and not merging.same_intent(wanted, found.document))
        version = _next_version(connection) if changed else found.resource_version
        connection.execute(
            "UPDATE objects SET generation = ?, resource_version = ?, document = ?, source = ?, file = ?, line = ?,"
            " applied = ? WHERE uid = ?",
            (generation, version, text, *place, encoded(applied), found.uid),
        )
        source, file, line = place
        updated = replace(
            found,
            generation=generation,
            resource_version=version,
            document=wanted,
            source=source,
            file=file,
            line=line,
            applied_meta=applied,
        )
        return updated, "configured" if changed else "unchanged"


def new_uid() -> str:
    """A random uuid, version 4."""
    import uuid  # 2 ms that reading verbs need not pay

    return str(uuid.UUID(bytes=os.urandom(16), version=4))


def _place(stored: Stored) -> tuple[int, str, str, str]:
    kind = registry.BY_NAME.get(stored.key.kind)
    return (kind.priority if kind else 99, *stored.key)


def _next_version(connection: sqlite3.Connection) -> int:
    """One counter for the whole store, as in a cluster: a later change has a greater number, whatever it changed."""
    query = "UPDATE meta SET value = value + 1 WHERE name = 'resource_version' RETURNING value"
    found: int = connection.execute(query).fetchone()[0]
    return found


def _owned_elsewhere(connection: sqlite3.Connection, found: Stored) -> ChangeRefused:
    row = connection.execute("SELECT directory FROM sources WHERE id = ?", (found.source,)).fetchone()
    owner = row[0] if row else found.source
    where = f" ({found.file}:{found.line})" if found.file else ""
    return ChangeRefused(
        f"{found.key.short} belongs to {owner}{where}",
        remedy="change it there, or add --take-over to move it to this directory",
    )
