"""A machine that is to be off: since when that counts as meant, and what is noted of it, so that neither another policy
nor a new boot of the host starts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.planning import power, requests
from vmctl.planning.conditions import seconds
from vmctl.planning.power import PowerNote, noted
from vmctl.planning.steps import Remember

if TYPE_CHECKING:
    from vmctl.planning.plans import World
    from vmctl.planning.power import Wish

RESTS_AFTER_S = 600.0  # a host that goes down switches its guests off, and takes less time than this


def steps(world: World, asked: Wish) -> tuple[Remember, ...]:
    """Note that a machine is meant to be off, so that neither another policy nor a new boot of the host starts it.

    What its guest switched off is noted later: a host on its way down switches guests off too, and starts them again.
    """
    request = requests.active(world.notes)
    over = request is not None and (request.verb == "Stop" or (asked.why == power.ALWAYS_OFF and not request.operation))
    answered = (request.answered(world.object),) if request is not None and over else ()
    note = noted(world.notes)
    meant_off = note is not None and note.intent in ("off", "stopping") and note.why == asked.why
    by_request = request is not None and request.verb == "Stop"
    by_manual = asked.why == power.MANUAL and (note is None or note.intent == "on" or note.why == power.ALWAYS_OFF)
    by_policy = asked.why == power.ALWAYS_OFF and note is not None  # the last policy counts, not who stopped it before
    at = due(world, asked)
    rests = by_manual or ((by_request or by_policy) and not meant_off) or (at is not None and world.now >= at)
    if asked.on or not rests:
        return answered
    text = PowerNote("off", world.place.boot_id, why=asked.why).text()
    item = world.object
    return (Remember(item.key, item.uid, power.NOTE, text, "note that the machine stays off"), *answered)


def due(world: World, asked: Wish) -> float | None:
    """When a machine whose guest switched it off counts as stopped for good."""
    note = noted(world.notes)
    if asked.on or note is None or note.intent != "on" or asked.why in (power.MANUAL, power.ALWAYS_OFF):
        return None
    known = (world.object.status.get("stats") or {}).get("phasesTransitions") or ()
    since = seconds(known[-1]["timestamp"]) if known and known[-1]["phase"] == "Stopped" else world.now
    return since + RESTS_AFTER_S
