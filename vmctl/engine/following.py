"""A verb whose work another engine does: it asks, rings, and tells what it sees until that has come to rest.

Nothing hangs on the other one living on: as soon as the engine's lock falls free, the one who follows takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vmctl.planning.graph import mentions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmctl.engine.clock import Clock
    from vmctl.engine.ledger import Ledger
    from vmctl.planning.objects import Object
    from vmctl.resources.keys import Key
    from vmctl.state.requests import Answer
    from vmctl.state.store import Store

POLL_S = 0.02  # a look is a few microseconds while nobody writes
WATCH_S = 2.0  # how often one who stays asks again: what changes in a guest tells nobody


@dataclass(slots=True)
class Follower:
    """One verb's view of an engine in another process. `take` tries to get its lock, `ring` wakes it."""

    store: Store
    ledger: Ledger
    clock: Clock
    take: Callable[[], bool]
    ring: Callable[[], None]
    ended: Callable[[], bool]  # by its time-out, or cancelled
    seen: Callable[[Object, Object], None]
    asked: set[Key] = field(default_factory=set["Key"])

    def ask(self, keys: Iterable[Key], *, anew: bool) -> Answer | None:
        """Have passes run over `keys` and all that they move, and wait until nothing is left to do now.

        None when it ended before, or when the lock is ours.
        """
        keys = list(keys)
        self.asked.update(keys)
        while not self.ended() and not self.take():
            name = self.store.ask(keys, anew=anew)
            try:
                self.ring()
                self._wait(name)
            finally:
                taken_up = not self.store.withdraw(name)
            answer = self.store.answered(name) if taken_up else None
            self.look()
            if answer is not None:
                return answer
        return None

    def pause(self, reached: Callable[[], bool]) -> bool:
        """Follow what happens for a while, or until `reached`; true when the lock is ours."""
        until = self.clock.elapsed() + WATCH_S
        while self.clock.elapsed() < until and not self.ended() and not reached():
            if self.take():
                return True
            self.clock.sleep(POLL_S)
            self.look()
        return False

    def look(self) -> list[Key]:
        """Read what was written since the last look, and tell of every status that concerns what was asked for; the
        keys of all that is new, changed in any way, or gone.
        """
        before = self.ledger.snapshot()
        self.ledger.refresh()
        after = self.ledger.snapshot()
        if after is before:
            return []
        changed = [key for key, item in after.by_key.items() if before.get(key) is not item]
        for key in changed:
            known, item = before.get(key), after.by_key[key]
            if known is not None and known.status == item.status:
                continue
            if key in self.asked or not self.asked.isdisjoint(mentions(item)):
                self.seen(known or replace(item, status={}), item)
        return [*changed, *(before.by_key.keys() - after.by_key.keys())]

    def _wait(self, name: str) -> None:
        """Follow what happens until a request is not there any more, it ended, or nobody is there to answer."""
        while self.store.asks(name) and not self.ended() and not self.take():
            self.clock.sleep(POLL_S)
            self.look()
