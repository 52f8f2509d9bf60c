"""A plan as text: what `diff` and `describe` would show of it, and no more, so that a person can read a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.planning.worlds import UP_AT
from vmctl.cli.documents import as_yaml
from vmctl.planning import steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.plans import Note, Plan, Waiting

ELSEWHERE = frozenset({"conditions", "observedGeneration"})  # shown apart, and held by conditions.check


def shown(plan: Plan) -> str:
    """The whole plan; what is empty is left out."""
    return _text(_parts(plan))


def told(plan: Plan, quiet: Plan) -> str:
    """What of a plan is not as in that of a machine with which all is well; nothing of times, which the phase moves."""
    usual, found = _parts(quiet), _parts(plan)
    found["status"] = {name: value for name, value in found["status"].items() if name != "stats"}
    conditions = _conditions(plan)
    for kind in sorted(_conditions(quiet).keys() - conditions.keys()):
        conditions[kind] = f"{kind} is not shown"
    for name, mine, theirs in (
        ("conditions", conditions, _conditions(quiet)),
        ("status", found["status"], usual["status"]),
    ):
        found[name] = {key: value for key, value in mine.items() if theirs.get(key) != value}
    found["conditions"] = list(found["conditions"].values())
    return _text({name: value for name, value in found.items() if value not in (usual[name], {})}) or "nothing\n"


def _parts(plan: Plan) -> dict[str, Any]:
    return {
        "steps": [f"{type(step).__name__}: {step.describe()}{_detail(step)}" for step in plan.steps],
        "changes": [_change(item) for item in plan.changes],
        "events": [_event(note) for note in plan.notes],
        "waits for": [key.short for key in plan.waits_for],
        "look again": f"{plan.look_again - UP_AT:g} s" if plan.look_again is not None else "",
        "settled": plan.settled,
        "remembers": sorted(plan.remember),
        "conditions": [*_conditions(plan).values()],
        "status": {name: value for name, value in plan.status.items() if name not in ELSEWHERE},
    }


def _text(parts: Mapping[str, Any]) -> str:
    return "".join(as_yaml({name: value}) for name, value in parts.items() if value not in ([], ""))


def _change(item: Waiting) -> str:
    return f"{item.path}: {item.old!r} → {item.new!r} ({item.effect}{': ' if item.reason else ''}{item.reason})"


def _conditions(plan: Plan) -> dict[str, str]:
    return {item["type"]: _condition(item) for item in plan.status.get("conditions") or ()}


def _condition(item: Mapping[str, str]) -> str:
    return f"{item['type']} {item['status']}, {item['reason']}{': ' if item['message'] else ''}{item['message']}"


def _event(note: Note) -> str:
    return f"{'Warning' if note.warning else 'Normal'} {note.reason}: {note.message}"


def _detail(step: steps.Step) -> str:
    """What a step carries that its sentence does not say, as far as a wrong one would cost data or a boot."""
    match step:
        case steps.CreateBlank():
            return f" [{step.size_bytes} bytes]"
        case steps.CreateOverlay():
            return f" [{step.size_bytes} bytes, {step.layer.storage_class}: {step.layer.id} on {step.layer.backing}]"
        case steps.ImportLayer():
            return f" [{step.layer.purpose} in {step.layer.storage_class}, size {step.size_bytes}]"
        case steps.CopyLayer():
            return f" [{step.source_directory} → {step.layer.directory}: {step.layer.id}]"
        case steps.GrowLayer():
            return f" [to {step.size_bytes} bytes, with {step.running}]"
        case steps.RemoveLayer():
            return f" [{step.layer.id}]"
        case steps.ReserveAddress() | steps.ReleaseAddress():
            return f" [for {step.namespace}/{step.name}]"
        case steps.WriteSeed():
            return f" [{step.form}: {', '.join(sorted(step.files))}]"
        case steps.Define():
            devices = [f"{disk.alias} on {disk.bus}" for disk in step.hardware.disks]
            made = step.hardware
            return (
                f" [{made.cpu.cores} cores at {made.cpu.shares_percent}%, {made.memory_kib} KiB, {', '.join(devices)}]"
            )
        case _:
            return ""
