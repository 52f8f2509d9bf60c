"""Whether a machine is to be on: what it was asked for, its policy, what we recorded of our own doing, and how it went
off.

libvirt cannot tell our shutdown from the guest's own (its events and reasons are the same), so what we meant is
recorded before we act. A machine found off counts as switched off by its guest, unless a crash reason, our record or a
new boot says otherwise.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, assert_never

from vmctl.planning.observed import SAVED, TERMINATED
from vmctl.planning.requests import goes_off_first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.observed import Domain
    from vmctl.planning.requests import Request

BY_HAND = frozenset({"destroyed", TERMINATED})
CRASHED = BY_HAND | {"crashed", "failed", "panicked"}
NOTE = "power"
ALWAYS_OFF = "runPolicy AlwaysOff"
MANUAL = "runPolicy Manual"
REMOVED = "its definition was removed behind our back"
CALM_S = 600.0  # a machine that stayed on for so long has not crashed at its start
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 300.0

Intent = Literal["starting", "on", "stopping", "off"]


class Cause(StrEnum):
    """Why a machine is to be off. What follows goes by this; the words beside it are for people only."""

    ALWAYS_OFF = "AlwaysOff"  # its policy, nobody's hand
    MANUAL = "Manual"
    STOP = "Stop"
    RESTART = "Restart"  # on its way to the next start
    GUEST = "Guest"
    DELETION = "Deletion"


# What versions that noted no cause said instead; whatever else they said was somebody's Stop.
_BY_OLD_WORDS = {
    ALWAYS_OFF: Cause.ALWAYS_OFF,
    MANUAL: Cause.MANUAL,
    "restartApprovalMode Automatic": Cause.RESTART,
    "its guest rebooted, and changes waited for that": Cause.RESTART,
}


@dataclass(frozen=True, slots=True)
class PowerNote:
    """What we last meant for a machine, in which boot of the host, and why.

    `cause` is why it is to be off. `since` is when it was started (epoch seconds), `crashes` how often in a row it had
    gone off by itself before; `terminated`: somebody ended its QEMU from the host, as only libvirt's event tells.
    """

    intent: Intent
    boot: str = ""
    nonce: str = ""
    why: str = ""
    crashes: int = 0
    since: float = 0.0
    cause: Cause | None = None
    terminated: bool = False

    @property
    def meant_off(self) -> Cause | None:
        """Why the machine is meant to be off, or on its way there; None when it is meant to be on."""
        if self.intent in ("starting", "on"):
            return None
        return self.cause or _BY_OLD_WORDS.get(self.why, Cause.STOP)

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def noted(notes: Mapping[str, str]) -> PowerNote | None:
    text = notes.get(NOTE)
    if not text:
        return None
    note = PowerNote(**json.loads(text))
    return replace(note, cause=Cause(note.cause)) if note.cause else note


@dataclass(frozen=True, slots=True)
class Wish:
    """On, or off for a cause; the words `why` go into the step and the event.

    `cut`: without asking the guest. `died`: it was to be on, and went off by itself or by somebody else's hand.
    """

    why: str
    off: Cause | None = None
    cut: bool = False
    died: bool = False

    @property
    def on(self) -> bool:
        return self.off is None


def wish(policy: str, domain: Domain | None, note: PowerNote | None, boot: str, request: Request | None = None) -> Wish:
    """What is asked of a machine, given how it is now; `request` is the one that is not done yet."""
    runs = domain is not None and domain.power != "off"
    if policy == "AlwaysOff":
        return Wish(ALWAYS_OFF, Cause.ALWAYS_OFF)
    if request is not None:
        off = _off_for(request, domain)
        return Wish(request.why, off, cut=off is not None and request.force)
    match policy:
        case "AlwaysOn":
            return Wish("runPolicy AlwaysOn", died=not runs and _was_on(domain, note, boot))
        case "Manual":
            begun = note is not None and (note.intent == "starting" or note.meant_off is Cause.RESTART)
            return Wish(MANUAL, None if runs or begun else Cause.MANUAL)
        case _:
            return Wish("it runs") if runs else _unless_stopped(domain, note, boot)


def _off_for(request: Request, domain: Domain | None) -> Cause | None:
    """Why a machine is to be off by what it was asked for; None when it is to be on."""
    match request.verb:
        case "Start":
            return None
        case "Stop":
            return Cause.STOP
        case "Restart":
            return Cause.RESTART if goes_off_first(request, domain) else None
        case _:
            assert_never(request.verb)


def _was_on(domain: Domain | None, note: PowerNote | None, boot: str) -> bool:
    """Whether a machine that is off was meant to be on in this boot of the host, and does not merely sleep."""
    sleeps = domain is not None and domain.power_reason == SAVED
    return note is not None and note.intent == "on" and note.boot == boot and not sleeps


def _unless_stopped(domain: Domain | None, note: PowerNote | None, boot: str) -> Wish:
    if note is None:
        return Wish("first start")
    if note.meant_off is not None:
        return _after(note, note.meant_off)
    if note.intent == "starting":
        return Wish("its start was interrupted")
    if note.boot != boot:
        return Wish("the host was restarted")
    if domain is None:
        return Wish(REMOVED, died=True)
    reason = how_off(domain, note)
    if reason in CRASHED:
        return Wish(f"it went off without being told to: {reason}", died=True)
    return Wish("its guest switched it off", Cause.GUEST)


def _after(note: PowerNote, cause: Cause) -> Wish:
    """What follows for a machine that was meant to be off, by a policy that keeps it on unless somebody stopped it."""
    match cause:
        case Cause.ALWAYS_OFF:
            return Wish("runPolicy is AlwaysOff no more")
        case Cause.RESTART:
            return Wish("its restart was interrupted")
        case Cause.MANUAL | Cause.STOP | Cause.GUEST | Cause.DELETION:
            return Wish(f"it was stopped ({note.why})" if note.why else "it was stopped", cause)
        case _:
            assert_never(cause)


def how_off(domain: Domain, note: PowerNote | None) -> str:
    """How a machine that was meant to be on went off: libvirt's reason, or what was heard of it."""
    return TERMINATED if note is not None and note.terminated else domain.power_reason


def crashes(asked: Wish, note: PowerNote | None, now: float) -> int:
    """How often in a row a machine that is to be started went off by itself, soon after its start."""
    if not asked.died or note is None:
        return 0
    return note.crashes + 1 if now - note.since < CALM_S else 1


def due(asked: Wish, note: PowerNote | None, now: float) -> float:
    """When a machine may be started: at once after one crash, later and later after more.

    A clock that was set back since its start does not make the pause longer.
    """
    count = crashes(asked, note, now)
    if count < 2 or note is None or note.since > now:
        return now
    return note.since + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (count - 2))


def news(domain: Domain | None, note: PowerNote | None, boot: str, now: float) -> PowerNote | None:
    """What is to be noted of a machine before anything is planned for it; None when nothing happened to it unnoticed.

    One that is up was started by somebody else, or by us without our living to record it: left so, its guest's own
    power-off would count as a start that was interrupted or as a reboot of the host. And that somebody ended its QEMU
    is told to who listens, once.
    """
    if domain is None:
        return None
    as_known = note is not None and note.intent == "on" and note.boot == boot
    if domain.power in ("running", "paused") and (note is None or not as_known or note.terminated):
        return PowerNote("on", boot, domain.running.nonce if domain.running is not None else "", since=now)
    ended = domain.power == "off" and domain.power_reason == TERMINATED
    if ended and note is not None and as_known and not note.terminated:
        return replace(note, terminated=True)
    return None
