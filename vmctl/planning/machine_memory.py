"""What a plan notes of a machine, so that what somebody else changes later is told from our own work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vmctl.planning import drift, machine_trouble
from vmctl.planning.plans import Note
from vmctl.planning.steps import Define, Live
from vmctl.resources.policies import Effect

if TYPE_CHECKING:
    from vmctl.planning.machine_changes import Difference
    from vmctl.planning.plans import Plan, World


def remembering(world: World, plan: Plan, difference: Difference) -> Plan:
    """The plan with what was seen: what somebody else changed is told once, by the first plan that sees it; what the
    machine looked like is noted at the end, so that such changes are told from our work.
    """
    found, notes = difference.drift, plan.notes
    wanted = {machine_trouble.NOTE: "", drift.TOLD: found.places, **plan.remember}
    if world.domain is not None and found.record and not plan.steps:
        wanted[drift.NOTE] = found.record
    if plan.steps and not drift.is_held(world):
        wanted[drift.OURS] = _changing(world, plan, difference)
    elif not found.words:  # what was there before somebody else's change is remembered, and so is what is ours of it
        wanted[drift.OURS] = ""
    news = {name: text for name, text in wanted.items() if world.notes.get(name, "") != text}
    if found.words and drift.TOLD in news:
        notes = (*notes, Note("DriftDetected", f"somebody else changed the machine: {found.words}", warning=True))
    return replace(plan, notes=notes, remember=news)


def _changing(world: World, plan: Plan, difference: Difference) -> str:
    """What the steps of a plan change that is compared with what was last seen, noted before they are done; not what
    they only put right.
    """
    live = any(isinstance(step, Live) for step in plan.steps)
    places = {drift.place(item.change) for item in difference.of(Effect.LIVE)} if live else set[str]()
    defines = any(isinstance(step, Define) for step in plan.steps) and not difference.drift.defined
    return drift.changing(world, places - difference.drift.running.keys(), defines=defines)
