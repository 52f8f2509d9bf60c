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
TICK_S = 0.1  # how long the loop sleeps when nothing wakes it


def nothing_new() -> bool:
    """The turn of a loop that has no other source of work."""
    return False


def tick() -> float:
    """How long a loop sleeps that others wait for."""
    return TICK_S


class Errand:
    """Names that somebody asked for, and all that their passes have moved since."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.concerns: set[Key] = set(keys)


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
        self._news = self._ended = False
        self._errands: list[Errand] = []
        self._thread = threading.local()  # .key: the object whose pass runs in it
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
        found = [
            *interested(key, snapshot),
            *(one for one in (key, *also) if snapshot.get(one) is not None),
        ]
        with self._wake:
            self._ask(getattr(self._thread, "key", key), found)

    def _ask(self, cause: Key, found: list[Key]) -> None:
        """Ask for passes because of an object; who waits for that one waits for them too."""
        for errand in self._errands:
            if cause in errand.concerns:
                errand.concerns.update(found)
        self.add(found)

    def undertake(self, keys: Iterable[Key]) -> Errand:
        """Ask for a pass over each, and remember what they move until it is dropped."""
        errand = Errand(keys)
        with self._wake:
            self._errands.append(errand)
            self.add(errand.concerns)
        return errand

    def at_rest(self, errand: Errand) -> bool:
        """Whether nothing is left to do now for all that an errand concerns."""
        with self._wake:
            return not any(key in self._dirty or key in self._busy for key in errand.concerns)

    def drop(self, errand: Errand) -> None:
        """Remember no more what an errand moves; its passes go on."""
        with self._wake:
            self._errands.remove(errand)

    @property
    def waiting(self) -> int:
        """How many names wait for their pass or are in it."""
        with self._wake:
            return len(self._dirty) + len(self._busy)

    def forget_gone(self) -> None:
        """Drop what is remembered of objects that are gone."""
        with self._wake:
            for key in [key for key, outcome in self.outcomes.items() if outcome.gone]:
                del self.outcomes[key]
                self._due.pop(key, None)

    def forget(self, keys: Iterable[Key]) -> list[Key]:
        """Drop how the last passes over objects ended, because others have dealt with them since; those that had one.

        When they are to be looked at again stays as it was.
        """
        with self._wake:
            return [key for key in keys if self.outcomes.pop(key, None) is not None]

    def due_s(self) -> float:
        """How long it is until something is to be looked at again, seconds; infinite when nothing is."""
        with self._wake:
            return min((due - self._clock.now() for due in self._due.values()), default=float("inf"))

    def wake(self) -> None:
        """Let the loop take its next turn at once; for threads that have news."""
        with self._wake:
            self._news = True
            self._wake.notify_all()

    def run(
        self,
        done: Callable[[], bool],
        *,
        stay: bool = False,
        turn: Callable[[], bool] = nothing_new,
        pause: Callable[[], float] = tick,
    ) -> None:
        """Run passes until nothing is left to do now; with `stay`, go on until `done()`.

        `turn` is called at every turn of the loop: it may add names, and says whether there is a reason to go on. When
        nothing happens the next one comes after `pause()` seconds.

        What failed is tried again meanwhile, and somebody who stays also looks again at what may have moved by itself.
        Raises what a pass raises that is not a failure of its object (a bug), after the others have ended.
        """
        while not self._ended:
            self._news = False
            more = turn()
            with self._wake:
                self._promote(stay=stay)
                self._dispatch()
                if self._crash is not None:
                    self._wait_for_busy()
                    raise self._crash
                if not more and not self._busy and not self._dirty and (not stay or done()):
                    return
                if not self._news:
                    self._wake.wait(self._sleep_s(pause()))

    def end(self) -> None:
        """Let the loop return at its next turn, whatever is left to do."""
        self._ended = True
        self.wake()

    def drain(self, within_s: float | None = None) -> bool:
        """Wait for the passes in progress and start no more; false when they take longer than `within_s`."""
        with self._wake:
            self._dirty.clear()
            ended = self._wait_for_busy(within_s)
        self._pool.shutdown(wait=ended)
        return ended

    def _wait_for_busy(self, within_s: float | None = None) -> bool:
        deadline = None if within_s is None else self._clock.elapsed() + within_s
        while self._busy:
            if deadline is not None and self._clock.elapsed() >= deadline:
                return False
            self._wake.wait(TICK_S)
        return True

    def _sleep_s(self, most_s: float) -> float:
        """How long nothing is due; seconds."""
        if not self._later:
            return most_s
        return min(most_s, max(self._later[0][0] - self._clock.now(), TICK_S))

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
        self._thread.key = key
        try:
            outcome = self._run(key)
        except BaseException as error:  # re-raised in the thread that waits
            self._crash = self._crash or error
        with self._wake:
            self._news = True
            self._busy.discard(key)
            if outcome is not None:
                self.outcomes[key] = outcome
                self._ask(key, [one for one in outcome.waits_for if self._is_unseen(one)])
                if outcome.look_again is not None and not outcome.gone:
                    self._due[key] = outcome.look_again
                    heapq.heappush(self._later, (outcome.look_again, key))
                else:
                    self._due.pop(key, None)
            self._wake.notify_all()

    def _is_unseen(self, key: Key) -> bool:
        """Whether nobody has looked at an object yet, so that it may be as a process that died has left it."""
        return key not in self.outcomes and key not in self._busy and self._ledger.get(key) is not None
