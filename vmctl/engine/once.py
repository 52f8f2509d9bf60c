"""What is carried out once: an operation whose document still lies in its directory when the object has been collected.

What a directory has asked for is remembered by name and spec. The same document may be reached in several ways, as a
file, with its own directory, or with one above it: what was asked for in one of them counts for all. A store that has
no history of a directory cannot know what was carried out before it was lost, so it carries nothing out and says so;
what the first look at a directory did not read has no history either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmctl.manifests.documents import digest
from vmctl.manifests.sources import home
from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vmctl.engine.ledger import Ledger
    from vmctl.manifests.documents import Manifest
    from vmctl.manifests.sources import Source
    from vmctl.resources.keys import Key
    from vmctl.state.once import Order
    from vmctl.state.store import Store

UNREAD = "unread"  # the note of a source with the paths that have not been read since it is known


@dataclass(frozen=True, slots=True)
class Sorted:
    """Manifests by what is to be done about them, and what is to be remembered and forgotten then."""

    meant: tuple[Manifest, ...]  # to be stored
    over: tuple[Manifest, ...]  # asked for before, and gone since
    doubtful: tuple[Manifest, ...]  # perhaps carried out before this store existed
    news: tuple[tuple[str, Key, str], ...]  # source, name, digest
    outdated: tuple[Order, ...]  # what the same documents asked for before, in another way


def sort_out(store: Store, ledger: Ledger, manifests: Sequence[Manifest], sources: Iterable[Source]) -> Sorted:
    """Tell what is asked for from what only still lies there; writes nothing.

    Files and stdin have no memory: what they ask for and is not there is meant. The directory of a file remembers it,
    so that it is not asked for once more when the directory is given, or one above it.
    """
    if not any(_once(manifest) for manifest in manifests):
        return Sorted(tuple(manifests), (), (), (), ())
    owners = {source.directory: _Memory(store, source) for source in sources}
    orders: dict[Key, list[Order]] = {}
    for order in store.orders():
        orders.setdefault(order.key, []).append(order)
    kept: dict[str, list[Manifest]] = {"meant": [], "over": [], "doubtful": []}
    news: list[tuple[str, Key, str]] = []
    outdated: list[Order] = []
    for manifest in manifests:
        memory, asked = owners.get(manifest.directory), orders.get(manifest.key, [])
        if memory is None or not _once(manifest):
            kept["meant"].append(manifest)
            news += _of_file(manifest, asked) if _once(manifest) else ()
            continue
        fresh, old = memory.news(manifest, asked)
        news += fresh
        outdated += old
        there = ledger.get(manifest.key) is not None
        kept["meant" if there else memory.judged(manifest, asked)].append(manifest)
    return Sorted(tuple(kept["meant"]), tuple(kept["over"]), tuple(kept["doubtful"]), tuple(news), tuple(outdated))


class _Memory:
    """What is known of a directory's past."""

    def __init__(self, store: Store, source: Source) -> None:
        self._source = source
        self._known = any(row.id in source.identities for row in store.sources())
        self._unread = _unread(store, source)

    def judged(self, manifest: Manifest, asked: Sequence[Order]) -> Literal["meant", "over", "doubtful"]:
        """Whether a document whose object is not there is asked for, only still lies there, or may do so."""
        now = _digest(manifest)
        if any(order.digest == now and self._concerns(manifest, order) for order in asked):
            return "over"
        if self._own(asked) or (self._known and not _among(manifest.path, self._unread)):
            return "meant"
        return "doubtful"

    def news(self, manifest: Manifest, asked: Sequence[Order]) -> tuple[list[tuple[str, Key, str]], list[Order]]:
        """What is to be remembered of a document, and what of it is out of date by that."""
        source, now = self._source, _digest(manifest)
        fresh = [(source.identity, manifest.key, now)] if self._own(asked)[:1] != [now] else []
        old = [one for one in asked if one.source not in source.identities and one.digest != now]
        return fresh, [one for one in old if source.holds(manifest.path, one.source)]

    def _own(self, asked: Sequence[Order]) -> list[str]:
        return [order.digest for each in self._source.identities for order in asked if order.source == each]

    def _concerns(self, manifest: Manifest, order: Order) -> bool:
        """Whether it may have been this document that asked: in the directory itself, in one below, where it may have
        lain before, in one above, or where a link leads to.
        """
        if self._source.covers(order.source) or self._source.lies_in(order.source):
            return True
        linked = not Path(manifest.path).resolve().is_relative_to(self._source.directory)
        return linked and order.source == home(manifest.path)


def _of_file(manifest: Manifest, asked: Sequence[Order]) -> list[tuple[str, Key, str]]:
    """What the directory of a file that was named remembers of it, if that is news; stdin lies in none."""
    if manifest.directory or not manifest.path:
        return []
    order = (home(manifest.path), manifest.key, _digest(manifest))
    return [] if order in asked else [order]


def remember(store: Store, found: Sorted) -> None:
    """Note what is asked for, in place of what the same documents asked for before."""
    for source, key, text in found.news:
        store.remember(source, key, text)
    for order in found.outdated:
        store.forget(order.source, [order.key])


def begin(store: Store, source: Source, unread: Callable[[], Iterable[str]]) -> None:
    """Note what the first look at a directory did not read: what is found there later has no history."""
    if not {row.id for row in store.sources()}.intersection(source.identities) and (left := sorted(unread())):
        store.note(source.identity, UNREAD, json.dumps(left))


def catch_up(store: Store, source: Source, unread: Callable[[], Iterable[str]]) -> None:
    """Strike out what has been read since by a look that did not read `unread`: there is a history of it now."""
    before = _unread(store, source)
    if not before:
        return
    now = list(unread())
    left = {*(path for path in now if _among(path, before)), *(path for path in before if _among(path, now))}
    if left != {*before}:
        store.note(source.identity, UNREAD, json.dumps(sorted(left)))


def _unread(store: Store, source: Source) -> tuple[str, ...]:
    return tuple(json.loads(store.notes(source.identity).get(UNREAD, "[]")))


def _among(path: str, paths: Iterable[str]) -> bool:
    """Whether a path is one of the paths, or lies below one."""
    return any(Path(path).is_relative_to(each) for each in paths)


def doubt(manifest: Manifest) -> str:
    """Why an operation is not carried out, and what to do if it is meant."""
    return (
        f"this store has no history of {manifest.directory}, so it may have been carried out before;"
        f" create it with `vmctl create -f {manifest.file}` if it is meant"
    )


def of_source(store: Store, source: Source) -> list[Order]:
    """What is remembered of a directory and of those below it."""
    return [order for order in store.orders() if source.covers(order.source)]


def _digest(manifest: Manifest) -> str:
    return digest(manifest.document.get("spec") or {})


def _once(manifest: Manifest) -> bool:
    return registry.BY_NAME[manifest.key.kind].once
