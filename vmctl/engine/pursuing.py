"""A verb on its way to its goal: it works while there is something to do, lets go of the lock while it only waits, and
follows while somebody else works.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.engine.following import WATCH_S, Follower
from vmctl.engine.serving import Service, failures
from vmctl.planning import goals
from vmctl.state import bell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmctl.engine.clock import Clock
    from vmctl.engine.passes import Passes
    from vmctl.engine.session import Seen, Session
    from vmctl.planning.objects import Objects
    from vmctl.resources.keys import Key

TICK_S = 0.1  # between looks at what others write
REST_S = 0.25  # the least that the lock is left to others: a daemon that wants to begin tries it ten times a second
PATIENCE_S = 0.5  # another one's turn may take as long; who has not let go by then is asked to do our passes too


@dataclass(frozen=True, slots=True)
class Result:
    """How a convergence ended: what failed, what is not where its spec asks, and whether time ran out."""

    failed: dict[Key, str] = field(default_factory=dict["Key", str])
    unreached: dict[Key, str] = field(default_factory=dict["Key", str])
    timed_out: bool = False


@dataclass(slots=True)
class End:
    """When a pursuit is given up: at its deadline (elapsed seconds), or when it is cancelled."""

    clock: Clock
    deadline: float | None
    cancelled: Callable[[], bool]
    late: bool = False

    def come(self) -> bool:
        """Whether the end has come, and whose fault it is."""
        self.late = self.deadline is not None and self.clock.elapsed() >= self.deadline
        return self.late or self.cancelled()


class Turn:
    """The passes of this process from when it took the lock to when somebody else works; it may rest in between."""

    def __init__(self, session: Session, passes: Passes) -> None:
        from vmctl.engine.convergence import Convergence  # what only a pass needs costs 0.2 s to import

        self._session, self._passes = session, passes
        self.convergence = Convergence(passes.run, session.ledger, session.clock)
        self._service = Service(session.store, session.ledger, self.convergence, passes.failures, self.hopeless)
        self._tidied: Objects | None = None  # the objects as they were when all was last cleared up
        self._others: set[Key] = set()  # what we had passes over, and others have changed since
        self._forgive()

    def hopeless(self, key: Key) -> bool:
        """Whether an object has failed for good, or waits for one that has."""
        return self._session.hopeless(key, self.convergence.outcomes)

    def work(self, keys: Iterable[Key], *, stay: bool) -> None:
        """Run passes over `keys`, and those that others ask for, until nothing is left to do now; with `stay`, what is
        to be looked at again is looked at when its time has come.
        """
        self.convergence.add(keys)
        self.convergence.run(lambda: True, stay=stay, turn=self._service.turn)

    def tidy(self) -> None:
        """Clear up and mark what is at rest, unless nothing has moved since the last time."""
        session, outcomes = self._session, self.convergence.outcomes
        if self._tidied is session.ledger.snapshot():
            return
        session.tidy(self._passes, outcomes)
        session.settle(outcomes)
        self.convergence.forget_gone()
        self._tidied = session.ledger.snapshot()

    def overtaken(self, changed: Iterable[Key]) -> None:
        """Take note of what others have changed: what we knew of it does not count any more."""
        self._others.update(self.convergence.forget(changed))

    def taken_over(self) -> list[Key]:
        """What others have begun since the last turn and have not brought to where it should be."""
        items = filter(None, map(self._session.ledger.get, self._others))
        self._others = set()
        self._forgive()
        return [item.key for item in items if goals.missing(item)]

    def result(self, unreached: dict[Key, str], *, late: bool) -> Result:
        """How it ended as far as our passes go."""
        outcomes = self.convergence.outcomes
        return Result(failures(outcomes, outcomes, self._session.ledger), unreached, late)

    def _forgive(self) -> None:
        """Forget the failures of objects that others have brought to where they should be."""
        failures = self._passes.failures
        if failures:
            for item in self._session.ledger.snapshot().by_key.values():
                if item.uid in failures and not goals.missing(item):
                    failures.pop(item.uid)


@dataclass(slots=True)
class Pursuit:
    """One call of `Session.converge`: passes over `keys`, then on to the `goal`, or until `until` says so."""

    session: Session
    keys: list[Key]
    goal: list[Key]
    until: Callable[[], bool] | None
    end: End
    seen: Seen
    _begun: bool = False  # the passes over `keys` have been run, here or elsewhere
    _passes: Passes | None = None  # of all turns: what failed for good in one is not tried again in the next
    _follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        session, directory = self.session, Path(self.session.place.state_dir)
        self._follower = Follower(
            session.store,
            session.ledger,
            session.clock,
            session.take,
            lambda: bell.ring(directory),
            self.end.come,
            self.seen,
            {*self.keys, *self.goal},
        )

    def run(self) -> Result:
        """Go on to the end. Raises what a pass raises that is not a failure of its object (a bug)."""
        while True:
            result = self._lead() if self.session.take() else self._follow()
            if result is not None:
                return result

    @property
    def _stays(self) -> bool:
        return bool(self.goal) or self.until is not None

    def _wanted(self) -> list[Key]:
        """What passes have to be run over: everything at first, then what is not where it should be."""
        found = [key for key in self.goal if (item := self.session.ledger.get(key)) and goals.missing(item)]
        return found or self.keys if self._begun else self.keys

    def _over(self, hopeless: Callable[[Key], bool]) -> bool:
        """Whether the end has come, or every object of the goal is where it should be or will not come there."""
        if self.end.come():
            return True
        if self.until is not None:
            return self.until()
        items = {key: self.session.ledger.get(key) for key in self.goal}
        return all(item is None or not goals.missing(item) or hopeless(key) for key, item in items.items())

    # While the lock is ours.

    def _lead(self) -> Result | None:
        """Run the passes here; None when somebody else is at work now."""
        session = self.session
        self._passes = self._passes or session.passes(self.seen)
        turn = Turn(session, self._passes)
        if not self._begun:
            session.store.forget_answers()
        keys = [*self._wanted(), *session.prepare()]
        try:
            while True:
                turn.work(keys, stay=self._stays)
                turn.tidy()
                self._begun = True
                if not self._stays or self._over(turn.hopeless):
                    break
                if not self._rest(turn):
                    break
                keys = [*(self.goal or self.keys), *turn.taken_over()]  # what changes in a guest tells nobody
        except KeyboardInterrupt:
            session.cancel()
            raise
        finally:
            turn.convergence.drain()
        if self._stays and not self._over(turn.hopeless):
            return None
        return turn.result(self._unreached(), late=self.end.late)

    def _rest(self, turn: Turn) -> bool:
        """Leave the host to others until there is something to do here; false when it is over, or when they work."""
        session, elapsed = self.session, self.session.clock.elapsed
        session.let_go()
        due = elapsed() + max(REST_S, min(WATCH_S, turn.convergence.due_s()))
        while not self._over(turn.hopeless):
            ours = (elapsed() >= due or bool(session.store.requests())) and session.take()
            if ours or elapsed() >= due + PATIENCE_S:
                turn.overtaken(self._follower.look())
                return ours
            session.clock.sleep(TICK_S)
            turn.overtaken(self._follower.look())
        return False

    # While it is another one's.

    def _follow(self) -> Result | None:
        """Have the passes run by who holds the lock; None as soon as it is ours."""
        failed: dict[Key, str] = {}
        hopeless: frozenset[Key] = frozenset()

        def over() -> bool:
            return self._over(hopeless.__contains__)

        wanted = self._wanted()
        while (answer := self._follower.ask(wanted, anew=not self._begun)) is not None:
            self._begun = True
            failed = {key: why for key, why in failed.items() if key not in wanted} | answer.failed
            hopeless = answer.hopeless
            if not self._stays or over():
                break
            if self._follower.pause(over):
                return None
            if over():
                break
            wanted = self._wanted()
        if answer is None and not self.end.come():
            return None
        return Result(failed, self._unreached(), self.end.late)

    def _unreached(self) -> dict[Key, str]:
        """Those of the goal that are not where their spec asks, and what they wait for."""
        items = filter(None, map(self.session.ledger.get, self.goal))
        return {item.key: why for item in items if (why := goals.missing(item))}
