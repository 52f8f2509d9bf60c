"""A machine `web` that runs with its agent up, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.engine.manifests import blank, machine
from vmctl.planning.observed import Guest

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from tests.memory_driver import Machine

DISKS = blank("root") + blank("data")
AGENT = Guest({"id": "debian"})


def web(*disks: str, **said: Any) -> str:
    return DISKS + machine("web", *(disks or ("root",)), **said)


def running(lab: Lab, text: str) -> Machine:
    """The machine of a manifest, up, with its agent."""
    lab.apply(text)
    found = lab.world.machines[lab.uid("web")]
    lab.world.boot_finished(found.uid, AGENT)
    lab.resume()
    return found


def waiting(lab: Lab) -> list[dict[str, Any]]:
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    return list(item.status.get("restartAwaitingChanges") or ())


def said(lab: Lab, reason: str) -> list[str]:
    with lab.session() as session:
        return [event.message for event in session.store.events() if event.reason == reason]
