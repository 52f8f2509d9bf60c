"""What happened, as users read it in `describe` and `events`: repeated ones are counted, old ones are forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vmctl.resources.keys import Key
from vmctl.state.section import Section

EventType = Literal["Normal", "Warning"]

KEPT = 5000
_TRIMMED_EVERY = 64  # looking for the oldest to drop costs more than recording one


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `uid` tells objects of one name apart. Times are epoch seconds."""

    key: Key
    uid: str
    type: EventType
    reason: str
    message: str
    count: int
    first: float
    last: float


class Events(Section):
    """Events of all objects, those that are gone included."""

    __slots__ = ()

    def record_event(self, key: Key, type: EventType, reason: str, message: str, *, uid: str = "") -> None:  # noqa: A002  # the name users know it by
        """Note an event; the same one again raises its count and its time. Lost by a power cut at worst."""
        now = self._clock()
        same = (*key, uid, type, reason, message)
        with self._database.writing(durable=False) as connection:
            repeated = connection.execute(
                "UPDATE events SET count = count + 1, last = ?"
                " WHERE (kind, namespace, name, uid, type, reason, message) = (?, ?, ?, ?, ?, ?, ?)",
                (now, *same),
            )
            if repeated.rowcount:
                return
            added = connection.execute(
                "INSERT INTO events (kind, namespace, name, uid, type, reason, message, count, first, last)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
                (*same, now, now),
            )
            if (added.lastrowid or 0) % _TRIMMED_EVERY == 0:
                connection.execute(
                    "DELETE FROM events WHERE id IN"
                    " (SELECT id FROM events ORDER BY last DESC, id DESC LIMIT -1 OFFSET ?)",
                    (KEPT,),
                )

    def events(self, key: Key | None = None, namespace: str | None = None) -> list[Event]:
        """The newest events, oldest first; of one object or of one namespace where that is given."""
        wanted: dict[str, str] = {}
        if key is not None:
            wanted = {"kind": key.kind, "namespace": key.namespace, "name": key.name}
        if namespace is not None:
            wanted["namespace"] = namespace
        where = f"WHERE {' AND '.join(f'{name} = ?' for name in wanted)}" if wanted else ""
        query = (
            "SELECT kind, namespace, name, uid, type, reason, message, count, first, last"  # noqa: S608  # our own names
            f" FROM events {where} ORDER BY last DESC, id DESC LIMIT {KEPT}"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, tuple(wanted.values())).fetchall()
        return [Event(Key(*row[:3]), *row[3:]) for row in reversed(rows)]
