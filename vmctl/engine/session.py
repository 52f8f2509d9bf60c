"""One engine at work on one host: the lock, the store, the driver, and passes until nothing is left to do."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.engine import freshness, settled
from vmctl.engine.clock import Clock, SystemClock
from vmctl.engine.ledger import Ledger
from vmctl.errors import Locked, TimedOut
from vmctl.planning import goals
from vmctl.planning.place import Place
from vmctl.state.lock import EngineLock
from vmctl.state.store import Store

if TYPE_CHECKING:
    from vmctl.engine.executing import Executor
    from vmctl.engine.passes import Outcome, Passes
    from vmctl.engine.settings import Settings
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.objects import Object
    from vmctl.planning.observed import Listed
    from vmctl.resources.keys import Key

Seen = Callable[["Object", "Object"], None]
LOCK_POLL_S = 0.1


def nothing_seen(before: Object, after: Object) -> None:
    """The observer of a caller that wants no progress."""


def nobody_told(holder: str) -> None:
    """The listener of a caller that waits in silence."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a convergence ended: what failed, what is not where its spec asks, and whether time ran out."""

    failed: dict[Key, str] = field(default_factory=dict["Key", str])
    unreached: dict[Key, str] = field(default_factory=dict["Key", str])
    timed_out: bool = False


@dataclass(slots=True)
class Session:
    """An engine that holds the lock."""

    store: Store
    driver: Driver
    ledger: Ledger
    place: Place
    clock: Clock
    listed: Mapping[str, Listed] | None = None  # what the host ran when the session began
    _cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def unsettled(self) -> list[Key]:
        """The objects that are not as the last pass left them, nothing to do; empty for an idle apply."""
        marks = self.store.settled()
        if not marks:
            return list(self.ledger.snapshot().by_key)
        now = settled.digests(
            self.ledger.snapshot(), self.listed or self.driver.listing(), self.store.layers(), self.place
        )
        return [key for key, item in self.ledger.snapshot().by_key.items() if marks.get(item.uid) != now[item.uid]]

    def converge(
        self,
        keys: Iterable[Key],
        *,
        goal: Iterable[Key] = (),
        timeout_s: float | None = None,
        until: Callable[[], bool] | None = None,
        seen: Seen = nothing_seen,
    ) -> Result:
        """Run passes over `keys` and over all that they move, until nothing is left to do now.

        With `goal`, go on until those objects are where their spec asks; with `until`, until it says so; both end at
        `timeout_s`.
        """
        from vmctl.engine.convergence import Convergence  # what only a pass needs costs 0.2 s to import

        passes = self._passes(seen)
        convergence = Convergence(passes.run, self.ledger, self.clock)
        deadline = None if timeout_s is None else self.clock.elapsed() + timeout_s
        goal, keys = list(goal), list(keys)
        late = False

        def reached() -> bool:
            nonlocal late
            late = deadline is not None and self.clock.elapsed() >= deadline
            return late or self.cancelled or self._reached(goal, until, convergence.outcomes)

        convergence.add([*keys, *self._prepare()])
        try:
            convergence.run(
                reached, watched=goal if goal or until is None else keys, stay=bool(goal) or until is not None
            )
        except KeyboardInterrupt:
            self._cancelled.set()
            raise
        finally:
            convergence.drain()
        self._tidy(passes, convergence.outcomes)
        self._settle(convergence.outcomes)
        return self._result(convergence.outcomes, goal, late=late)

    def cancel(self) -> None:
        """End waits and transfers; what was begun is in the journal or can go on."""
        self._cancelled.set()

    def _reached(self, goal: list[Key], until: Callable[[], bool] | None, outcomes: Mapping[Key, Outcome]) -> bool:
        """Whether every object of the goal is where its spec asks, or will not come there by itself."""
        if until is not None:
            return until()
        items = {key: self.ledger.get(key) for key in goal}
        return all(
            item is None or not goals.missing(item) or self._hopeless(key, outcomes) for key, item in items.items()
        )

    def _hopeless(self, key: Key, outcomes: Mapping[Key, Outcome]) -> bool:
        """Whether an object has failed for good, or waits for one that has."""
        looked_at: set[Key] = set()
        waits_for = [key]
        while waits_for:
            one = waits_for.pop()
            item, outcome = self.ledger.get(one), outcomes.get(one)
            if item is not None and goals.failed(item):
                return True
            if outcome is not None and one not in looked_at:
                waits_for += outcome.waits_for
            looked_at.add(one)
        return False

    def _passes(self, seen: Seen) -> Passes:
        from vmctl.engine.observing import Observer
        from vmctl.engine.passes import Passes

        observer = Observer(self.store, self.driver, self.ledger, self.place, self.clock.now)
        return Passes(self.store, self.ledger, observer, self.executor(), seen)

    def executor(self) -> Executor:
        """What carries the steps out."""
        from vmctl.engine.executing import Executor

        return Executor(self.store, self.driver, self.ledger, self.place, self.clock, lambda: self.cancelled)

    def _prepare(self) -> list[Key]:
        """The host's own objects, before anything refers to them; those that are new or changed."""
        from vmctl.engine import built_in

        host = self.driver.host()
        self.store.bind_host(host.uuid, host.uri)
        built_in.ensure(self.store, host, self.place.state_dir)
        return self.ledger.refresh()

    def _tidy(self, passes: Passes, outcomes: Mapping[Key, Outcome]) -> None:
        from vmctl.engine import tidying

        tidying.tidy(self.store, self.ledger)
        snapshot = self.ledger.snapshot()
        went = any(outcome.gone and key.kind == "VirtualMachine" for key, outcome in outcomes.items())
        if went and not any(True for _ in snapshot.of_kind("VirtualMachine")):
            for network in passes.observer.networks(snapshot):
                self.driver.remove_network(network.uuid)  # nobody is on it, and the next start makes it again

    def _settle(self, outcomes: dict[Key, Outcome]) -> None:
        """Mark what is at rest, as it is now, so that the next apply can pass over it."""
        digests = self._digests()
        marks = self.store.settled()
        with self.store.batch(durable=False):
            for key, outcome in outcomes.items():
                item = self.ledger.get(key)
                if item is None or not outcome.settled or outcome.failure is not None or item.terminating:
                    continue
                if marks.get(item.uid) != digests[item.uid]:
                    self.store.settle(item.uid, digests[item.uid])

    def _digests(self) -> dict[str, str]:
        return settled.digests(self.ledger.snapshot(), self.driver.listing(), self.store.layers(), self.place)

    def _result(self, outcomes: dict[Key, Outcome], goal: list[Key], *, late: bool) -> Result:
        failed = {key: outcome.failure.sentence for key, outcome in outcomes.items() if outcome.failure is not None}
        for each in self.ledger.snapshot().by_key.values():
            if goals.failed(each) and each.key in outcomes:
                failed.setdefault(each.key, goals.missing(each))
        waiting = {
            key: why for key in goal if (item := self.ledger.get(key)) is not None and (why := goals.missing(item))
        }
        return Result(failed, waiting, late)


@contextmanager
def session(
    settings: Settings,
    *,
    clock: Clock | None = None,
    waiting: Callable[[str], None] = nobody_told,
    timeout_s: float | None = None,
) -> Iterator[Session]:
    """Take the engine's lock, connect, and give back an engine; everything is closed at the end.

    While somebody else is at work, `waiting` is told who, and the lock is taken when it falls free; TimedOut after
    `timeout_s`.
    """
    clock = clock or SystemClock()
    directory = Path(settings.state_dir)
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(directory, clock=clock.now))
        lock = opened.enter_context(EngineLock(directory))
        _acquire(lock, clock, waiting, timeout_s)
        driver = connect(settings, store.installation)
        opened.callback(driver.close)
        place = place_of(settings, store, store.installation)
        listed = driver.listing()  # before anything is written: without a host nothing is changed
        yield Session(store, driver, Ledger(store), place, clock, listed)
        store.note(freshness.ENGINE, freshness.LAST_WORK, str(clock.now()))


def connect(settings: Settings, installation: str) -> Driver:
    """The driver for the configured host."""
    from vmctl.hypervisor.libvirt_driver import LibvirtDriver

    return LibvirtDriver(settings.libvirt_uri, installation, accelerator=settings.accelerator)


def place_of(settings: Settings, store: Store, installation: str) -> Place:
    """Where the installation of a store lies on this host, in its present boot."""
    return Place(
        installation,
        str(Path(settings.state_dir)),
        store.hash_key,
        boot_id(),
        settings.overcommit_memory,
        settings.overcommit_cpu,
    )


def boot_id() -> str:
    """What tells this boot of the host from the one before."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _acquire(lock: EngineLock, clock: Clock, waiting: Callable[[str], None], timeout_s: float | None) -> None:
    deadline = None if timeout_s is None else clock.elapsed() + timeout_s
    told = False
    while True:
        try:
            lock.acquire(" ".join(["vmctl", *sys.argv[1:]]))
        except Locked as error:
            if deadline is not None and clock.elapsed() >= deadline:
                raise TimedOut(error.message, remedy=error.remedy) from error
            if not told:
                waiting(error.message)
                told = True
            clock.sleep(LOCK_POLL_S)
        else:
            return
