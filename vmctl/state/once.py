"""What a source has had carried out once: known also when the object is gone, until its document leaves the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vmctl.resources.keys import Key
from vmctl.state.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterable


class Order(NamedTuple):
    """What a source has asked for under a name, as the digest of the spec."""

    source: str
    key: Key
    digest: str


class Once(Section):
    """Digests of specs by source and name."""

    __slots__ = ()

    def remember(self, source: str, key: Key, digest: str) -> None:
        """Note that a source has asked for this, in place of what it asked for under that name before."""
        with self._database.writing(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?, ?)", (source, *key, digest))

    def orders(self) -> list[Order]:
        """What every source has asked for, by source and name."""
        query = "SELECT source, kind, namespace, name, digest FROM once ORDER BY source, kind, namespace, name"
        with self._database.reading() as connection:
            return [Order(row[0], Key(*row[1:4]), row[4]) for row in connection.execute(query)]

    def forget(self, source: str, keys: Iterable[Key]) -> None:
        """Drop what has left a source: if it comes back, it is meant anew."""
        with self._database.writing(durable=True) as connection:
            connection.executemany(
                "DELETE FROM once WHERE source = ? AND kind = ? AND namespace = ? AND name = ?",
                [(source, *key) for key in keys],
            )
