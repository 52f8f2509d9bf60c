"""A machine `web`, operations on it, and what became of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engine.manifests import blank, machine
from vmctl.engine import applying
from vmctl.planning.conditions import find
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from vmctl.engine.pursuing import Result

VM = Key("VirtualMachine", "default", "web")
OPERATION = "VirtualMachineOperation"


def operation(name: str, act: str, *, force: bool = False, of: str = "web") -> str:
    forced = ", force: true" if force else ""
    return f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachineOperation
metadata: {{name: {name}}}
spec: {{virtualMachineName: {of}, type: {act}{forced}}}
---"""


def web(policy: str = "AlwaysOnUnlessStoppedManually", *disks: str, cores: int = 1, more: str = "") -> str:
    names = disks or ("root",)
    extra = f"runPolicy: {policy}" + (f"\n  {more}" if more else "")
    return "".join(map(blank, names)) + machine("web", *names, cores=cores, extra=extra)


def ask(lab: Lab, name: str, act: str, *, force: bool = False) -> Result:
    """What `vmctl create` of one operation does."""
    manifests = lab.load(operation(name, act, force=force))
    with lab.session() as session:
        applying.store_all(session.store, session.ledger, manifests)
        return session.converge([item.key for item in manifests])


def completed(lab: Lab, name: str) -> tuple[str, str]:
    """The phase of an operation and the reason of its condition Completed."""
    item = lab.get(OPERATION, name)
    assert item is not None
    condition = find(item.status, "Completed")
    assert condition is not None
    return item.phase, condition["reason"]


def message(lab: Lab, name: str) -> str:
    item = lab.get(OPERATION, name)
    assert item is not None
    condition = find(item.status, "Completed")
    assert condition is not None
    return str(condition["message"])


def nonce(lab: Lab) -> str:
    running = lab.world.machines[lab.uid("web")].running
    return running.nonce if running is not None else ""


def power(lab: Lab) -> str:
    return lab.world.machines[lab.uid("web")].power


def events(lab: Lab, key: Key = VM) -> list[str]:
    with lab.session() as session:
        return [f"{event.reason}: {event.message}" for event in session.store.events(key)]
