"""A change of a spec carried to its end: what is defined, done live, left waiting and refused, by the rules of fields.

The machine's own planner (planning.machine_changes) also knows what runs and what is ready; the laws here are about the
rules alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from vmctl.planning.changes import Entry, Judged, entries, judge, sealed
from vmctl.planning.diff import diff
from vmctl.resources.declaring import Spec
from vmctl.resources.policies import Effect

if TYPE_CHECKING:
    from vmctl.resources.policies import Change, Facts

SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a pass does, in this order, and what it leaves; while anything is refused, nothing is done."""

    define: tuple[Change, ...]
    live: tuple[Judged, ...]
    waiting: tuple[Judged, ...]
    refused: tuple[Judged, ...]


def weigh(running: SpecT | None, defined: SpecT, desired: SpecT, facts: Facts) -> Weighed:
    """Define everything, do live what can be, let the rest wait; a machine that is off (None) awaits nothing."""
    before, defined, desired = (sealed(spec, facts.hash_key) for spec in (running or defined, defined, desired))
    judged = [judge(change, facts) for change in diff(before, desired)]
    live, waits, refused = (
        tuple(item for item in judged if item.verdict.effect is effect)
        for effect in (Effect.LIVE, Effect.RESTART, Effect.REFUSE)
    )
    return Weighed(
        define=() if refused else tuple(diff(defined, desired)),
        live=live if running and not refused else (),
        waiting=waits if running else (),
        refused=refused,
    )


def waiting(running: SpecT | None, desired: SpecT, facts: Facts) -> list[Entry]:
    """status.restartAwaitingChanges, computed afresh from what runs."""
    return entries(item.change for item in weigh(running, desired, desired, facts).waiting)
