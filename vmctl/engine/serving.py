"""The engine at work takes up what other processes have written, and tells them when it has come to rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmctl.planning import goals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping

    from vmctl.engine.convergence import Convergence, Errand
    from vmctl.engine.ledger import Ledger
    from vmctl.engine.passes import Outcome
    from vmctl.planning.plans import Failure
    from vmctl.resources.keys import Key
    from vmctl.state.requests import Request
    from vmctl.state.store import Store


@dataclass(slots=True)
class Service:
    """Requests between their arrival and their answer. `failures` is what passes remember of objects, by uid."""

    store: Store
    ledger: Ledger
    convergence: Convergence
    failures: MutableMapping[str, Failure]
    hopeless: Callable[[Key], bool]
    _open: dict[str, tuple[Request, Errand]] = field(default_factory=dict[str, "tuple[Request, Errand]"])

    def turn(self) -> bool:
        """Take up new requests and answer those at rest; true while one is not answered."""
        asked = {request.id: request for request in self.store.requests()}
        for name in self._open.keys() - asked.keys():  # whoever asked has gone
            self._drop(name)
        fresh = [request for request in asked.values() if request.id not in self._open]
        if fresh:
            self._take(fresh)
        for request, errand in list(self._open.values()):
            if self.convergence.at_rest(errand):
                self._answer(request, errand)
        return bool(self._open)

    def refresh(self) -> list[Key]:
        """Read what others have written, and ask for passes over all that it concerns."""
        moved = self.ledger.refresh()
        for key in moved:
            self.convergence.changed(key)
        return moved

    def _take(self, requests: list[Request]) -> None:
        for request in requests:
            if request.anew:
                for item in filter(None, map(self.ledger.get, request.keys)):
                    self.failures.pop(item.uid, None)
            self._open[request.id] = request, self.convergence.undertake(request.keys)
        self.refresh()  # errands are known by now: whatever their objects move counts as theirs

    def _answer(self, request: Request, errand: Errand) -> None:
        failed = failures(errand.concerns, self.convergence.outcomes, self.ledger)
        self.store.answer(request, failed, filter(self.hopeless, request.keys))
        self._drop(request.id)

    def _drop(self, name: str) -> None:
        _, errand = self._open.pop(name)
        self.convergence.drop(errand)


def failures(keys: Iterable[Key], outcomes: Mapping[Key, Outcome], ledger: Ledger) -> dict[Key, str]:
    """What of these objects failed, and why: in its last pass, or for good some time before it."""
    found: dict[Key, str] = {}
    for key in keys:
        outcome, item = outcomes.get(key), ledger.get(key)
        if outcome is not None and outcome.failure is not None:
            found[key] = outcome.failure.sentence
        elif item is not None and goals.failed(item):
            found[key] = goals.missing(item)
    return found
