"""The queue of names and the threads that run passes over them: no name is in two hands, merged requests are one
pass.
"""

from __future__ import annotations

import heapq
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from vmctl.planning.graph import interested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmctl.engine.clock import Clock
    from vmctl.engine.ledger import Ledger
    from vmctl.engine.passes import Outcome
    from vmctl.resources.keys import Key

log = logging.getLogger(__name__)
WORKERS = 32  # most of them wait: for a transfer, a guest that shuts down, libvirt
WATCH_S = 2.0  # how often one who stays looks at what it waits for
TICK_S = 0.1  # how long the loop sleeps when nothing wakes it


class Convergence:
    """Runs passes until there is nothing left to do now."""

    def __init__(self, run: Callable[[Key], Outcome], ledger: Ledger, clock: Clock, *, workers: int = WORKERS) -> None:
        self._run, self._ledger, self._clock = run, ledger, clock
        self._wake = threading.Condition()
        self._dirty: dict[Key, None] = {}
        self._busy: set[Key] = set()
        self._later: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}  # of several times in `_later`, the one that counts
        self._crash: BaseException | None = None
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="pass")
        self.outcomes: dict[Key, Outcome] = {}
        ledger.changed = self.changed

    def add(self, keys: Iterable[Key]) -> None:
        """Ask for a pass over each; a name that is asked for twice gets one."""
        with self._wake:
            self._dirty.update(dict.fromkeys(keys))
            self._wake.notify_all()

    def changed(self, key: Key, also: Iterable[Key] = ()) -> None:
        """Ask for a pass over everything that may come out differently now."""
        snapshot = self._ledger.snapshot()
        self.add(
            [
                *interested(key, snapshot),
                *(one for one in (key, *also) if snapshot.get(one) is not None),
            ]
        )

    def run(self, done: Callable[[], bool], *, watched: Iterable[Key] = (), stay: bool = False) -> None:
        """Run passes until nothing is left to do now; with `stay`, go on until `done()`.

        What failed is tried again meanwhile. Somebody who stays also looks again at what may have moved by itself, and
        at `watched` now and then: what changes in a guest tells nobody. Raises what a pass raises that is not a failure
        of its object (a bug), after the others have ended.
        """
        watched = list(watched)
        look_at = self._clock.elapsed() + WATCH_S
        while True:
            with self._wake:
                self._promote(stay=stay)
                self._dispatch()
                if self._crash is not None:
                    self._wait_for_busy()
                    raise self._crash
                if not self._busy and not self._dirty and (not stay or done()):
                    return
                if stay and self._clock.elapsed() >= look_at:
                    self._dirty.update(dict.fromkeys(watched))
                    look_at = self._clock.elapsed() + WATCH_S
                self._wake.wait(TICK_S)

    def drain(self) -> None:
        """Wait for the passes in progress and start no more."""
        with self._wake:
            self._dirty.clear()
            self._wait_for_busy()
        self._pool.shutdown()

    def _wait_for_busy(self) -> None:
        while self._busy:
            self._wake.wait(TICK_S)

    def _promote(self, *, stay: bool) -> None:
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            due, key = heapq.heappop(self._later)
            if self._due.get(key) == due and (stay or self.outcomes[key].failure is not None):
                self._dirty[key] = None

    def _dispatch(self) -> None:
        for key in [key for key in self._dirty if key not in self._busy]:
            del self._dirty[key]
            self._busy.add(key)
            self._pool.submit(self._pass, key)

    def _pass(self, key: Key) -> None:
        outcome: Outcome | None = None
        try:
            outcome = self._run(key)
        except BaseException as error:  # re-raised in the thread that waits
            self._crash = self._crash or error
        with self._wake:
            self._busy.discard(key)
            if outcome is not None:
                self.outcomes[key] = outcome
                if outcome.look_again is not None and not outcome.gone:
                    self._due[key] = outcome.look_again
                    heapq.heappush(self._later, (outcome.look_again, key))
                else:
                    self._due.pop(key, None)
            self._wake.notify_all()
