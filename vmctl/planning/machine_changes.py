"""What tells the wanted machine from the one that runs: each change judged, done live, or left for a restart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vmctl.planning import attachments, refusals
from vmctl.planning.changes import Judged, entries, judge, sealed
from vmctl.planning.diff import diff
from vmctl.planning.drift import Drift, is_held, mode, place
from vmctl.planning.machine_hardware import SEED, alias, projected
from vmctl.planning.module_settings import feature_gates
from vmctl.planning.plans import Waiting
from vmctl.planning.steps import Live, PlugDisk, SetCoreFraction, SetCores, SetMemory, UnplugDisk
from vmctl.resources.annotations import DETECT_ONLY, PAUSED, RECONCILE
from vmctl.resources.keys import Key
from vmctl.resources.policies import FEATURE_GATES, Effect, Facts, Verdict, dotted

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from vmctl.planning.changes import Entry
    from vmctl.planning.hardware import Cpu, Disk, Hardware
    from vmctl.planning.plans import World
    from vmctl.resources.machine_fields import BlockDeviceRef, VirtualMachineSpec

CLASS_CPU = "VirtualMachineClass:spec.cpu"  # a class is edited elsewhere; its machines show it under this path
SHOWN: dict[Effect, Any] = {
    Effect.LIVE: "live",
    Effect.RESTART: "at next restart",
    Effect.REFUSE: "refused",
}
PUT_BACK = "somebody else changed it"
BOOTS_LATER = "its turn in the boot order counts from the next start on"
STILL = "the machine's processors are paused; it is done live as soon as they run"


@dataclass(frozen=True, slots=True)
class Difference:
    """What tells the wanted machine from the one that runs (or, off, from its definition), and what moved by itself."""

    judged: tuple[Judged, ...] = ()
    defined_differs: bool = False
    seed_differs: bool = True  # the medium that sets the guest up is not the one that the definition was written for
    klass: tuple[Entry, ...] = ()  # what the class says otherwise than it did at the start
    drift: Drift = field(default_factory=Drift)
    at_start: bool = False  # the machine is off or goes off: nothing is done live, its next start brings everything

    def of(self, effect: Effect) -> tuple[Judged, ...]:
        return tuple(item for item in self.judged if item.verdict.effect is effect)

    def held_back(self, why: str) -> Difference:
        """The same where the host has no room for what the machine would grow to: that waits, and the rest does not."""
        refused = Verdict(Effect.RESTART, why)
        judged = (replace(item, verdict=refused) if _grows(item) else item for item in self.judged)
        return replace(self, judged=tuple(judged))

    @property
    def waiting(self) -> list[Entry]:
        """What waits for a restart, in the words of status.restartAwaitingChanges."""
        return self.waiting_beside(())

    def waiting_beside(self, places: Container[str]) -> list[Entry]:
        """What waits for a restart, without what stands at those places."""
        rest = (item for item in self.of(Effect.RESTART) if place(item.change) not in places)
        return [*entries(item.change for item in rest), *self.klass]

    def shown(self) -> tuple[Waiting, ...]:
        """The differences as `diff` prints them."""
        if self.at_start:
            return tuple(
                Waiting(str(entry["path"]), entry.get("currentValue"), entry.get("desiredValue"), "at next start")
                for entry in (*entries(item.change for item in self.judged), *self.klass)
            )
        found = []
        for effect, words in SHOWN.items():
            judged = self.of(effect)
            reasons = {dotted(item.change.path): item.verdict.reason for item in judged}
            for entry in entries(item.change for item in judged):
                path = str(entry["path"])
                reason = reasons.get(path) or _joined(text for at, text in reasons.items() if at.startswith(path))
                found.append(Waiting(path, entry.get("currentValue"), entry.get("desiredValue"), words, reason))
        found += [
            Waiting(
                str(entry["path"]),
                entry.get("currentValue"),
                entry.get("desiredValue"),
                "at next restart",
                "its class was changed, and the processor is built at start",
            )
            for entry in self.klass
        ]
        return tuple(found)


def compare(world: World, spec: VirtualMachineSpec, wanted: Hardware) -> Difference:
    """What differs, judged field by field; of a machine that libvirt does not have, that it has no definition."""
    domain = world.domain
    desired = sealed(_effective(spec, wanted), world.place.hash_key)
    drift = Drift.of(world, domain, desired, projected(wanted, desired), attachments.aliases(wanted))
    if domain is None:
        return Difference(defined_differs=True, drift=drift)
    shown = domain.running or domain.defined
    judged = tuple(_judged(world, spec, shown, desired, drift)) if shown is not None else ()
    differs, seed_differs = _definition(domain.defined, wanted, desired)
    renamed = domain.power == "off" and domain.domain != wanted.domain
    klass = _class(domain.running.cpu, wanted.cpu) if domain.running is not None else ()
    has = frozenset(disk.alias for disk in shown.disks) if shown is not None else frozenset[str]()
    present = (_plugged(item, wanted, has) for item in judged if item.verdict.effect is not Effect.NONE)
    at_start = domain.power not in ("running", "paused")
    return Difference(tuple(present), differs or renamed, seed_differs, klass, drift, at_start)


def _definition(defined: Hardware | None, wanted: Hardware, desired: VirtualMachineSpec) -> tuple[bool, bool]:
    """Whether the definition is not as wanted, and whether that concerns the medium that sets the guest up."""
    if defined is None:
        return True, True
    found = list(diff(projected(defined, desired), projected(wanted, desired)))
    beside = _built_otherwise(defined.cpu, wanted.cpu) or attachments.defined_differs(defined, wanted)
    return bool(found) or beside, any(change.path[0] == "provisioning" for change in found)


def live_steps(uid: str, difference: Difference, wanted: Hardware) -> Iterator[Live]:
    """What is done while the machine runs."""
    for item in difference.of(Effect.LIVE):
        change, name = item.change, refusals.identity(item.change)
        match item.verdict.verb:
            case "set_cores":
                yield SetCores(uid, wanted.cpu.cores, name)
            case "set_core_fraction":
                yield SetCoreFraction(uid, wanted.cpu.shares_percent, name)
            case "set_memory":
                yield SetMemory(uid, wanted.memory_kib, name)
            case "plug_disk":
                disk = _disk(change.new, wanted)
                if disk is not None:
                    yield PlugDisk(uid, disk, _named(change.new), name)
            case "unplug_disk":
                yield UnplugDisk(uid, _alias(change.old), _named(change.old), name)
            case "unplug_seed":
                yield UnplugDisk(uid, SEED, "the cloud-init medium", name)
            case verb:
                raise AssertionError(f"no step for the verb {verb}")


def _effective(spec: VirtualMachineSpec, wanted: Hardware) -> VirtualMachineSpec:
    """The spec with the fraction that is in force, which the class may have chosen."""
    return spec.model_copy(
        update={"cpu": spec.cpu.model_copy(update={"core_fraction": f"{wanted.cpu.shares_percent}%"})}
    )


def _judged(
    world: World, spec: VirtualMachineSpec, shown: Hardware, desired: VirtualMachineSpec, drift: Drift
) -> Iterator[Judged]:
    """Every change with its verdict. What somebody else changed is put back live whatever the feature gates say, which
    are about edits; or it stays for the next start where it is only to be reported. So does every change where nothing
    is done that is not asked for by name, and while the processors are paused.
    """
    runs = projected(shown, desired)
    found = list(diff(runs, desired))
    refused = refusals.by_path(world.notes, found, agent=world.guest is not None)
    facts = Facts(
        hash_key=world.place.hash_key,
        gates=feature_gates(world.objects),
        os_type=runs.os_type,
        paravirtualized=bool(spec.enable_paravirtualization and runs.enable_paravirtualization),
        host_refused=refused,
        agent=world.guest is not None,
        most_cores=max(shown.most_cores, shown.cpu.cores),
        most_memory_bytes=max(shown.most_memory_kib, shown.memory_kib) * 1024,
    )
    opened = replace(facts, gates=frozenset(FEATURE_GATES))
    reported, paused = mode(world.object) == DETECT_ONLY, world.domain is not None and world.domain.power == "paused"
    later = f"{RECONCILE} is {PAUSED}" if is_held(world) else STILL if paused else ""
    for change in found:
        drifted = place(change) in drift.running
        if drifted and reported:
            yield Judged(change, Verdict(Effect.RESTART, f"{PUT_BACK}; {RECONCILE} is {DETECT_ONLY}"))
            continue
        judged = judge(change, opened if drifted else facts)
        if drifted and judged.verdict.effect is Effect.LIVE:  # put back, and no gate has to do with it
            judged = replace(judged, verdict=replace(judged.verdict, reason=PUT_BACK))
        waits = later and judged.verdict.effect is Effect.LIVE
        yield replace(judged, verdict=Verdict(Effect.RESTART, later)) if waits else judged


def _joined(reasons: Iterable[str]) -> str:
    """Several reasons in one sentence; what another one says too, and more, is not said twice."""
    known = sorted(set(reasons))
    return "; ".join(one for one in known if not any(other != one and other.startswith(one) for other in known))


def _grows(item: Judged) -> bool:
    """Whether a live change takes more of the host."""
    change = item.change
    if item.verdict.verb not in ("set_cores", "set_core_fraction", "set_memory"):
        return False
    old, new = change.policy.measure(change.old), change.policy.measure(change.new)
    return not (isinstance(old, int) and isinstance(new, int) and new <= old)


def _plugged(item: Judged, wanted: Hardware, has: frozenset[str]) -> Judged:
    """A device without data cannot be attached yet; one that boots before others does so from the next start on."""
    if item.verdict.verb != "plug_disk":
        return item
    disk = _disk(item.change.new, wanted)
    if disk is None:
        reason = f"{_named(item.change.new)} is not ready; it is attached live as soon as it is"
        return replace(item, verdict=Verdict(Effect.RESTART, reason))
    if disk.boot is None or not any(
        other.alias in has and other.boot is not None and other.boot > disk.boot for other in wanted.disks
    ):
        return item
    return replace(item, verdict=replace(item.verdict, reason=f"{item.verdict.reason}; {BOOTS_LATER}"))


def _disk(ref: object, wanted: Hardware) -> Disk | None:
    return next((disk for disk in wanted.disks if disk.alias == _alias(ref)), None)


def _alias(ref: object) -> str:
    device: BlockDeviceRef = ref  # type: ignore[assignment]  # the verbs of disks are declared on lists of these only
    return alias(Key(device.kind, "", device.name))


def _named(ref: object) -> str:
    device: BlockDeviceRef = ref  # type: ignore[assignment]  # as above
    return f"{device.kind} {device.name}"


def _built_otherwise(seen: Cpu, wanted: Cpu) -> bool:
    return (seen.kind, seen.model, seen.features) != (wanted.kind, wanted.model, wanted.features)


def _class(seen: Cpu, wanted: Cpu) -> tuple[Entry, ...]:
    """The processor that the class asks for now, where the machine was started with another."""
    if not _built_otherwise(seen, wanted):
        return ()
    return (
        {
            "currentValue": _processor(seen),
            "desiredValue": _processor(wanted),
            "operation": "replace",
            "path": CLASS_CPU,
        },
    )


def _processor(cpu: Cpu) -> Any:
    shown = {"type": cpu.kind, "model": cpu.model, "features": list(cpu.features)}
    return {name: value for name, value in shown.items() if value}
