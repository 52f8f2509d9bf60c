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
        """Note that a source was seen in that directory at that revision, just now."""
        with self._database.writing(durable=True) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", (source, directory, revision, self._clock())
            )

    def sources(self) -> list[Source]:
        """Every source ever applied, by directory."""
        with self._database.reading() as connection:
            query = "SELECT id, directory, revision, seen FROM sources ORDER BY directory, id"
            return [Source(*row) for row in connection.execute(query)]

    def forget_source(self, source: str) -> None:
        """Drop a source; its objects stay and belong to nobody."""
        with self._database.writing(durable=True) as connection:
            connection.execute("DELETE FROM sources WHERE id = ?", (source,))
            connection.execute("UPDATE objects SET source = '' WHERE source = ?", (source,))
