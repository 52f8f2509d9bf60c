"""The engine kept alive: it watches directories and the host, and does at once what there is to do.

Everything that happens only adds names to the queue, or asks for a look: files, libvirt's events, requests of other
processes, the timer. Each of them may be lost; the timer alone would be enough.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vmctl.engine import freshness, logs
from vmctl.engine.convergence import Convergence
from vmctl.engine.serving import Service
from vmctl.engine.settled import Marks
from vmctl.engine.tally import Tally
from vmctl.errors import HypervisorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.engine.gathering import Gathering
    from vmctl.engine.passes import Outcome, Passes
    from vmctl.engine.session import Session
    from vmctl.engine.supervision import Supervisor
    from vmctl.errors import Problem
    from vmctl.planning.objects import Object
    from vmctl.resources.keys import Key

log = logging.getLogger(__name__)
RESYNC_S = 60.0
QUIET_S = 2.0  # after so long without a change, what has come to rest is marked and cleared up
AGAIN_S = 0.02  # until the next try of a look that somebody's writing put off
RECONNECT_S = 1.0
TICK_S = 1.0  # a request whose ring got lost waits as long
SILENT_S = 60.0  # a loop that has not gone round for so long is stuck
LONGEST_PAUSE_S = 600.0
DRAIN_S = 3.0  # how long passes may take to end when we do
NEVER = float("inf")


@dataclass(slots=True)
class Wanted:
    """What the next turn has to do, set from any thread: single assignments, so that no lock is needed."""

    look: bool = True
    resync: bool = True
    reload: bool = False
    refresh: bool = False


class Runner:
    """One `vmctl run`: a session that holds the lock, the directories it watches, and a loop that does not end.

    `rebooted` is told of guests that restart themselves, from libvirt's thread.
    """

    def __init__(
        self,
        session: Session,
        gathering: Gathering,
        supervisor: Supervisor,
        *,
        resync_s: float = RESYNC_S,
        rebooted: Callable[[str], None] | None = None,
    ) -> None:
        self._session, self.gathering, self._supervisor = session, gathering, supervisor
        self._resync_s, self._clock, self._rebooted = resync_s, session.clock, rebooted
        self._wanted = Wanted()
        self._passes: Passes = session.passes(self._seen)
        self.convergence = Convergence(self._pass, session.ledger, session.clock)
        hopeless = lambda key: session.hopeless(key, self.convergence.outcomes)  # noqa: E731  # it outlives this call
        self._service = Service(session.store, session.ledger, self.convergence, self._passes.failures, hopeless)
        self._marks = Marks(session)
        self._pauses: dict[Key, float] = {}  # between looks at what may move by itself, seconds
        self._numbers = itertools.count(1)
        self._watches = self._unreachable = False
        self._resync_due, self._look_due, self._look_from = 0.0, NEVER, 0.0
        self._turned = self._clock.elapsed()
        self._moved_at: float | None = None
        self.tally = Tally()
        self.bad: tuple[Problem, ...] = ()
        self.withheld = 0  # objects that left their directory, too many to be pruned
        self.last_resync: float | None = None  # epoch seconds; None before the first, and while there is no host

    # From other threads. Each of these only says that there is something to do.

    def directory_changed(self) -> None:
        """Something happened in a watched directory."""
        self._wanted.look = True
        self.convergence.wake()

    def rang(self) -> None:
        """Somebody has written the store, or a signal has come."""
        self._wanted.refresh = True
        self.convergence.wake()

    def domain_changed(self, uid: str) -> None:
        """libvirt tells of a domain, or with an empty uid that it may have kept something from us."""
        if not uid:
            self._wanted.resync = True
            self.convergence.wake()
            return
        machines = self._session.ledger.snapshot().of_kind("VirtualMachine")
        self.convergence.add(item.key for item in machines if item.uid == uid)

    def reload(self) -> None:
        """Read and compare everything anew, and try again what had failed for good; for a signal's handler."""
        self._wanted.reload = True

    def stop(self) -> None:
        """End at the next turn; for a signal's handler."""
        self._session.cancel()

    # For metrics.

    @property
    def waiting(self) -> int:
        """How many names wait for their pass or are in it."""
        return self.convergence.waiting

    @property
    def failing(self) -> int:
        """How many objects' last pass failed."""
        return sum(1 for outcome in list(self.convergence.outcomes.values()) if outcome.failure is not None)

    @property
    def healthy(self) -> str:
        """Why the loop is not alive, in a sentence; empty when it is."""
        silent_s = self._clock.elapsed() - self._turned
        return "" if silent_s < SILENT_S else f"the loop has not gone round for {silent_s:.0f} s"

    @property
    def ready(self) -> str:
        """Why nothing is done now, in a sentence; empty when work goes on."""
        if self.last_resync is None:
            return "libvirt does not answer" if self._unreachable else "the first comparison is not done yet"
        return self.healthy

    # The loop.

    def run(self) -> bool:
        """Work until `stop`; false when passes were still busy then: what they had begun is in the journal."""
        self._session.store.forget_answers()
        try:
            self.convergence.run(lambda: False, stay=True, turn=self._turn, pause=self._pause_s)
        finally:
            self._session.cancel()
            self._supervisor.stopping()
            self._session.store.note(freshness.ENGINE, freshness.WATCHED, "[]")
            ended = self.convergence.drain(within_s=DRAIN_S)
        return ended

    def _turn(self) -> bool:
        """Do what is due beside passes."""
        self._turned = self._clock.elapsed()
        self._supervisor.alive()
        if self._session.cancelled:
            self.convergence.end()
            return False
        if self._wanted.reload:
            self._reload()
        if self._wanted.refresh:
            self._wanted.refresh = False
            self._service.refresh()
        self._service.turn()
        now = self._clock.elapsed()
        again = self._wanted.resync or now >= self._resync_due
        if now >= self._look_from and (self._wanted.look or again or now >= self._look_due):
            self._look()
        if again:
            self._resync()
        self._rest()
        return False

    def _pause_s(self) -> float:
        """How long nothing is due; seconds."""
        now = self._clock.elapsed()
        looks = self._look_from if self._wanted.look else self._look_due
        rests = self._moved_at + QUIET_S if self._moved_at is not None and not self.convergence.waiting else NEVER
        return max(0.0, min(TICK_S, self._supervisor.most_s, min(looks, rests, self._resync_due) - now))

    def _reload(self) -> None:
        log.info("reading everything anew")
        self._supervisor.reloading()
        self._wanted = Wanted()
        self._passes.failures.clear()

    def _look(self) -> None:
        """Take up what has changed in the directories."""
        self._wanted.look = False
        self._service.refresh()  # first what others wrote: storing reads it too, and would not tell
        look = self.gathering.look()
        if look.put_off:
            log.debug("a look at the directories is put off: %s", look.put_off)
            self.tally.put_off += 1
            self._wanted.look, self._look_from = True, self._clock.elapsed() + AGAIN_S
            return
        self.tally.looks += 1
        self._look_from, self._look_due = 0.0, look.next_s if look.next_s is not None else NEVER
        self.bad, self.withheld = look.bad, len(look.withheld)
        for key in look.moved:
            self.convergence.changed(key)
        self._moved_at = self._clock.elapsed() if look.moved else self._moved_at
        watched = json.dumps(sorted(self.gathering.identities))
        if self._session.store.notes(freshness.ENGINE).get(freshness.WATCHED) != watched:
            self._session.store.note(freshness.ENGINE, freshness.WATCHED, watched)

    def _resync(self) -> None:
        """Ask for a pass over everything that is not as its last pass left it."""
        self._wanted.resync = False
        try:
            if not self._watches:
                self.convergence.add(self._session.prepare())
                self._session.driver.watch(self.domain_changed, self._rebooted or self.domain_changed)
                self._watches, self._wanted.resync = True, False
            listed = self._session.driver.listing()
        except HypervisorError as error:
            self._without_host(error)
            return
        if self._unreachable:
            log.info("libvirt answers again")
            self._passes.failures.clear()
            self._unreachable = False
        self._session.ledger.refresh()
        self._marks.look(listed)
        first = self.last_resync is None or not self._supervisor.is_ready
        self.last_resync = self._clock.now()
        self._resync_due = self._clock.elapsed() + self._resync_s
        self.tally.resyncs += 1
        self.convergence.add(self._marks.restless())
        if first:
            log.info("ready: %s", self._summary())
            self._supervisor.ready(self._summary())

    def _without_host(self, error: HypervisorError) -> None:
        self._resync_due, self.last_resync = self._clock.elapsed() + RECONNECT_S, None
        if not self._unreachable:
            log.warning("there is no host to work on: %s; %s", error.message, error.remedy)
            self._supervisor.status(f"no host: {error.message}")
        if not self._supervisor.is_ready:  # nobody's boot waits for a libvirt that does not come
            self._supervisor.ready(f"no host: {error.message}")
        self._unreachable = True

    def _rest(self) -> None:
        """When nothing has moved for a while, clear up, and look once more at all that moved."""
        quiet = self._moved_at is not None and self._clock.elapsed() >= self._moved_at + QUIET_S
        if not quiet or self.convergence.waiting:
            return
        self._moved_at, snapshot = None, self._session.ledger.snapshot()
        self._session.tidy(self._passes, dict(self.convergence.outcomes))
        self.convergence.forget_gone()
        for key in self._pauses.keys() - snapshot.by_key.keys():
            self._pauses.pop(key, None)
        self._session.store.note(freshness.ENGINE, freshness.LAST_WORK, str(self._clock.now()))
        self._wanted.resync = True
        self._supervisor.status(self._summary())
        self._session.ledger.forget_models()
        give_back_memory()

    def _summary(self) -> str:
        objects = len(self._session.ledger.snapshot().by_key)
        problems = f"{len(self.bad)} problem{'' if len(self.bad) == 1 else 's'}"
        return f"{objects} objects, {self.failing} failing, {problems} in manifests"

    def _pass(self, key: Key) -> Outcome:
        """One pass, counted, logged under a number of its own, and marked when it changed nothing."""
        began, before, digest = self._clock.elapsed(), self._session.ledger.get(key), self._marks.digest(key)
        with logs.bound(f"{next(self._numbers):x}", key):
            outcome = self._passes.run(key)
            log.debug("%s: %s", key.short, "settled" if outcome.settled else "not settled")
        self.tally.count(self._clock.elapsed() - began, failed=outcome.failure is not None)
        if not outcome.at_rest or before is None:
            return outcome
        moved = self._session.ledger.get(key) is not before
        if not moved:
            self._marks.mark(outcome, digest)
        return self._patient(outcome, moved=moved)

    def _patient(self, outcome: Outcome, *, moved: bool) -> Outcome:
        """Look less and less often at what only may move by itself, and did not.

        Somebody who waits in front of a terminal wants to see an agent come up within seconds; here events and the
        resync tell of it, and a guest without an agent must not cost a pass every two seconds for ever.
        """
        now = self._clock.now()
        if moved or outcome.look_again is None or outcome.look_again <= now:
            self._pauses.pop(outcome.key, None)
            return outcome
        pause = min(self._pauses.get(outcome.key, outcome.look_again - now) * 2, LONGEST_PAUSE_S)
        self._pauses[outcome.key] = pause
        return replace(outcome, look_again=max(outcome.look_again, now + pause))

    def _seen(self, before: Object, after: Object) -> None:
        self._moved_at = self._clock.elapsed()
        if before.phase != after.phase:
            log.info("%s: %s → %s", after.key.short, before.phase or "new", after.phase)


def give_back_memory() -> None:
    """Return what a burst of passes needed to the system; the C library would keep most of it for the next one.

    Five hundred machines made at once leave 35 MiB behind otherwise. Not every C library can (musl has no such call).
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
