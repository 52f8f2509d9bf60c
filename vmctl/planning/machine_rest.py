"""A machine that is to be off: since when that counts as meant, and what is noted of it, so that neither another policy
nor a new boot of the host starts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from vmctl.planning import power, requests
from vmctl.planning.conditions import seconds
from vmctl.planning.power import Cause, PowerNote, noted
from vmctl.planning.steps import Remember

if TYPE_CHECKING:
    from vmctl.planning.objects import Object
    from vmctl.planning.plans import World
    from vmctl.planning.power import Wish

RESTS_AFTER_S = 600.0  # a host that goes down switches its guests off, and takes less time than this


def steps(world: World, asked: Wish) -> tuple[Remember, ...]:
    """Note that a machine is meant to be off, so that neither another policy nor a new boot of the host starts it.

    What its guest switched off is noted later: a host on its way down switches guests off too, and starts them again.
    """
    request = requests.active(world.notes)
    by_policy = asked.off is Cause.ALWAYS_OFF and request is not None and not request.operation
    over = request is not None and (request.verb == "Stop" or by_policy)
    answered = (request.answered(world.object),) if request is not None and over else ()
    if asked.off is None or not _is_news(world, asked, asked.off):
        return answered
    text = PowerNote("off", world.place.boot_id, why=asked.why, cause=asked.off).text()
    item = world.object
    return (Remember(item.key, item.uid, power.NOTE, text, "note that the machine stays off"), *answered)


def _is_news(world: World, asked: Wish, cause: Cause) -> bool:
    """Whether that a machine is meant to be off is to be noted. Of policies the last counts, not who stopped it before;
    Manual leaves off what was off by anything but a policy.
    """
    note = noted(world.notes)
    before = note.meant_off if note is not None else None
    match cause:
        case Cause.MANUAL:
            return before is Cause.ALWAYS_OFF or note is None or note.intent == "on"
        case Cause.ALWAYS_OFF:
            return note is not None and before is not cause
        case Cause.STOP:
            return before is not cause and requests.active(world.notes) is not None
        case Cause.GUEST:
            at = due(world, asked)
            return at is not None and world.now >= at
        case Cause.RESTART | Cause.DELETION:  # never of a machine that rests
            return False
        case _:
            assert_never(cause)


def due(world: World, asked: Wish) -> float | None:
    """When a machine whose guest switched it off counts as stopped for good."""
    note = noted(world.notes)
    if asked.off is not Cause.GUEST or note is None or note.intent != "on":
        return None
    return rests_from(world.object, world.now)


def rests_from(item: Object, now: float) -> float:
    """When a machine that has been off for as long as its status tells, at `now`, counts as stopped for good."""
    known = (item.status.get("stats") or {}).get("phasesTransitions") or ()
    since = seconds(known[-1]["timestamp"]) if known and known[-1]["phase"] == "Stopped" else now
    return since + RESTS_AFTER_S
