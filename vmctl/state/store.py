"""The store: everything vmctl remembers, in one SQLite file of the state directory.

What a user asked for and the journal are on disk before an effect starts; status and events may lose their last moment
in a power cut. Several processes read and write at the same time; what keeps engines apart is `vmctl.state.lock`, not
this.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from vmctl.errors import Corrupt
from vmctl.state.database import FILE, Database
from vmctl.state.events import Events
from vmctl.state.journal import Journal
from vmctl.state.layers import Layers
from vmctl.state.notes import Notes
from vmctl.state.objects import Objects, new_uid
from vmctl.state.once import Once
from vmctl.state.requests import Requests
from vmctl.state.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType


class Store(Objects, Sources, Events, Journal, Layers, Notes, Once, Requests):
    """One state directory, shared by the threads of a process."""

    __slots__ = ()

    @classmethod
    def open(cls, directory: Path, *, clock: Callable[[], float], readonly: bool = False) -> Store:
        """Open the store of a directory, making directory and store when they are missing.

        For reading only, nothing is made, and a store that is missing reads as an empty one. Raises StateError or
        Corrupt.
        """
        database = Database(directory / FILE, readonly=readonly)
        database.prepare()
        store = cls(database, clock)
        if not readonly and not store.installation:
            store._make_identity()
        return store

    def close(self) -> None:
        """Close the file. The store is of no use afterwards."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def batch(self, *, durable: bool = True) -> Iterator[None]:
        """Make one transaction of everything this thread writes inside; an exception undoes all of it.

        Other threads and processes that write wait meanwhile: compute first, then write. `durable=False` suits statuses
        only.
        """
        with self._database.writing(durable=durable):
            yield

    def data_version(self) -> int:
        """A number that differs from the last one when anybody has written since: a cheap look (µs) before reading
        again.
        """
        return self._database.data_version()

    @property
    def installation(self) -> str:
        """The random id that tells this store's machines on a host from another store's; empty for a missing store."""
        return str(self._remembered().get("installation", ""))

    @property
    def hash_key(self) -> bytes:
        """The secret that keyed hashes of secrets are made with; empty for a missing store."""
        return bytes.fromhex(str(self._remembered().get("hash_key", "")))

    @property
    def host(self) -> tuple[str, str] | None:
        """The uuid and the URI of the host this store is bound to; None before the first use."""
        known = self._remembered()
        return (str(known["host_uuid"]), str(known["host_uri"])) if "host_uuid" in known else None

    def bind_host(self, uuid: str, uri: str) -> None:
        """Remember the host at first use; raise Corrupt when the store belongs to another one.

        Two addresses of one hypervisor (a local socket, ssh) are the same host: the driver and the path of the URI
        count.
        """
        if self.host is None:
            with self._database.writing(durable=True) as connection:
                values = [("host_uuid", uuid), ("host_uri", uri)]
                connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", values)
        known_uuid, known_uri = self.host or (uuid, uri)
        if (known_uuid, _hypervisor(known_uri)) != (uuid, _hypervisor(uri)):
            raise Corrupt(
                f"the state directory {self._database.path.parent} belongs to the host {known_uuid} ({known_uri}),"
                f" and this is {uuid} ({uri})",
                remedy="connect to that host, or name another --state-dir for this one; if it is the same host and its"
                " hardware has no uuid, libvirt invents one at each start:"
                f' set host_uuid = "{known_uuid}" in libvirtd.conf',
            )

    def faults(self) -> list[str]:
        """What is damaged in the file, one sentence each; reads all of it. Empty when it is sound."""
        with self._database.reading() as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check")]
        return [] if found == ["ok"] else found

    def _remembered(self) -> dict[str, Any]:
        with self._database.reading() as connection:
            return dict(connection.execute("SELECT name, value FROM meta").fetchall())

    def _make_identity(self) -> None:
        with self._database.writing(durable=True) as connection:
            values = [("installation", new_uid()), ("hash_key", os.urandom(32).hex())]
            connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", values)


def _hypervisor(uri: str) -> tuple[str, str]:
    """Driver and path: `qemu+ssh://host/system?keyfile=…` gives qemu and /system."""
    scheme, _, rest = uri.partition("://")
    path = rest.partition("?")[0].partition("/")[2]
    return scheme.partition("+")[0], path
