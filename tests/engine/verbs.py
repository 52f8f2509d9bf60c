"""Verbs beside each other on one host in memory: each has a session of its own, as in a process of its own."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.memory_driver import MemoryDriver
from tests.waiting import PATIENCE_S
from vmctl.engine import applying
from vmctl.engine.clock import SystemClock
from vmctl.engine.ledger import Ledger
from vmctl.engine.pursuing import Result
from vmctl.engine.session import Session, taken
from vmctl.planning.plans import Place
from vmctl.state.lock import EngineLock
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.engine.lab import Lab
    from vmctl.engine.clock import Clock


class HurryingClock:
    """The real clock, but for sleep, which takes a fiftieth of what it is asked for."""

    def __init__(self) -> None:
        self.skipped_s = 0.0

    def now(self) -> float:
        return time.time() + self.skipped_s

    def elapsed(self) -> float:
        return time.monotonic() + self.skipped_s

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / 50)
        self.skipped_s += seconds * 49 / 50


@contextmanager
def hold(lab: Lab, *, keeps: bool = False, clock: Clock | None = None) -> Iterator[Session]:
    """A verb's session as the product opens it; one that `keeps` the lock has always something to do."""
    clock = clock or SystemClock()
    with Store.open(lab.state, clock=clock.now) as store, EngineLock(lab.state) as lock:
        place = Place(store.installation, str(lab.state), store.hash_key, lab.boot)
        driver = MemoryDriver(lab.world, store.installation)
        let_go = lock.release if not keeps else lambda: None
        yield Session(store, driver, Ledger(store), place, clock, take=lambda: taken(lock), let_go=let_go)


def apply(session: Session, lab: Lab, text: str, **options: object) -> Result:
    """What `vmctl apply` does, with whatever hold on the engine it has."""
    manifests = lab.load(text)
    applying.store_all(session.store, session.ledger, manifests)
    return session.converge(session.unsettled(), **options)  # type: ignore[arg-type]


@dataclass
class Engine:
    """A verb in a thread that is at work until it is told to end."""

    lab: Lab
    ended: threading.Event = field(default_factory=threading.Event)
    ready: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        assert self.ready.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    def _work(self) -> None:
        def over() -> bool:
            self.ready.set()
            return self.ended.is_set()

        with hold(self.lab, keeps=True) as session:
            session.converge([], until=over)


@dataclass
class Verb:
    """A call in a thread, with a session of its own and a clock that hurries."""

    lab: Lab
    call: Callable[[Session], Result]
    results: list[Result] = field(default_factory=list[Result])

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.result()

    def result(self) -> Result:
        """How it ended."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it does not end"
        return self.results[0]

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        with hold(self.lab, clock=HurryingClock()) as session:
            self.results.append(self.call(session))
