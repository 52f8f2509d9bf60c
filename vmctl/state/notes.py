"""What we meant, beside what a user asked for and what is seen: words about an object that outlive a crash."""

from __future__ import annotations

from vmctl.state.section import Section


class Notes(Section):
    """Named texts per object; every change is on disk when the call returns."""

    __slots__ = ()

    def note(self, uid: str, name: str, value: str) -> None:
        """Keep a text under a name, in place of the one before."""
        with self._database.writing(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (uid, name, value))

    def notes(self, uid: str) -> dict[str, str]:
        """Everything noted about an object."""
        with self._database.reading() as connection:
            return dict(connection.execute("SELECT name, value FROM notes WHERE uid = ?", (uid,)).fetchall())
