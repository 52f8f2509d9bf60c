"""The objects in memory, kept in step with the store: one writer of everything a pass records."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from vmctl.planning.graph import references
from vmctl.planning.objects import Object, Objects
from vmctl.planning.usage import attached_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vmctl.resources.keys import Key
    from vmctl.state.store import Store
    from vmctl.state.stored import Stored


def as_object(stored: Stored) -> Object:
    """The planning view of a stored object."""
    return Object(
        stored.key,
        stored.uid,
        stored.generation,
        stored.document,
        stored.status,
        stored.created,
        stored.deleted,
        stored.resource_version,
    )


Changed: TypeAlias = "Callable[[Key, tuple[Key, ...]], None]"


def nobody_waits(key: Key, also: tuple[Key, ...]) -> None:
    """The listener of a ledger without an engine."""


class Ledger:
    """All objects by key. `changed` is told the key of whatever others may be waiting for, and who else is
    concerned.
    """

    def __init__(self, store: Store, changed: Changed = nobody_waits) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._objects = Objects()
        self._version = self._seen = -1  # what data_version told last, and the newest version of an object
        self.changed = changed
        self.refresh()

    def snapshot(self) -> Objects:
        """The objects at this moment."""
        return self._objects

    def get(self, key: Key) -> Object | None:
        return self._objects.get(key)

    def refresh(self) -> list[Key]:
        """Read again what other processes wrote; the keys that are new, changed or gone."""
        with self._lock:
            version = self._store.data_version()
            if version == self._version:
                return []
            self._version = version
            self._seen, written, uids = self._store.since(self._seen)
            before = self._objects
            fresh = [as_object(stored) for stored in written]
            names = {item.key for item in fresh}
            gone = [key for key, item in before.by_key.items() if item.uid not in uids and key not in names]
            news = [item for item in fresh if (old := before.get(item.key)) is None or not _same(old, item)]
            moved = [item.key for item in news if (old := before.get(item.key)) is None or _differs(old, item)]
            for item in news:
                if (old := before.get(item.key)) is not None and old.document == item.document:
                    self._share_model(old, item)
            if news or gone:
                self._objects = before.with_changes(news, gone)
            return [*moved, *gone]

    def set_status(self, item: Object, status: Mapping[str, Any]) -> Object:
        """Record a status; tells the others when it changed in a way that they may be waiting for."""
        with self._lock:
            current = self._objects.get(item.key)
            if current is None or current.uid != item.uid:
                return item
            if current.status == status:
                return current
            self._store.set_status(item.uid, dict(status))
            updated = replace(current, status=dict(status))
            self._share_model(current, updated)
            self._objects = self._objects.with_changes([updated])
        if _matters(current.status, status):
            self.changed(item.key, _concerned(current, updated, self._objects))
        return updated

    def create(self, key: Key, document: Mapping[str, Any]) -> Object:
        """Add an object; raises ChangeRefused when there is one."""
        with self._lock:
            item = as_object(self._store.create(key, document))
            self._objects = self._objects.with_changes([item])
        self.changed(key, ())
        return item

    def mark_deleted(self, key: Key, why: str = "it is to go") -> None:
        """Record that an object is to go, with an event that says why; nothing when it is gone. A pass takes it apart
        and forgets it.
        """
        with self.batch():
            before, stored = self._store.get(key), self._store.mark_deleted(key)
            if before is None or stored is None:
                return
            if before.deleted is None:
                self._store.record_event(key, "Normal", "Deleted", why, uid=stored.uid)
            self._objects = self._objects.with_changes([as_object(stored)])
        self.changed(key, ())

    @contextmanager
    def batch(self) -> Iterator[None]:
        """One transaction of the store, in which this ledger may be written to: its own lock always comes first."""
        with self._lock, self._store.batch():
            yield

    def forget_models(self) -> None:
        """Drop the typed manifests of all objects: each is parsed again when a pass wants it, which takes a fifth of a
        millisecond, and those of five hundred machines hold several MiB.
        """
        for item in self._objects.by_key.values():
            item.__dict__.pop("model", None)

    def forget(self, item: Object) -> None:
        """Remove an object for good."""
        with self._lock:
            self._store.remove(item.uid)
            self._objects = self._objects.with_changes((), gone=[item.key])
        had = attached_keys(item) if item.key.kind == "VirtualMachine" else ()
        named = tuple(references(item.key, item.document))
        if item.key.kind == "VirtualMachineOperation":  # who waited for its end comes next
            had = frozenset(other for key in named for other in self._objects.mentioning(key))
        self.changed(item.key, (*named, *had))  # a disk is free now

    def learn(self, stored: Stored) -> None:
        """Take in an object that this process wrote through the store itself."""
        with self._lock:
            self._objects = self._objects.with_changes([as_object(stored)])

    @staticmethod
    def _share_model(old: Object, new: Object) -> None:
        """A status does not change the manifest: keep what was parsed."""
        if "model" in old.__dict__:
            new.__dict__["model"] = old.__dict__["model"]


def _same(old: Object, new: Object) -> bool:
    """Whether nothing of an object is news: what this process wrote itself comes back when it is read."""
    return not _differs(old, new) and old.status == new.status


def _concerned(old: Object, new: Object, objects: Objects) -> tuple[Key, ...]:
    """What a machine had and has no more, which may go now if that was asked for; and the other machines that name what
    it has let go of, which one that runs gets now, or has taken, which their definitions have no more.
    """
    if old.key.kind != "VirtualMachine":
        return ()
    had, has = attached_keys(old), attached_keys(new)
    users = (key for one in had ^ has for key in objects.mentioning(one) if key.kind == old.key.kind and key != old.key)
    return (*sorted(had - has), *sorted({*users}))


def _differs(old: Object, new: Object) -> bool:
    return (old.uid, old.generation, old.deleted, old.document) != (new.uid, new.generation, new.deleted, new.document)


def _matters(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a change of status can move others: phases, addresses, sizes, what a condition says; not progress
    and times.
    """
    return _essence(old) != _essence(new)


def _essence(status: Mapping[str, Any]) -> tuple[Any, ...]:
    conditions = [(item["type"], item["status"], item["reason"]) for item in status.get("conditions") or ()]
    return (
        status.get("phase"),
        status.get("address"),
        status.get("capacity"),
        status.get("virtualMachineIPAddressName"),
        [(item["name"], item["attached"]) for item in status.get("blockDeviceRefs") or ()],
        conditions,
    )
