"""One verb at work on one host: the store, the driver, and passes until nothing is left to do.

Whoever has the engine's lock runs the passes; a verb that finds it taken has the other one run them, and follows (see
pursuing.py).
"""

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
from vmctl.errors import Locked
from vmctl.planning import goals
from vmctl.planning.place import Place
from vmctl.state import bell
from vmctl.state.lock import EngineLock
from vmctl.state.store import Store

if TYPE_CHECKING:
    from vmctl.engine.executing import Executor
    from vmctl.engine.passes import Outcome, Passes
    from vmctl.engine.pursuing import Result
    from vmctl.engine.settings import Settings
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.objects import Object
    from vmctl.planning.observed import Listed
    from vmctl.resources.keys import Key

Seen = Callable[["Object", "Object"], None]


def nothing_seen(before: Object, after: Object) -> None:
    """The observer of a caller that wants no progress."""


def alone() -> bool:
    """The answer of a lock that is held from the start."""
    return True


def keep() -> None:
    """What becomes of a lock that is held to the end."""


@dataclass(slots=True)
class Session:
    """A verb's hold on the engine. `take` tries to get the lock and says whether it is ours, `let_go` gives it back."""

    store: Store
    driver: Driver
    ledger: Ledger
    place: Place
    clock: Clock
    listed: Mapping[str, Listed] | None = None  # what the host ran when the session began
    take: Callable[[], bool] = alone
    let_go: Callable[[], None] = keep
    _cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def unsettled(self) -> list[Key]:
        """The objects that are not as the last pass left them, nothing to do; empty for an idle apply."""
        marks = settled.Marks(self)
        marks.look(self.listed or self.driver.listing())
        return marks.restless()

    def converge(
        self,
        keys: Iterable[Key],
        *,
        goal: Iterable[Key] = (),
        timeout_s: float | None = None,
        until: Callable[[], bool] | None = None,
        seen: Seen = nothing_seen,
    ) -> Result:
        """Have passes run over `keys` and over all that they move, until nothing is left to do now.

        With `goal`, go on until those objects are where their spec asks; with `until`, until it says so; both end at
        `timeout_s`. The passes run here, or in the engine that holds the lock as long as it does. Who goes on without
        anything to do lets go of the lock meanwhile.
        """
        from vmctl.engine.pursuing import End, Pursuit

        deadline = None if timeout_s is None else self.clock.elapsed() + timeout_s
        end = End(self.clock, deadline, lambda: self.cancelled)
        return Pursuit(self, list(keys), list(goal), until, end, seen).run()

    def hand_over(self, keys: Iterable[Key]) -> None:
        """Leave the passes over `keys` to the engine that holds the lock, and do not wait for them."""
        self.store.ask(keys, anew=True, waits=False)
        bell.ring(Path(self.place.state_dir))

    def cancel(self) -> None:
        """End waits and transfers; what was begun is in the journal or can go on."""
        self._cancelled.set()

    def hopeless(self, key: Key, outcomes: Mapping[Key, Outcome]) -> bool:
        """Whether an object has failed for good, or waits for one that has."""
        looked_at: set[Key] = set()
        waits_for = [key]
        while waits_for:
            one = waits_for.pop()
            item, outcome = self.ledger.get(one), outcomes.get(one)
            if item is not None and (goals.failed(item) or _failed_for_good(outcome)):
                return True
            if outcome is not None and one not in looked_at:
                waits_for += outcome.waits_for
            looked_at.add(one)
        return False

    def passes(self, seen: Seen) -> Passes:
        """What passes are run with; `seen` is told of every status that is recorded."""
        from vmctl.engine.observing import Observer
        from vmctl.engine.passes import Passes

        observer = Observer(self.store, self.driver, self.ledger, self.place, self.clock.now)
        return Passes(self.store, self.ledger, observer, self.executor(), seen)

    def executor(self) -> Executor:
        """What carries the steps out."""
        from vmctl.engine.executing import Executor

        return Executor(self.store, self.driver, self.ledger, self.place, self.clock, lambda: self.cancelled)

    def prepare(self) -> list[Key]:
        """The host's own objects, before anything refers to them; those that are new or changed."""
        from vmctl.engine import built_in

        host = self.driver.host()
        self.store.bind_host(host.uuid, host.uri)
        built_in.ensure(self.store, host, self.place.state_dir)
        return self.ledger.refresh()

    def tidy(self, passes: Passes, outcomes: Mapping[Key, Outcome]) -> None:
        """Clear up what nobody names any more after passes that ended so."""
        from vmctl.engine import tidying

        tidying.tidy(self.store, self.ledger)
        snapshot = self.ledger.snapshot()
        went = any(outcome.gone and key.kind == "VirtualMachine" for key, outcome in outcomes.items())
        if went and not any(True for _ in snapshot.of_kind("VirtualMachine")):
            for network in passes.observer.networks(snapshot):
                self.driver.remove_network(network.uuid)  # nobody is on it, and the next start makes it again

    def settle(self, outcomes: dict[Key, Outcome]) -> None:
        """Mark what is at rest, as it is now, so that the next apply can pass over it."""
        marks = settled.Marks(self)
        marks.look(self.driver.listing())
        with self.store.batch(durable=False):
            for key, outcome in outcomes.items():
                marks.mark(outcome, marks.digest(key))


def _failed_for_good(outcome: Outcome | None) -> bool:
    """Whether a pass ended with what is not tried again while the manifest is as it is."""
    return outcome is not None and outcome.failure is not None and outcome.failure.retry_at is None


@contextmanager
def session(settings: Settings, *, clock: Clock | None = None, look: bool = True) -> Iterator[Session]:
    """Open the store and give back a hold on the engine; everything is closed at the end.

    With `look` the host is asked first what it runs, so that nothing is written where there is no host. The engine's
    lock is tried when there is work for it, and is free again while there is none.
    """
    clock = clock or SystemClock()
    directory = Path(settings.state_dir)
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(directory, clock=clock.now))
        lock = opened.enter_context(EngineLock(directory))
        driver = connect(settings, store.installation)
        opened.callback(driver.close)
        place = place_of(settings, store, store.installation)
        listed = driver.listing() if look else None

        def let_go() -> None:
            if lock.held:
                store.note(freshness.ENGINE, freshness.LAST_WORK, str(clock.now()))
                lock.release()

        yield Session(store, driver, Ledger(store), place, clock, listed, lambda: taken(lock), let_go)
        let_go()


def taken(lock: EngineLock, command: str = "") -> bool:
    """Try to take the engine's lock, in the name of this command line unless another is given; whether it is ours."""
    try:
        lock.acquire(command or " ".join(["vmctl", *sys.argv[1:]]))
    except Locked:
        return False
    return True


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
