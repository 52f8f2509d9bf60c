"""From a verb to an operation: what can be told beforehand is, and then the object is made that asks the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.planning import machine_trouble, operations
from vmctl.planning.applicability import Act, phase_now, phase_objection, policy_objection, supersedes
from vmctl.resources import registry
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from vmctl.engine.session import Session
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.objects import Object, Objects
    from vmctl.state.store import Store
    from vmctl.state.stored import Stored

THERE = {"Start": "Running", "Stop": "Stopped"}  # a machine in this phase needs nothing done


def needless(driver: Driver, machine: Object, act: Act) -> bool:
    """Whether a machine already is as it would be afterwards, as libvirt has it now."""
    return act.type in THERE and phase_now(machine, driver.observe(machine.uid)) == THERE[act.type]


def refusal(driver: Driver, objects: Objects, machine: Object, act: Act) -> str:
    """Why an operation would fail at once, as far as that can be known; empty when nothing is known against it.

    A machine that nobody has looked at yet is judged when that has happened.
    """
    domain = driver.observe(machine.uid)
    for other in operations.rivals(None, machine.key, objects):
        if not supersedes(act, operations.act_left(other, domain)):
            return operations.in_the_way(other)
    if act.type not in operations.DONE:
        return ""
    found = policy_objection(act, machine)
    if found is None and (machine.phase or machine.terminating):
        found = phase_objection(act, machine, domain)
    return found.message if found is not None else ""


def keeps_off(session: Session, machine: Object, act: Act) -> str:
    """Why a restart would switch a machine off and not on again, and what to do; empty when it would, or nobody knows.

    Only who asks by a verb is held back: an operation that is declared is carried out, and its machine waits Pending.
    """
    from vmctl.engine.previewing import Look

    if act.type != "Restart" or not machine.phase or machine.terminating:
        return ""
    look = Look.over(session.store, session.driver, session.ledger, session.place, session.clock)
    why = look.keeps_off(machine)
    if not why:
        return ""
    off = policy_objection(Act("Stop"), machine) is None
    until_then = ", or `vmctl stop` it now and `vmctl start` it later" if off else ""
    return f"{machine_trouble.STAYS_OFF}, because {why}; mend that first{until_then}"


def create(store: Store, machine: Key, act: Act, name: str) -> Stored:
    """Store the operation. Raises ChangeRefused when there is one of that name."""
    kind = registry.BY_NAME["VirtualMachineOperation"]
    forced = {"force": True} if act.force else {}
    document = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": name},
        "spec": {"type": act.type, "virtualMachineName": machine.name, **forced},
    }
    return store.create(Key(kind.name, machine.namespace, name), document)
