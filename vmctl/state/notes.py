"""What we meant, beside what a user asked for and what is seen: words about an object that outlive a crash."""

from __future__ import annotations

from vmctl.state.section import Section


class Notes(Section):
    """Named texts per object; every change is on disk when the call returns."""

    __slots__ = ()

    def note(self, uid: str, name: str, value: str, *, unsettles: bool = False) -> None:
        """Keep a text under a name, in place of the one before; an empty one leaves none. With `unsettles`, the object
        counts as settled no more, so that whoever comes after a crash looks at it.
        """
        with self._database.writing(durable=True) as connection:
            if value:
                connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (uid, name, value))
            else:
                connection.execute("DELETE FROM notes WHERE uid = ? AND name = ?", (uid, name))
            if unsettles:
                connection.execute("DELETE FROM settled WHERE uid = ?", (uid,))

    def notes(self, uid: str) -> dict[str, str]:
        """Everything noted about an object."""
        with self._database.reading() as connection:
            return dict(connection.execute("SELECT name, value FROM notes WHERE uid = ?", (uid,)).fetchall())
