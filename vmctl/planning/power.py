"""Whether a machine is to be on: its policy, what we recorded of our own doing, and how it went off.

libvirt cannot tell our shutdown from the guest's own (facts: the events and reasons are the same), so what we meant is
recorded before we act. A machine found off counts as switched off by its guest, unless a crash reason, our record or a
new boot says otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.observed import Domain

CRASHED = frozenset({"crashed", "failed", "destroyed", "panicked"})
NOTE = "power"
ALWAYS_OFF = "runPolicy AlwaysOff"

Intent = Literal["starting", "on", "stopping", "off"]


@dataclass(frozen=True, slots=True)
class PowerNote:
    """What we last meant for a machine, in which boot of the host, and why it was switched off."""

    intent: Intent
    boot: str = ""
    nonce: str = ""
    why: str = ""

    def text(self) -> str:
        return json.dumps({"intent": self.intent, "boot": self.boot, "nonce": self.nonce, "why": self.why})


def noted(notes: Mapping[str, str]) -> PowerNote | None:
    text = notes.get(NOTE)
    return PowerNote(**json.loads(text)) if text else None


@dataclass(frozen=True, slots=True)
class Wish:
    """On or off, and why: the words go into the step and the event."""

    on: bool
    why: str


def wish(policy: str, domain: Domain | None, note: PowerNote | None, boot: str) -> Wish:
    """What a machine's policy asks for, given how it is now."""
    runs = domain is not None and domain.power != "off"
    match policy:
        case "AlwaysOff":
            return Wish(False, ALWAYS_OFF)
        case "AlwaysOn":
            return Wish(True, "runPolicy AlwaysOn")
        case "Manual":
            unfinished = note is not None and note.intent == "starting"
            return Wish(runs or unfinished, "runPolicy Manual")
        case _:
            return Wish(True, "it runs") if runs else _unless_stopped(domain, note, boot)


def _unless_stopped(domain: Domain | None, note: PowerNote | None, boot: str) -> Wish:
    if note is None:
        return Wish(True, "first start")
    if note.intent in ("off", "stopping"):
        if note.why == ALWAYS_OFF:  # a policy switched it off, nobody's hand
            return Wish(True, "runPolicy is AlwaysOff no more")
        return Wish(False, "it was stopped")
    if note.intent == "starting":
        return Wish(True, "its start was interrupted")
    if note.boot != boot:
        return Wish(True, "the host was restarted")
    if domain is None:
        return Wish(True, "its definition was removed behind our back")
    if domain.power_reason in CRASHED:
        return Wish(True, f"it went off without being told to ({domain.power_reason})")
    return Wish(False, "its guest switched it off")


def unnoticed(domain: Domain | None, note: PowerNote | None, boot: str) -> bool:
    """Whether a machine is up that was started by somebody else, or by us without our living to record it.

    Left so, its guest's own power-off would count as a start that was interrupted or as a reboot of the host.
    """
    up = domain is not None and domain.power in ("running", "paused")
    return up and (note is None or note.intent != "on" or note.boot != boot)
