"""What somebody else changed: a machine is not as it was last seen, we did nothing, and it is not as it is wanted.

What was last seen is noted at the end of each pass, so our own work never counts, nor does what an upgrade of libvirt
rewrites, because only our fields are compared. What is done about it, the annotation vmctl.dev/reconcile says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vmctl.planning import power, refusals
from vmctl.planning.changes import as_yaml
from vmctl.planning.diff import diff
from vmctl.planning.machine_hardware import domain_name, kept, plugged_name, projected, rebuilt
from vmctl.planning.requests import active
from vmctl.resources.annotations import DETECT_ONLY, ENFORCE, PAUSED, RECONCILE
from vmctl.resources.policies import dotted

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from vmctl.planning.hardware import Hardware
    from vmctl.planning.objects import Object
    from vmctl.planning.observed import Domain
    from vmctl.planning.plans import World
    from vmctl.planning.power import Wish
    from vmctl.resources.machine_fields import VirtualMachineSpec
    from vmctl.resources.policies import Change

NOTE, TOLD = "seen", "drift"  # notes: what was last seen, and what was told of as changed by somebody else
OURS = "changing"  # note: what we were about to change when a machine was last looked at


def mode(item: Object) -> str:
    """Enforce, DetectOnly or Paused."""
    return str(item.annotations.get(RECONCILE) or ENFORCE)


def is_held(world: World) -> bool:
    """Whether nothing is done to a machine: its annotation pauses it, and nobody asks for anything by name."""
    return not world.object.terminating and mode(world.object) == PAUSED and active(world.notes) is None


def switched_off(world: World, asked: Wish) -> str:
    """How somebody else switched a machine off that was to be on; empty when nobody did.

    The host forgets that when it restarts, and a machine that is only watched is not started by that either: what was
    told counts until it runs again.
    """
    domain = world.domain
    if domain is None or domain.power != "off" or not asked.on or active(world.notes) is not None:
        return ""
    if not asked.died:
        return str(_told(world).get("power") or "")
    how = power.how_off(domain, power.noted(world.notes))
    return f"switched off ({how}) behind our back" if how in power.BY_HAND else ""


def left_as_found(world: World, found: Drift, asked: Wish) -> str:
    """Why a machine that its policy wants on stays off all the same; empty when it is to be started.

    It is paused and nobody asked for it by name, or somebody else switched it off and that is only to be reported.
    """
    by_name, reconciled = active(world.notes) is not None, mode(world.object)
    note = power.noted(world.notes)
    meant_on = asked.died or (note is not None and note.intent == "on" and "" in found.defined)  # in an earlier boot
    gone = world.domain is None and not by_name and meant_on
    how = power.REMOVED if gone else found.power
    if (reconciled == PAUSED and not by_name) or (reconciled == DETECT_ONLY and how):
        return f"{how}; {RECONCILE} is {reconciled}" if how else f"{RECONCILE} is {reconciled}"
    return ""


def _told(world: World) -> dict[str, Any]:
    """What was told of as changed by somebody else, and has not come back since."""
    told: dict[str, Any] = json.loads(world.notes.get(TOLD) or "{}")
    return told


def changing(world: World, places: Iterable[str], *, defines: bool) -> str:
    """What is noted before we change something: until it is seen how that ended, it is nobody else's doing."""
    known = _ours(world)
    found = {
        "running": sorted({*known.get("running", ()), *places}),
        "defined": defines or bool(known.get("defined")),
    }
    return json.dumps(found) if any(found.values()) else ""


def _ours(world: World) -> dict[str, Any]:
    """The places that we were about to change, and whether the definition was one of them."""
    ours: dict[str, Any] = json.loads(world.notes.get(OURS) or "{}")
    return ours


def place(change: Change) -> str:
    """Where a change is, whatever its index in a list is by now."""
    value = change.new if change.new is not None else change.old
    name = getattr(value, "name", None)
    if name is None or not any(isinstance(part, int) for part in change.path):
        return dotted(change.path)
    return f"{change.path[0]} {getattr(value, 'kind', '')} {name}"


@dataclass(frozen=True, slots=True)
class Drift:
    """The places where what runs, and where the definition, was changed by somebody else, each with its words; and how
    somebody else switched the machine off.
    """

    running: Mapping[str, str] = field(default_factory=dict[str, str])
    defined: Mapping[str, str] = field(default_factory=dict[str, str])
    power: str = ""
    edited: bool = True  # whether the manifest asks for another definition than the one last seen
    record: str = ""  # the note for the next pass

    @property
    def words(self) -> str:
        """All of it in one sentence; empty when there is none."""
        parts = [
            f"{where}: {', '.join(found[at] for at in sorted(found))}"
            for where, found in (("running", self.running), ("definition", self.defined))
            if found
        ]
        return "; ".join([*parts, *([self.power] if self.power else [])])

    @property
    def places(self) -> str:
        """All of it as it is noted when it is told; empty when there is none."""
        found = {"running": dict(self.running), "defined": dict(self.defined), "power": self.power}
        return json.dumps(found, sort_keys=True) if self.words else ""

    @classmethod
    def of(
        cls,
        world: World,
        domain: Domain | None,
        desired: VirtualMachineSpec,
        wanted: VirtualMachineSpec,
        plugged: frozenset[str] = frozenset(),
    ) -> Drift:
        """Compare what is seen with what was seen last; `wanted` is what the definition should amount to, and `plugged`
        the aliases of what attachments add to it. A machine that libvirt does not have any more lost its definition.
        """
        seen: dict[str, Any] = json.loads(world.notes.get(NOTE) or "{}")
        now_running, now_defined = (domain.running, domain.defined) if domain is not None else (None, None)
        nonce = now_running.nonce if now_running is not None else ""
        before = seen.get("running") if seen.get("nonce") == nonce else None
        ours, refused = _ours(world), {*refusals.noted(world.notes, agent=world.guest is not None)}
        running, now = _moved(before, now_running, desired, desired, refused, {*ours.get("running", ())})
        last = {} if ours.get("defined") else seen
        defined, written = _moved(last.get("defined"), now_defined, desired, wanted)
        edited = seen.get("defined") is None or any(True for _ in diff(rebuilt(seen["defined"], desired), wanted))
        held, attached = _unplugged(seen.get("plugged") if before is not None else None, now_running, plugged)
        lost, kept_so_far = _unplugged(last.get("defined plugged"), now_defined, plugged)
        edited = edited or {*seen.get("defined plugged", ())} != plugged
        if now_defined is None and seen.get("defined") is not None:  # a machine that runs lives on without one
            defined, lost = {"": "removed"}, {}
            written, kept_so_far = seen["defined"], seen.get("defined plugged", [])
        name = domain_name(world.object.key)
        if domain is not None and domain.domain != name and seen.get("defined") is not None:
            defined = {**defined, "name": f"name {name} → {domain.domain}"}
        record = {
            "nonce": nonce,
            "running": now,
            "defined": written,
            "plugged": attached,
            "defined plugged": kept_so_far,
        }
        text = json.dumps(record, sort_keys=True) if domain is not None else world.notes.get(NOTE, "")
        return cls({**running, **held}, {**defined, **lost}, edited=edited, record=text)


def _moved(
    before: dict[str, Any] | None,
    hardware: Hardware | None,
    desired: VirtualMachineSpec,
    goal: VirtualMachineSpec,
    refused: Container[str] = (),
    ours: Container[str] = (),
) -> tuple[dict[str, str], dict[str, Any] | None]:
    """What moved away from both where it was and where it should be, but for what we have changed ourselves; and what
    to remember, which is where it was as long as it has not come back.
    """
    if hardware is None:
        return {}, None
    now = projected(hardware, desired)
    if before is None:
        return {}, kept(now)
    moved = {place(change): change for change in diff(rebuilt(before, desired), now)}
    amiss = {place(change) for change in diff(now, goal) if refusals.identity(change) not in refused}
    found = {at: _words(change) for at, change in moved.items() if at in amiss and at not in ours}
    return found, before if found else kept(now)


def _unplugged(
    before: list[str] | None, hardware: Hardware | None, plugged: frozenset[str]
) -> tuple[dict[str, str], list[str]]:
    """What attachments had plugged in and somebody else took out, with its words by alias; and what to remember."""
    now = {disk.alias for disk in hardware.disks if plugged_name(disk.alias)} if hardware is not None else set()
    gone = ({*(before or ())} & plugged) - now if hardware is not None else set[str]()
    return {alias: f"the device of attachment {plugged_name(alias)} removed" for alias in gone}, sorted(now | gone)


def _words(change: Change) -> str:
    path = dotted(change.path)
    if change.new is None:
        return f"{path} removed ({_short(change.old)})"
    if change.old is None:
        return f"{path} added ({_short(change.new)})"
    return f"{path} {_short(change.old)} → {_short(change.new)}"


def _short(value: object) -> str:
    shown = as_yaml(value)
    if isinstance(shown, dict) and "name" in shown:
        return f"{shown.get('kind', '')} {shown['name']}".strip()
    return str(shown)
