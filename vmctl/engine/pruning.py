"""Pruning: what a directory owns and declares no more goes, and what holds data is kept.

That something is absent proves little: a file may be half written, a checkout half done, a directory not mounted. So
only a complete look counts, a large loss has to be allowed by number, and who watches waits until the absence has
lasted.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmctl.engine import deleting, once
from vmctl.engine.built_in import always_there
from vmctl.errors import ChangeRefused
from vmctl.planning.graph import references
from vmctl.planning.plain import holders
from vmctl.planning.usage import ATTACHMENT, device_of
from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from vmctl.engine.deleting import Deletion
    from vmctl.engine.ledger import Ledger
    from vmctl.manifests.documents import Loaded
    from vmctl.manifests.sources import Source
    from vmctl.planning.objects import Object, Objects
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store

FEW = 2  # as many may always go
SHARE = 3  # one of so many may go beyond that
DELAY_S = 30.0  # how long a watched object has to be absent

Most = int | Literal["all"] | None  # None: the usual limit


@dataclass(frozen=True, slots=True)
class Scan:
    """One look at a source: what is declared there, or in what was read together with it.

    `incomplete` is the sentence that says why what is absent may be there all the same; empty for a complete look.
    `below` says that directories below were read too, `unread` which paths in the directory were not.
    """

    source: Source
    present: frozenset[Key]
    incomplete: str = ""
    below: bool = False
    unread: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Leaving:
    """What has left a source: what goes, and what is kept, and why. `owned` is how much the source had."""

    directory: str
    pruned: tuple[Key, ...]
    retained: Mapping[Key, str]
    owned: int

    @property
    def keys(self) -> tuple[Key, ...]:
        return (*self.pruned, *self.retained)


def scan(loaded: Loaded, source: Source, *, below: bool) -> Scan:
    """What a loaded directory proves. An object that moved to another directory that was read with it is no loss."""
    declared = [item.key for item in loaded.manifests if item.directory == source.directory]
    incomplete = ""
    if loaded.problems:
        incomplete = f"not all of it can be read: {loaded.problems[0]}"
    elif source.in_motion:
        incomplete = source.in_motion
    elif not declared:
        incomplete = "nothing is declared there"
    unread = {os.path.realpath(problem.file) for problem in loaded.problems if problem.file}
    if source.in_motion or not declared:
        unread.add(source.directory)
    return Scan(source, frozenset(item.key for item in loaded.manifests), incomplete, below, frozenset(unread))


def leaving(store: Store, objects: Objects, look: Scan) -> Leaving:
    """What a source owns and declares no more, machines before what they use; nothing after a look that is not
    complete. `objects` are those that there will be once what is declared is applied.
    """
    inventory = [item for one in look.source.identities for item in store.inventory(one)]
    inventory.sort(key=lambda item: registry.BY_NAME[item.key.kind].priority, reverse=True)
    gone = [
        item.key
        for item in inventory
        if not look.incomplete
        and item.key not in look.present
        and item.deleted is None
        and not _unread(look, item.file)
    ]
    kept = _kept([item for key in gone if (item := objects.get(key)) is not None], objects)
    pruned = tuple(key for key in gone if key not in kept)
    return Leaving(look.source.directory, pruned, kept, len(inventory))


def _kept(gone: Sequence[Object], objects: Objects) -> dict[Key, str]:
    """What stays of that which has left its source, and why: data, and what others that stay would miss."""
    kept = {item.key: "it is always there" for item in gone if always_there(item.key)}
    kept |= {item.key: deleting.KEPT_DATA for item in gone if deleting.retains(item)}
    going = {item.key for item in gone} - kept.keys()
    for item in gone:
        users = [key for key in objects.mentioning(item.key) if key not in going and _names(objects.get(key), item.key)]
        if users and item.key in going:
            kept[item.key] = f"{users[0].short} uses it"
    going -= kept.keys()
    for item in gone:
        inside = [key for key in holders(item, objects) if key not in going]
        if inside and item.key in going:
            kept[item.key] = f"{inside[0].short} is in it"
    return {item.key: kept[item.key] for item in gone if item.key in kept}


def _names(user: Object | None, key: Key) -> bool:
    """Whether an object needs another: a machine at its next start, an attachment for as long as it is there."""
    if user is None or user.terminating:
        return False
    if user.key.kind == ATTACHMENT:
        return device_of(user) == key
    return user.key.kind == "VirtualMachine" and key in references(user.key, user.document)


def _unread(look: Scan, file: str) -> bool:
    """Whether a file may declare what the look did not find: one below, where only the directory itself was read, one
    behind a link that leads nowhere now, and one that is empty, as an interrupted writer leaves it.
    """
    path = Path(file)
    if path.is_file() and not path.stat().st_size:
        return True
    if any(above.is_symlink() and not above.exists() for above in path.parents):
        return True  # what it leads to is not mounted, most likely
    return not look.below and str(path.parent) != look.source.directory and path.exists()


def refuse_incomplete(looks: Iterable[Scan]) -> None:
    """Raise ChangeRefused when a look does not prove what has left its source."""
    for look in looks:
        if look.incomplete:
            raise ChangeRefused(
                f"nothing is pruned from {look.source.directory}, and nothing was changed: {look.incomplete}",
                remedy="put that right, or apply without --prune",
            )


def refuse_excess(found: Iterable[Leaving], most: Most = None) -> None:
    """Raise ChangeRefused, naming what would go, when more leaves a source than the limit allows."""
    for each in found:
        if too_many := excess(each, most):
            raise too_many


def excess(found: Leaving, most: Most = None) -> ChangeRefused | None:
    """The refusal of all that leaves a source, when that is more than the limit allows."""
    count = len(found.keys)
    allowed = max(FEW, found.owned // SHARE) if most is None else found.owned if most == "all" else most
    if count <= allowed:
        return None
    names = [
        *(key.short for key in found.pruned),
        *(f"{key.short} (kept: {why})" for key, why in found.retained.items()),
    ]
    return ChangeRefused(
        f"{count} of the {found.owned} objects of {found.directory} would go, nothing was changed:\n  "
        + "\n  ".join(names),
        remedy=f"if they are meant to go, allow it with --prune-max {count}; else see where their files are",
    )


def left_behind(store: Store, objects: Objects, look: Scan) -> list[Key]:
    """What a source owns although it is declared no more; empty after a look that is not complete."""
    if look.incomplete:
        return []
    owned = {key: place for one in look.source.identities for key, place in store.owned(one).items()}
    absent = [key for key, (file, _) in owned.items() if key not in look.present and not _unread(look, file)]
    return [key for key in absent if (item := objects.get(key)) is not None and not item.terminating]


def prune(store: Store, ledger: Ledger, found: Leaving, due: Container[Key] | None = None) -> list[Deletion]:
    """Mark what has left a source as deleted, and detach what is kept; passes take it apart. `due` narrows it down."""
    keys = [key for key in found.keys if due is None or key in due]
    return deleting.let_go(store, ledger, keys, found.retained, found.directory) if keys else []


def begin(store: Store, look: Scan) -> None:
    """Before a source is stored for the first time, note what the look at it did not read."""
    once.begin(store, look.source, lambda: _not_read(look))


def catch_up(store: Store, look: Scan) -> None:
    """Note what of a source has been read for the first time."""
    once.catch_up(store, look.source, lambda: _not_read(look))


def forget(store: Store, look: Scan, due: Container[Key] | None = None) -> None:
    """Forget what was carried out once and has left the source; nothing after a look that is not complete, or that may
    have passed over it: an operation that is carried out again costs more than one that is remembered too long.

    `due` narrows it down.
    """
    if look.incomplete:
        return
    gone = [order for order in once.of_source(store, look.source) if order.key not in look.present]
    gone = [order for order in gone if due is None or order.key in due]
    if gone and next(_passed_over(look), None) is None:
        for order in gone:
            store.forget(order.source, [order.key])


def _not_read(look: Scan) -> list[str]:
    directory = Path(look.source.directory)
    return [*(path for path in look.unread if Path(path).is_relative_to(directory)), *_passed_over(look)]


def _passed_over(look: Scan) -> Iterator[str]:
    """The paths where something may be declared that was not read: below a directory, or behind a link that leads
    nowhere now. What is hidden never is.
    """
    for directory, below, names in os.walk(look.source.directory):
        below[:] = [name for name in below if not name.startswith(".")]
        here = Path(directory)
        yield from (
            str(here / name)
            for name in names
            if name[0] != "." and (here / name).is_symlink() and not (here / name).exists()
        )
        if not look.below:
            yield from (str(here / name) for name in below)
            return


@dataclass(slots=True)
class Absences:
    """Since when what a watched source owns has been absent: a memory of looks, one source each.

    A look that is not complete proves nothing, so everything counts anew after it. What is due is due by a look, not
    by a timer: an object that comes back between two looks is seen first.
    """

    delay_s: float = DELAY_S
    _since: float | None = None  # the first complete look of an unbroken row
    _looked: float = 0.0
    _present: frozenset[Key] = frozenset()
    _left: dict[Key, float] = field(default_factory=dict["Key", float])  # who was there later than `_since`

    def saw(self, look: Scan, now: float) -> None:
        """Take in a look that was begun at `now`, in seconds that only go forward."""
        if look.incomplete:
            self._since, self._present, self._left = None, frozenset(), {}
            return
        if self._since is None:
            self._since = now
        self._left = {key: at for key, at in self._left.items() if key not in look.present}
        self._left |= dict.fromkeys(self._present - look.present, now)
        self._present, self._looked = look.present, now

    def due(self, keys: Iterable[Key], now: float) -> frozenset[Key]:
        """Those of the keys that have been absent from complete looks for the whole delay; none after a broken look."""
        if self._since is None:
            return frozenset()
        until = min(self._looked, now) - self.delay_s
        return frozenset(key for key in keys if key not in self._present and self._left.get(key, self._since) <= until)

    def next_look(self, keys: Iterable[Key]) -> float | None:
        """When another look can make one of the keys due; None while none of them is absent."""
        if self._since is None:
            return None
        since = [self._left.get(key, self._since) for key in keys if key not in self._present]
        return min(since) + self.delay_s if since else None
