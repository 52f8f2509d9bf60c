"""Watched directories, read again and again: what is good goes into the store, what is bad stays as it last was.

A look never takes what somebody is in the middle of writing: it is put off until files and git are at rest, though not
for ever.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.engine import applying, once, provenance, pruning
from vmctl.errors import ChangeRefused, GraphError, Problem, UsageError
from vmctl.manifests import finding, loading, sources, watching
from vmctl.manifests.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vmctl.engine.applying import Applied
    from vmctl.engine.clock import Clock
    from vmctl.engine.ledger import Ledger
    from vmctl.engine.pruning import Absences, Leaving, Most, Scan
    from vmctl.manifests.cache import ParseCache
    from vmctl.manifests.documents import Manifest
    from vmctl.manifests.sources import Source
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store

log = logging.getLogger(__name__)
PATIENCE_S = 10.0  # how long a look is put off for who writes; a lock that git left behind must not stop us for ever
RECENT_S = 15.0  # a file that was not touched for so long is not being written
GIT_WRITES = (sources.IN_MOTION["index.lock"], sources.IN_MOTION["HEAD.lock"])


@dataclass(frozen=True, slots=True)
class Pruning:
    """How `run --prune` prunes: how long an object has to be absent, and how many may go at once."""

    delay_s: float = pruning.DELAY_S
    most: Most = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the directories came to: objects that moved, by key; `bad` are the problems that stand now.

    `put_off` says who is in the middle of writing: then nothing was read.
    """

    put_off: str = ""
    moved: tuple[Key, ...] = ()
    applied: tuple[Applied, ...] = ()  # what was done with each that was stored
    declared: tuple[Key, ...] = ()  # in good files
    bad: tuple[Problem, ...] = ()
    next_s: float | None = None  # when another look can prune, in elapsed seconds
    withheld: Mapping[Key, ChangeRefused] = field(default_factory=dict["Key", ChangeRefused])  # too many to be pruned


@dataclass(slots=True)
class Gathering:
    """The directories of one `vmctl run`, and what the last look found in them."""

    directories: tuple[str, ...]
    recursive: bool
    store: Store
    ledger: Ledger
    clock: Clock
    cache: ParseCache
    prunes: Pruning | None = None
    _memory: Memory = field(init=False)
    _put_for: list[Source] = field(default_factory=list["Source"])
    _known: dict[str, Source] = field(default_factory=dict[str, "Source"])
    _absences: dict[str, Absences] = field(default_factory=dict[str, "Absences"])
    _stored: dict[Key, tuple[str, str, int]] = field(default_factory=dict["Key", tuple[str, str, int]])
    _bad: dict[str, tuple[Problem, ...]] = field(default_factory=dict[str, tuple[Problem, ...]])
    _unknown: dict[str, Problem] = field(default_factory=dict[str, Problem])
    _told: set[Key] = field(default_factory=set["Key"])
    _withheld: dict[Key, ChangeRefused] = field(default_factory=dict["Key", ChangeRefused])
    _waits_since: float | None = None

    def __post_init__(self) -> None:
        self._memory = Memory(self.clock.now)

    @property
    def identities(self) -> list[str]:
        """The lasting ids of the directories, as far as they have been seen."""
        return [source.identity for source in self._known.values()]

    def look(self) -> Look:
        """Read everything, store what is good and has moved, report what is bad. Nothing is raised for a manifest."""
        began = self.clock.elapsed()
        found = self._sources()
        if reason := self._put_off(found):
            return Look(put_off=reason)
        loaded = loading.load(self.directories, recursive=self.recursive, cache=self.cache, memory=self._memory)
        if reason := self._put_off(self._sources()):  # it has begun while we read: half of it may be in our hands
            return Look(put_off=reason)
        good = applying.judge(loaded, keep_going=True)
        problems = [*loaded.problems, *loaded.not_acting, *applying.refusals(loaded)]
        problems += self._unknown.values()
        news, refused = self._sifted(self._news(good), found)
        problems += refused
        looks = [pruning.scan(loaded, source, below=self.recursive) for source in found]
        for each in looks:
            pruning.begin(self.store, each)
        applied = self._put(news, found, problems)
        went, next_s = self._prune(looks, began)
        self._report(problems, found)
        declared = tuple(item.key for item in good)
        moved = (*self._changed(applied), *went)
        return Look("", moved, applied, declared, tuple(problems), next_s, dict(self._withheld))

    def _put_off(self, found: Iterable[Source]) -> str:
        """Who is in the middle of writing; empty when a look may be taken, be it because patience has ended."""
        reason = self._writer(found)
        now = self.clock.elapsed()
        if not reason:
            self._waits_since = None
            return ""
        self._waits_since = now if self._waits_since is None else self._waits_since
        if now < self._waits_since + PATIENCE_S:
            return reason
        log.warning("not waiting any longer: %s", reason)
        return ""

    def _writer(self, found: Iterable[Source]) -> str:
        for source in found:
            if source.in_motion in GIT_WRITES:
                return f"{source.directory}: {source.in_motion}"
        since = self.clock.now() - RECENT_S
        files = (candidate.real for candidate in finding.find(self.directories, recursive=self.recursive).files)
        busy = watching.being_written(path for path in files if _touched(path) >= since)
        return f"{busy} is being written" if busy else ""

    def _sources(self) -> list[Source]:
        """The directories as sources; one that cannot be identified now is left out."""
        found: list[Source] = []
        for directory in self.directories:
            try:
                source = sources.source_of(directory)
            except UsageError as error:
                self._unknown[directory] = Problem(directory, 0, 0, error.message, error.remedy)
                continue
            self._unknown.pop(directory, None)
            before = self._known.get(directory)
            if (
                before is not None and before.identity != source.identity
            ):  # git init, or a link that leads elsewhere now
                self.store.rename_source(before.identity, source.identity)
            self._known[directory] = source
            found.append(source)
        return found

    def _news(self, good: Iterable[Manifest]) -> list[Manifest]:
        """The manifests that say something else, or stand elsewhere, than what is stored."""
        good = list(good)
        there = {item.key for item in good}
        self._stored = {key: place for key, place in self._stored.items() if key in there}
        self._told &= there
        differing = {item.key for item in applying.changed(self.ledger, good)}
        return [item for item in good if item.key in differing or self._stored.get(item.key) != _place(item)]

    def _sifted(self, news: list[Manifest], found: Sequence[Source]) -> tuple[list[Manifest], list[Problem]]:
        """Those that may be stored, and why the others may not: what is frozen, owned by another directory, or has no
        place beside the others.
        """
        known = {source.directory: source for source in found}
        fit = [manifest for manifest in news if manifest.directory in known]
        against = {item.key: why for item in fit if (why := self._owned_elsewhere(item, known[item.directory]))}
        refused: list[Problem] = []
        while True:
            judged = applying.changed(self.ledger, [item for item in fit if item.key not in against])
            for key, path, reason in applying.objections(self.ledger, judged):
                against.setdefault(key, []).append(f"{path}: {reason}")
            if not against:
                return fit, refused
            refused += (_refused(item, against[item.key], self.ledger) for item in fit if item.key in against)
            fit, against = [item for item in fit if item.key not in against], {}

    def _owned_elsewhere(self, manifest: Manifest, source: Source) -> list[str]:
        try:
            applying.refuse_other_owners(self.store, [manifest], [source])
        except ChangeRefused as error:
            return [error.message]
        return []

    def _put(self, news: list[Manifest], found: list[Source], problems: list[Problem]) -> tuple[Applied, ...]:
        """Store the manifests and where they came from; what was done with each."""
        if not news and found == self._put_for:
            return ()
        try:
            applied = applying.store_all(self.store, self.ledger, news, sources=found)
        except (GraphError, ChangeRefused) as error:
            problems.append(Problem(news[0].file if news else "", 0, 0, f"nothing new is taken: {error.message}"))
            return ()
        self._put_for = found
        self._stored |= {item.key: _place(item) for item in news}
        for one in applied:
            if one.why and one.key not in self._told:
                log.warning("%s %s: %s", one.key.short, one.done, one.why)
                self._told.add(one.key)
        provenance.record(self.store, self.ledger, applied, news, found)
        return tuple(applied)

    def _changed(self, applied: Iterable[Applied]) -> list[Key]:
        """Those of the stored that differ from before."""
        changed = [one for one in applied if one.done in ("created", "configured")]
        for one in changed:
            log.info("%s %s", one.key.short, one.done)
        return [one.key for one in changed]

    def _prune(self, looks: Iterable[Scan], began: float) -> tuple[list[Key], float | None]:
        """Forget and let go of what has been absent long enough; the keys, and when another look can make more of it
        due.
        """
        went: list[Key] = []
        upcoming: list[float] = []
        delay_s = self.prunes.delay_s if self.prunes is not None else pruning.DELAY_S
        before, self._withheld = self._withheld, {}
        for look in looks:
            absences = self._absences.setdefault(look.source.directory, pruning.Absences(delay_s))
            absences.saw(look, began)
            pruning.catch_up(self.store, look)
            if look.incomplete:
                continue
            waiting = [order.key for order in once.of_source(self.store, look.source)]
            pruning.forget(self.store, look, absences.due(waiting, began))
            if self.prunes is not None:
                left = pruning.leaving(self.store, self.ledger.snapshot(), look)
                went += self._let_go(left, absences.due(left.keys, began), before)
                waiting += left.keys
            due = absences.due(waiting, began)
            after = absences.next_look([key for key in waiting if key not in due])
            upcoming += [after] if after is not None else []
        return went, min(upcoming, default=None)

    def _let_go(self, left: Leaving, due: frozenset[Key], before: Mapping[Key, ChangeRefused]) -> list[Key]:
        """Prune what is due, unless that is too much; `before` is what was too much at the last look."""
        if self.prunes is None or not due:
            return []
        if too_many := pruning.excess(left, self.prunes.most):
            self._withhold(left, too_many, before)
            return []
        deletions = pruning.prune(self.store, self.ledger, left, due)
        for one in deletions:
            log.info("%s pruned: %s", one.key.short, one.done)
        return [one.key for one in deletions]

    def _withhold(self, left: Leaving, why: ChangeRefused, before: Mapping[Key, ChangeRefused]) -> None:
        """Leave everything as it is, and tell it where it is news: in the log as one, with each object as an event."""
        self._withheld |= dict.fromkeys(left.keys, why)
        if all(key in before and before[key].message == why.message for key in left.keys):
            return
        log.warning("nothing is pruned: %s; %s", why.message, why.remedy)
        others = f", as that of {len(left.keys) - 1} more" if len(left.keys) > 1 else ""
        said = f"its manifest has left {left.directory}{others}: too many to go at once; {why.remedy}"
        with self.store.batch(durable=False):
            for item in filter(None, map(self.ledger.get, left.keys)):
                self.store.record_event(item.key, "Warning", "PruneRefused", said, uid=item.uid)

    def _report(self, problems: Sequence[Problem], found: Iterable[Source]) -> None:
        """Tell of files that have become bad, or bad in another way, and of those that are good again."""
        now: dict[str, tuple[Problem, ...]] = {}
        for problem in problems:
            now[problem.file] = (*now.get(problem.file, ()), problem)
        for file, bad in now.items():
            if self._bad.get(file) == bad:
                continue
            for problem in bad:
                log.error("%s", problem)
            log.warning("%s is not taken; what it declared stays as it was", file)
            provenance.report(self.store, found, file, bad)
        for file in self._bad.keys() - now.keys():
            log.info("%s is good again, or gone", file)
        self._bad = now


def _refused(manifest: Manifest, why: Iterable[str], ledger: Ledger) -> Problem:
    fate = "is not made" if ledger.get(manifest.key) is None else "stays as it was"
    return Problem(manifest.file, manifest.line, 0, f"{manifest.key.short} {fate}: {'; '.join(why)}")


def _place(manifest: Manifest) -> tuple[str, str, int]:
    return manifest.digest, manifest.path, manifest.line


def _touched(path: str) -> float:
    """When a file was last written, epoch seconds; 0 when it is not there."""
    try:
        return os.stat(path).st_mtime  # noqa: PTH116  # twice for each file in a look, and a Path each costs more
    except OSError:
        return 0.0


def watched(directories: Iterable[str]) -> tuple[str, ...]:
    """The directories to watch. Raises UsageError for what is none, unless it is not there yet."""
    found = tuple(dict.fromkeys(os.path.abspath(each) for each in directories))  # noqa: PTH100  # links are kept
    for each in found:
        if Path(each).exists() and not Path(each).is_dir():
            raise UsageError(
                f"{each} is not a directory", remedy="`vmctl run` watches directories; name the one it is in"
            )
    return found
