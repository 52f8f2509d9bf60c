"""One pass over one object: observe, plan, record the status, carry the steps out; again until nothing is left.

A pass looks at the world, never at what made it run, so merged and lost events are harmless. It returns one Outcome.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vmctl.engine.warning import warn
from vmctl.errors import Bug, VmctlError
from vmctl.planning import rules
from vmctl.planning.plans import Failure, Plan, Progress, World
from vmctl.planning.power import NOTE
from vmctl.planning.steps import Start

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.engine.executing import Executor
    from vmctl.engine.ledger import Ledger
    from vmctl.engine.observing import Observer
    from vmctl.planning.objects import Object
    from vmctl.planning.steps import Step
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store

log = logging.getLogger(__name__)
ROUNDS = 12  # a pass that has not come to an end by then goes round in a circle
BACKOFF_S, LONGEST_S = 2.0, 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pass ended: settled, or to be looked at again at a time; with the failure, if there is one.

    `seen` digests the domain of a machine as the pass saw it last; empty when there was none.
    """

    key: Key
    settled: bool = True
    look_again: float | None = None
    failure: Failure | None = None
    waits_for: tuple[Key, ...] = ()
    gone: bool = False
    seen: str = ""

    @property
    def at_rest(self) -> bool:
        """Whether nothing was left to do, and nothing went wrong."""
        return self.settled and self.failure is None


@dataclass(slots=True)
class Passes:
    """Runs passes. `seen` is told of every status that is recorded (for progress on a terminal)."""

    store: Store
    ledger: Ledger
    observer: Observer
    executor: Executor
    seen: Callable[[Object, Object], None]
    failures: dict[str, Failure] = field(default_factory=dict[str, Failure])
    _admission: threading.Lock = field(default_factory=threading.Lock)

    def run(self, key: Key) -> Outcome:
        """One pass over the object of that name."""
        done: tuple[Step, ...] = ()
        rounds = 0
        while (item := self.ledger.get(key)) is not None:
            try:
                world = self._noticed(self.observer.world(item, self._failure(item)))
                plan = self._planned(item, world)
            except VmctlError as error:  # it cannot be looked at: that ends its pass, and nobody else's
                return self._unseen(item, self._remembered(item, error))
            if not plan.steps and self._forget_failure(item):
                continue
            if not plan.steps:
                seen = world.domain.fingerprint if world.domain is not None else ""
                return Outcome(key, plan.settled, plan.look_again, self._failure(item), plan.waits_for, seen=seen)
            rounds += 1
            if plan.steps == done or rounds > ROUNDS:
                return self._stuck(item, plan)
            trouble = self._execute(item, plan.steps)
            if trouble is not None:
                return self._failed(item, trouble)
            done = plan.steps
        return Outcome(key, gone=True)

    def _planned(self, item: Object, world: World) -> Plan:
        """The plan for an object, its status recorded.

        Who is about to start is admitted one after another, each seeing those before: what a host has is promised once.
        """
        plan = self.plan(world)
        if not any(isinstance(step, Start) for step in plan.steps):
            self._record(item, plan)
            return plan
        with self._admission:
            plan = self.plan(replace(world, objects=self.ledger.snapshot()))
            self._record(item, plan)
            return plan

    def plan(self, world: World) -> Plan:
        """What is to be done for an object, with the address that the observer proposes for it."""
        match world.object.key.kind:
            case "VirtualMachine":
                return rules.plan(world, self.observer.mac(world))
            case "VirtualMachineIPAddress":
                return rules.plan(world, self.observer.candidate(world))
            case _:
                return rules.plan(world)

    def _noticed(self, world: World) -> World:
        """The world, after recording what happened to the power of a machine if that is news to us."""
        after = rules.noticed(world)
        if after is not world:
            self.store.note(world.object.uid, NOTE, after.notes[NOTE])
        return after

    def _failure(self, item: Object) -> Failure | None:
        """The last failure, unless the manifest has changed since, or a clock that was set back would prolong it."""
        failure = self.failures.get(item.uid)
        if failure is not None and (failure.retry_at or 0.0) > self.executor.clock.now() + LONGEST_S:
            return None
        return failure if failure is not None and failure.generation == item.generation else None

    def _forget_failure(self, item: Object) -> bool:
        """Forget a failure whose next try is due where nothing is left to try; whether there was one."""
        failure = self._failure(item)
        over = failure is not None and failure.retry_at is not None and failure.retry_at <= self.executor.clock.now()
        return over and self.failures.pop(item.uid, None) is not None

    def _record(self, item: Object, plan: Plan) -> None:
        for note in plan.notes:
            if note.warning:
                warn(self.store, item, note.reason, note.message)
            else:
                self.store.record_event(item.key, "Normal", note.reason, note.message, uid=item.uid)
        for name, text in plan.remember.items():
            self.store.note(item.uid, name, text)
        updated = self.ledger.set_status(item, plan.status)
        if updated is not item:
            self.seen(item, updated)

    def _execute(self, item: Object, steps: tuple[Step, ...]) -> VmctlError | None:
        """Do the steps in order; the first that fails ends it and is returned."""

        def progress(now: Progress) -> None:
            current = self.ledger.get(item.key)
            if current is not None:
                world = self.observer.world(current, self._failure(current), now)
                self._record(current, replace(self.plan(world), notes=()))

        for step in steps:
            try:
                self.executor.execute(item, step, progress)
            except VmctlError as error:
                return error
        self.failures.pop(item.uid, None)
        return None

    def _failed(self, item: Object, error: VmctlError) -> Outcome:
        """Remember the failure, let the status say it, and say when it is tried again."""
        failure = self._remembered(item, error)
        current = self.ledger.get(item.key)
        if current is None:
            return Outcome(item.key, gone=True)
        try:
            plan = self.plan(self.observer.world(current, failure))
        except VmctlError as blind:
            log.info("%s cannot be looked at: %s", item.key.short, blind.message)
            return self._unseen(item, failure)
        self._record(current, plan)
        return Outcome(item.key, plan.settled, failure.retry_at, failure, plan.waits_for)

    def _unseen(self, item: Object, failure: Failure) -> Outcome:
        """The outcome for an object whose state nobody knows: its status stays as it was."""
        return Outcome(item.key, settled=False, look_again=failure.retry_at, failure=failure)

    def _remembered(self, item: Object, error: VmctlError) -> Failure:
        """The failure as the next plan sees it, and as an event."""
        now = self.executor.clock.now()
        before = self._failure(item)
        attempts = before.attempts + 1 if before is not None else 1
        pause = (
            None
            if error.retry == "never"
            else BACKOFF_S
            if error.retry == "wait"
            else min(LONGEST_S, BACKOFF_S * 2 ** (attempts - 1))
        )
        failure = Failure(
            error.reason,
            error.message,
            error.remedy,
            now + pause if pause is not None else None,
            attempts,
            item.generation,
        )
        self.failures[item.uid] = failure
        if error.retry != "wait":
            warn(self.store, item, error.reason, failure.sentence)
        else:
            log.info("%s: %s", item.key.short, failure.sentence)
        return failure

    def _stuck(self, item: Object, plan: Plan) -> Outcome:
        """Steps that were done and are asked for again: never loop on them, say it instead."""
        words = ", ".join(step.describe() for step in plan.steps)
        bug = Bug(
            f"{item.key.short} does not come to rest: after «{words}» the same is asked for again",
            remedy="please report this",
        )
        return self._failed(item, bug)
