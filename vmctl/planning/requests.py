"""What a machine has been asked for beside its policy: a start, a stop or a restart, until that is done.

It is noted with the machine before anything happens, so that a crash in the middle neither loses nor repeats it: a
restart is done when another instance runs than the one that ran when it was asked for.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, assert_never

from vmctl.planning.applicability import Reason
from vmctl.planning.steps import Remember

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.objects import Object
    from vmctl.planning.observed import Domain

NOTE = "request"
OVER = frozenset({"Completed", "Failed", "Superseded"})  # phases of an operation that nothing follows
KEPT_S = 24 * 3600.0  # how long one is kept then
Verb = Literal["Start", "Stop", "Restart"]


@dataclass(frozen=True, slots=True)
class Request:
    """One thing asked of a machine. `operation` is the uid of the VirtualMachineOperation, empty for a restart of ours.

    `nonce` names the instance that ran when it was asked for, `changes` the waiting changes that a restart of ours is
    for. One that is `done` was either carried out, or taken back: `withdrawn` is the reason, `because` the words.
    """

    verb: Verb
    why: str
    operation: str = ""
    force: bool = False
    nonce: str = ""
    changes: str = ""
    done: bool = False
    withdrawn: Reason | None = None
    because: str = ""

    @property
    def is_superseded(self) -> bool:
        """Whether it was taken back for another request, which goes on where this one was."""
        match self.withdrawn:
            case Reason.SUPERSEDED:
                return True
            case (
                None
                | Reason.BY_POLICY
                | Reason.BY_PHASE
                | Reason.NOT_FOUND
                | Reason.NOT_NOW
                | Reason.FAILED
                | Reason.NOTHING_WAITS
            ):
                return False
            case _:
                assert_never(self.withdrawn)

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def asked_of(self, machine: Object) -> Remember:
        """The step that notes it with the machine, and wakes the machine's pass."""
        what = f"{self.verb.lower()} the machine ({self.why})"
        return Remember(machine.key, machine.uid, NOTE, self.text(), what, told=True)

    def answered(self, machine: Object, *, left: bool = False) -> Remember:
        """The step that notes that it was carried out; `left`: the changes that it was for wait on all the same."""
        what = f"{self.verb.lower()} is done ({self.why})"
        done = replace(self, done=True, changes=self.changes if left else "")
        return Remember(machine.key, machine.uid, NOTE, done.text(), what)

    def taken_back(self, machine: Object, reason: Reason, why: str) -> Remember:
        """The step that notes that it is not to be carried out any more, and wakes the machine's pass."""
        back = replace(self, done=True, withdrawn=reason, because=why)
        what = f"{self.verb.lower()} the machine no more: {why}"
        return Remember(machine.key, machine.uid, NOTE, back.text(), what, told=True)


def read(said: Mapping[str, Any]) -> Request:
    """A request as it was noted; versions without `because` wrote the reason and the words in one."""
    reason, _, words = str(said.get("withdrawn") or "").partition(": ")
    withdrawn = Reason(reason) if reason else None
    return Request(**{**said, "withdrawn": withdrawn, "because": said.get("because") or words})


def requested(notes: Mapping[str, str]) -> Request | None:
    """The last request of a machine, done or not."""
    text = notes.get(NOTE)
    return read(json.loads(text)) if text else None


def active(notes: Mapping[str, str]) -> Request | None:
    """The request that is not done yet."""
    request = requested(notes)
    return request if request is not None and not request.done else None


def fulfilled(request: Request, domain: Domain | None) -> bool:
    """Whether a machine is as it was asked to be."""
    on = domain is not None and domain.power in ("running", "paused")
    match request.verb:
        case "Start":
            return on
        case "Stop":
            return domain is None or domain.power == "off"
        case "Restart":
            return on and not _same_instance(request, domain)


def goes_off_first(request: Request, domain: Domain | None) -> bool:
    """Whether the instance that is to be restarted is still on."""
    return domain is not None and domain.power != "off" and _same_instance(request, domain)


def _same_instance(request: Request, domain: Domain | None) -> bool:
    running = domain.running if domain is not None else None
    return running is not None and running.nonce == request.nonce
