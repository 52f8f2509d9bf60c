"""Directories of manifests that own objects: where each was last seen, and at which revision."""

from __future__ import annotations

from typing import NamedTuple

from vmctl.state.section import Section


class Source(NamedTuple):
    """A directory by its lasting id.

    `revision` is the commit it was last applied at, empty outside git; `seen` in epoch seconds.
    """

    id: str
    directory: str
    revision: str
    seen: float


class Sources(Section):
    """The sources that have been applied."""

    __slots__ = ()

    def record_source(self, source: str, directory: str, revision: str = "") -> None:
        """Note that a source was seen in that directory at that revision, just now.

        When it lay elsewhere before, the files of what it owns are looked for here from now on.
        """
        with self._database.writing(durable=True) as connection:
            known = connection.execute("SELECT directory FROM sources WHERE id = ?", (source,)).fetchone()
            if known is not None and known[0] != directory:
                old = f"{known[0].rstrip('/')}/"
                connection.execute(
                    "UPDATE objects SET file = ? || substr(file, ?) WHERE source = ? AND substr(file, 1, ?) = ?",
                    (f"{directory.rstrip('/')}/", len(old) + 1, source, len(old), old),
                )
            connection.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", (source, directory, revision, self._clock())
            )

    def sources(self) -> list[Source]:
        """Every source ever applied, by directory."""
        with self._database.reading() as connection:
            query = "SELECT id, directory, revision, seen FROM sources ORDER BY directory, id"
            return [Source(*row) for row in connection.execute(query)]

    def rename_source(self, old: str, new: str) -> None:
        """Let a source go by another id, and keep what it owns and remembers; nothing when the old id is not known."""
        with self._database.writing(durable=True) as connection:
            connection.execute("UPDATE objects SET source = ? WHERE source = ?", (new, old))
            connection.execute("UPDATE OR REPLACE once SET source = ? WHERE source = ?", (new, old))
            connection.execute("UPDATE OR REPLACE notes SET uid = ? WHERE uid = ?", (new, old))
            connection.execute("UPDATE OR REPLACE sources SET id = ? WHERE id = ?", (new, old))
