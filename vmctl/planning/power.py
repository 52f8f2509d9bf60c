"""Whether a machine is to be on: what it was asked for, its policy, what we recorded of our own doing, and how it went
off.

libvirt cannot tell our shutdown from the guest's own (facts: the events and reasons are the same), so what we meant is
recorded before we act. A machine found off counts as switched off by its guest, unless a crash reason, our record or a
new boot says otherwise.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from vmctl.planning.observed import SAVED
from vmctl.planning.requests import goes_off_first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.observed import Domain
    from vmctl.planning.requests import Request

CRASHED = frozenset({"crashed", "failed", "destroyed", "panicked"})
NOTE = "power"
ALWAYS_OFF = "runPolicy AlwaysOff"
MANUAL = "runPolicy Manual"
CALM_S = 600.0  # a machine that stayed on for so long has not crashed at its start
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 300.0

Intent = Literal["starting", "on", "stopping", "off"]


@dataclass(frozen=True, slots=True)
class PowerNote:
    """What we last meant for a machine, in which boot of the host, and why.

    `since` is when it was started (epoch seconds), `crashes` how often in a row it had gone off by itself before.
    """

    intent: Intent
    boot: str = ""
    nonce: str = ""
    why: str = ""
    crashes: int = 0
    since: float = 0.0

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def noted(notes: Mapping[str, str]) -> PowerNote | None:
    text = notes.get(NOTE)
    return PowerNote(**json.loads(text)) if text else None


@dataclass(frozen=True, slots=True)
class Wish:
    """On or off, and why: the words go into the step and the event.

    `cut`: without asking the guest. `died`: it was to be on, and went off by itself or by somebody else's hand.
    """

    on: bool
    why: str
    cut: bool = False
    died: bool = False


def wish(policy: str, domain: Domain | None, note: PowerNote | None, boot: str, request: Request | None = None) -> Wish:
    """What is asked of a machine, given how it is now; `request` is the one that is not done yet."""
    runs = domain is not None and domain.power != "off"
    if policy == "AlwaysOff":
        return Wish(False, ALWAYS_OFF)
    if request is not None:
        off = request.verb == "Stop" or (request.verb == "Restart" and goes_off_first(request, domain))
        return Wish(not off, request.why, cut=off and request.force)
    match policy:
        case "AlwaysOn":
            return Wish(True, "runPolicy AlwaysOn", died=not runs and _was_on(domain, note, boot))
        case "Manual":
            unfinished = note is not None and note.intent == "starting"
            return Wish(runs or unfinished, MANUAL)
        case _:
            return Wish(True, "it runs") if runs else _unless_stopped(domain, note, boot)


def _was_on(domain: Domain | None, note: PowerNote | None, boot: str) -> bool:
    """Whether a machine that is off was meant to be on in this boot of the host, and does not merely sleep."""
    sleeps = domain is not None and domain.power_reason == SAVED
    return note is not None and note.intent == "on" and note.boot == boot and not sleeps


def _unless_stopped(domain: Domain | None, note: PowerNote | None, boot: str) -> Wish:
    if note is None:
        return Wish(True, "first start")
    if note.intent in ("off", "stopping"):
        if note.why == ALWAYS_OFF:  # a policy switched it off, nobody's hand
            return Wish(True, "runPolicy is AlwaysOff no more")
        return Wish(False, f"it was stopped ({note.why})" if note.why else "it was stopped")
    if note.intent == "starting":
        return Wish(True, "its start was interrupted")
    if note.boot != boot:
        return Wish(True, "the host was restarted")
    if domain is None:
        return Wish(True, "its definition was removed behind our back", died=True)
    if domain.power_reason in CRASHED:
        return Wish(True, f"it went off without being told to ({domain.power_reason})", died=True)
    return Wish(False, "its guest switched it off")


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


def unnoticed(domain: Domain | None, note: PowerNote | None, boot: str) -> bool:
    """Whether a machine is up that was started by somebody else, or by us without our living to record it.

    Left so, its guest's own power-off would count as a start that was interrupted or as a reboot of the host.
    """
    up = domain is not None and domain.power in ("running", "paused")
    return up and (note is None or note.intent != "on" or note.boot != boot)
