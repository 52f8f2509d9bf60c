"""Steps in flight: written down before an effect starts, struck out after it, so that a kill leaves a trace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from vmctl.errors import Bug
from vmctl.state.database import damaged
from vmctl.state.section import Section
from vmctl.state.stored import Document, encoded

if TYPE_CHECKING:
    from collections.abc import Mapping


class Entry(NamedTuple):
    """A step that was begun and has not been finished; `begun` in epoch seconds."""

    id: int
    uid: str
    step: str
    detail: Document
    begun: float


class Journal(Section):
    """Steps in flight, and the digests of what is known to be settled."""

    __slots__ = ()

    def begin(self, uid: str, step: str, detail: Mapping[str, Any]) -> int:
        """Write down a step that is about to start, and return its number; the disk has it when this returns."""
        if self._database.in_transaction:
            raise Bug("a step was begun inside a batch, where nothing is durable yet")
        with self._database.writing(durable=True) as connection:
            row = connection.execute(
                "INSERT INTO journal (uid, step, detail, begun) VALUES (?, ?, ?, ?) RETURNING id",
                (uid, step, encoded(detail), self._clock()),
            ).fetchone()
        number: int = row[0]
        return number

    def finish(self, number: int) -> None:
        """Strike out a step. When a power cut loses this, the step is only done again: steps are idempotent."""
        with self._database.writing(durable=False) as connection:
            connection.execute("DELETE FROM journal WHERE id = ?", (number,))

    def unfinished(self) -> list[Entry]:
        """The steps that were begun and not finished, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT id, uid, step, detail, begun FROM journal ORDER BY id").fetchall()
        try:
            return [Entry(number, uid, step, json.loads(detail), begun) for number, uid, step, detail, begun in rows]
        except ValueError as error:
            raise damaged(self._database.path, f"a step in its journal is no JSON ({error})") from error

    def settled(self) -> dict[str, str]:
        """By uid, the digest of all that went into a pass which found or left nothing to do."""
        with self._database.reading() as connection:
            return dict(connection.execute("SELECT uid, digest FROM settled").fetchall())

    def settle(self, uid: str, digest: str) -> None:
        """Mark an object as settled at a digest, until the digest differs or the object is removed."""
        with self._database.writing(durable=False) as connection:
            connection.execute("INSERT OR REPLACE INTO settled VALUES (?, ?)", (uid, digest))
