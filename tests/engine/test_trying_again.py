"""What failed for a moment: it is tried again when its time has come, and then it is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.operating import VM, web
from vmctl.engine import applying
from vmctl.errors import Busy
from vmctl.planning.conditions import find

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from vmctl.engine.passes import Outcome


class Once:
    """A driver of which one verb finds another job in its way, once."""

    def __init__(self, driver: Any, verb: str) -> None:
        self._driver, self._verb = driver, verb

    def __getattr__(self, name: str) -> Any:
        if name != self._verb:
            return getattr(self._driver, name)
        self._verb = ""
        raise Busy("another job holds the machine")


def passes_over(lab: Lab, verb: str, text: str) -> list[Outcome]:
    """A pass in which that verb fails, one before its time has come, and one after it."""
    manifests = lab.load(text)
    with lab.session() as session:
        session.driver = Once(session.driver, verb)
        applying.store_all(session.store, session.ledger, manifests)
        passes = session.passes(lambda _old, _new: None)
        found = [passes.run(VM), passes.run(VM)]
        assert found[0].look_again is not None
        session.clock.sleep(found[0].look_again - session.clock.now())
        return [*found, passes.run(VM)]


@pytest.mark.parametrize("verb", ["define", "observe"])
def test_a_machine_that_runs(lab: Lab, verb: str) -> None:
    lab.apply(web())
    failed, early, last = passes_over(lab, verb, web(cores=2))
    assert failed.failure is not None
    assert early.failure is not None
    assert early.look_again == failed.look_again
    assert last.failure is None
    machine = lab.world.machines[lab.uid("web")]
    assert machine.defined is not None
    assert machine.defined.cpu.cores == 2
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    said = find(item.status, "ConfigurationApplied")
    assert said is not None
    assert said["message"] == "1 change waits for a restart"


def test_a_machine_with_which_nothing_is_to_be_done(lab: Lab) -> None:
    lab.apply(web())
    failed, _, last = passes_over(lab, "observe", web())
    assert failed.failure is not None
    assert (last.failure, last.settled) == (None, True)
