"""Whether an operation suits a machine as it is now: what its policy and its phase allow, and who gives way to whom.

The engine asks before it asks the machine, the command line before it makes an operation at all; both say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from vmctl.planning import phases

if TYPE_CHECKING:
    from vmctl.planning.objects import Object
    from vmctl.planning.observed import Domain

POLICIES = {
    "Start": frozenset({"AlwaysOnUnlessStoppedManually", "Manual"}),
    "Stop": frozenset({"AlwaysOnUnlessStoppedManually", "Manual"}),
    "Restart": frozenset({"AlwaysOn", "AlwaysOnUnlessStoppedManually", "Manual"}),
}
PHASES = {
    "Start": frozenset({"Stopped", "Stopping"}),
    "Stop": frozenset({"Running", "Degraded", "Starting", "Pause", "Pending"}),
    "Restart": frozenset({"Running", "Degraded", "Starting", "Pause"}),
}
_POLICY_SAYS = {
    "AlwaysOn": "runPolicy AlwaysOn keeps the machine on, whenever an apply or a run looks at it",
    "AlwaysOff": "runPolicy AlwaysOff keeps the machine off",
}
_PHASE_SAYS = {
    ("Start", "Running"): "the machine runs already",
    ("Start", "Pause"): "the machine is on already; its processors are paused",
    ("Start", "Pending"): "the machine is Pending: it is to be on already, and waits for what it needs",
    ("Start", "Starting"): "the machine is being started already",
    ("Stop", "Stopped"): "the machine is off already",
    ("Stop", "Stopping"): "the machine is being switched off already; with force its power is cut at once",
    ("Restart", "Stopped"): "the machine is off, and only what is on can be restarted; start it instead",
    ("Restart", "Pending"): "the machine is Pending: it is to be on, and waits for what it needs",
    ("Restart", "Stopping"): "the machine is being switched off; with force its power is cut at once",
}


@dataclass(frozen=True, slots=True)
class Act:
    """What is to be done to a machine."""

    type: str
    force: bool = False


class Reason(StrEnum):
    """Why something is not done to a machine, or not any more: the reason of an operation's condition."""

    BY_POLICY = "NotApplicableForVirtualMachineRunPolicy"
    BY_PHASE = "NotApplicableForVirtualMachinePhase"
    NOT_FOUND = "VirtualMachineNotFound"
    NOT_NOW = "NotReadyToBeExecuted"
    FAILED = "OperationFailed"
    SUPERSEDED = "Superseded"
    NOTHING_WAITS = "NothingWaits"  # of a restart of ours


@dataclass(frozen=True, slots=True)
class Objection:
    """Why something is not done, and a sentence for people."""

    reason: Reason
    message: str


def policy_objection(act: Act, machine: Object) -> Objection | None:
    """Why the run policy of a machine does not let it be done."""
    policy = str((machine.document.get("spec") or {}).get("runPolicy", "AlwaysOnUnlessStoppedManually"))
    if policy in POLICIES[act.type]:
        return None
    *others, last = sorted(POLICIES[act.type])
    return Objection(
        Reason.BY_POLICY, f"{_POLICY_SAYS[policy]}; {act.type} needs runPolicy {', '.join(others)} or {last}"
    )


def phase_objection(act: Act, machine: Object, domain: Domain | None) -> Objection | None:
    """Why a machine is not where it could be done; `domain` is how libvirt has it."""
    phase = phase_now(machine, domain)
    if phase in PHASES[act.type] or (act.force and phase == "Stopping"):
        return None
    if phase == "Terminating":
        return Objection(Reason.BY_PHASE, "the machine is being deleted")
    return Objection(
        Reason.BY_PHASE, _PHASE_SAYS.get((act.type, phase), f"the machine is {phase or 'not looked at yet'}")
    )


def phase_now(machine: Object, domain: Domain | None) -> str:
    """The phase of a machine, after what libvirt says."""
    known = "Terminating" if machine.terminating else machine.phase
    return phases.shown(known, domain.power if domain is not None else "off", kept=True)


def supersedes(later: Act, earlier: Act) -> bool:
    """Whether an operation takes the place of one that is not over."""
    match earlier:
        case Act("Start"):
            return later.type == "Stop"
        case Act("Stop" | "Restart", force=False):
            return later.type in ("Stop", "Restart") and later.force
        case _:
            return False
