"""What apply would do, without doing it: the same planning over the world as it would be, nothing written."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vmctl.engine import built_in
from vmctl.engine.clock import Clock, SystemClock
from vmctl.engine.executing import Executor
from vmctl.engine.ledger import Ledger
from vmctl.engine.observing import Observer
from vmctl.engine.passes import Passes
from vmctl.engine.session import connect, nothing_seen, place_of
from vmctl.manifests.documents import Manifest
from vmctl.planning import attachments, changes, foresight, goals, guards, machine_trouble
from vmctl.planning.addresses import own_address
from vmctl.planning.conditions import unmet
from vmctl.planning.diff import diff
from vmctl.planning.drift import mode
from vmctl.planning.graph import order
from vmctl.planning.objects import Object, Objects
from vmctl.planning.plans import Waiting
from vmctl.planning.power import Cause
from vmctl.planning.requests import NOTE, Request, active
from vmctl.planning.steps import CreateObject, CutPower, EnsureNetwork, Remember, ReserveAddress, ShutDown, WriteSeed
from vmctl.planning.usage import attachments_of
from vmctl.resources import registry
from vmctl.resources.annotations import PAUSED
from vmctl.resources.declaring import Spec
from vmctl.resources.policies import Effect, Facts, dotted
from vmctl.resources.secrecy import HIDDEN, SECRET_DATA
from vmctl.state.merging import same_intent
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from vmctl.engine.pruning import Leaving
    from vmctl.engine.settings import Settings
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.observed import Domain
    from vmctl.planning.place import Place
    from vmctl.planning.plans import Plan, World
    from vmctl.planning.steps import Step
    from vmctl.resources.keys import Key

PREPARES = (CreateObject, EnsureNetwork, ReserveAddress, WriteSeed)
NOBODY = uuid.UUID(int=0)
Verb = Literal["create", "change", "none", "prune", "retain"]
EFFECTS: dict[Effect, Literal["live", "at next restart", "refused", "at once"]] = {
    Effect.NONE: "at once",
    Effect.LIVE: "live",
    Effect.RESTART: "at next restart",
    Effect.REFUSE: "refused",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of one object: its changes, the steps that come at once, what it has to wait for, and the steps
    that come after that.
    """

    key: Key
    verb: Verb
    old: dict[str, Any]
    new: dict[str, Any]
    changes: tuple[Waiting, ...] = ()
    steps: tuple[str, ...] = ()
    waits: str = ""
    later: tuple[str, ...] = ()
    lacks: str = ""  # what it depends on and does not have, though it runs: its next start would wait for that
    fails: str = ""  # why it would come to nothing

    @property
    def differs(self) -> bool:
        return self.verb != "none" or bool(self.changes or self.steps or self.later)


@dataclass(frozen=True, slots=True)
class Look:
    """A view of the host that changes nothing and needs no lock."""

    store: Store
    driver: Driver
    ledger: Ledger
    passes: Passes

    @classmethod
    def over(cls, store: Store, driver: Driver, ledger: Ledger, place: Place, clock: Clock) -> Look:
        """A view through the passes of an engine, of which only the plans are asked for."""
        observer = Observer(store, driver, ledger, place, clock.now)
        executor = Executor(store, driver, ledger, place, clock, lambda: True)
        return cls(store, driver, ledger, Passes(store, ledger, observer, executor, nothing_seen))

    def previews(self, manifests: Sequence[Manifest], leaving: Iterable[Leaving] = ()) -> list[Preview]:
        """What applying the manifests would do, dependencies first, then what has left a source that is pruned.

        Raises GraphError for a circle.
        """
        now = self.ledger.snapshot()
        by_key = {item.key: item for item in manifests}
        gone = {key: key in one.pruned for one in leaving for key in one.keys}
        going = [replace(item, deleted=item.created) for key, goes in gone.items() if goes and (item := now.get(key))]
        future = now.with_changes(
            [*self._built_in(now), *(self._future(now.get(key), item) for key, item in by_key.items()), *going]
        )
        keys = order({item.key: item.document for item in manifests})
        told = [self._preview(by_key[key], now.get(key), future) for key in keys]
        left = [self._leaving(item, future, goes=goes) for key, goes in gone.items() if (item := future.get(key))]
        others = (item for item in now.by_key.values() if item.key not in by_key and item.key not in gone)
        return [*told, *left, *filter(None, (self._beside(item, future) for item in others))]

    def revised(self, documents: Mapping[Key, dict[str, Any]]) -> list[Preview]:
        """What would become of objects if they said this, word for word; those that are not there are left out."""
        now = self.ledger.snapshot()
        items = {key: item for key in documents if (item := now.get(key)) is not None}
        future = now.with_changes(_saying(item, documents[key]) for key, item in items.items())
        manifests = [Manifest(key, documents[key], "", 0) for key in items]
        return [self._preview(manifest, items[manifest.key], future) for manifest in manifests]

    def keeps_off(self, item: Object) -> str:
        """Why a machine that is on would not come up again if it were restarted now; empty when it would.

        It is planned as if it had just gone off for that. What failed at its last pass no plan foretells: that is read
        from what the pass has noted.
        """
        world = self._world(item, self.ledger.snapshot())
        if world.domain is None or world.domain.power == "off":
            return ""
        asked = {NOTE: Request("Restart", "a restart").text()}
        then = self._plan(replace(world, domain=_gone_off(world.domain), notes={**world.notes, **asked}))
        if then.status["phase"] == "Pending":
            return goals.missing(replace(item, status=then.status))
        return machine_trouble.failed(item, world.notes)

    def _leaving(self, item: Object, future: Objects, *, goes: bool) -> Preview:
        """What becomes of an object whose source declares it no more."""
        document = dict(item.document)
        if not goes:
            return Preview(item.key, "retain", document, document)
        world = self._world(item, future)
        steps = list(self._plan(world).steps)
        if world.domain is not None and world.domain.power != "off":  # it goes off first, the rest in the same apply
            steps += self._plan(replace(world, domain=_gone_off(world.domain))).steps
        told = tuple(dict.fromkeys(step.describe() for step in steps if _is_told(step)))
        return Preview(item.key, "prune", document, {}, steps=told)

    def _beside(self, item: Object, future: Objects) -> Preview | None:
        """What apply would do with an object that no manifest here names: it looks after everything it has applied.

        Addresses and leases are made and forgotten beside machines, and are not told apart from them.
        """
        if not registry.BY_NAME[item.key.kind].acts:
            return None
        world = self._world(item, future)
        steps = tuple(dict.fromkeys(step.describe() for step in self._plan(world).steps if _is_told(step)))
        document = dict(item.document)
        return Preview(item.key, "none", document, document, steps=steps) if steps else None

    def _preview(self, manifest: Manifest, old: Object | None, future: Objects) -> Preview:
        item = future.get(manifest.key)
        if item is None:
            raise AssertionError("the future holds every manifest")
        world = self._world(item, future)
        plan = self._plan(world)
        before = dict(old.document) if old is not None else {}
        verb: Verb = "create" if old is None else "none" if before == dict(item.document) else "change"
        found = _changes(old, item, self.passes)
        if item.key.kind == "VirtualMachine" and world.domain is not None:  # the rest is told from what runs
            found = (*plan.changes, *(change for change in found if change.effect == "at once"))
        waits = _waits(item, future)
        begun = plan.status.get("phase") == "InProgress"
        if verb == "create" and not waits and not begun and all(isinstance(step, CreateObject) for step in plan.steps):
            waits = goals.missing(replace(item, status=plan.status))
        if plan.status.get("phase") == "WaitForFirstConsumer":
            waits = "after the first machine refers to it"
        now = _now(world, plan.steps, waiting=bool(waits), new=verb == "create")
        later: tuple[str, ...] = ()
        if waits:
            later, then = self._later(world, plan, now, new=verb == "create")
            waits += f"; then {then}" if then and then not in waits else ""
        lacks = "; ".join(unmet(plan.status)) if verb == "change" and not waits else ""
        if verb == "change" and not (waits or lacks or plan.steps):
            waits = goals.missing(replace(item, status=plan.status))
        if verb == "create" and goals.failed(known := replace(item, status=plan.status)):
            return Preview(manifest.key, verb, before, dict(item.document), fails=goals.missing(known))
        return Preview(manifest.key, verb, before, dict(item.document), found, now, waits, later, lacks)

    def _world(self, item: Object, future: Objects) -> World:
        """What would be seen of an object among others that are declared by then, with what is plugged into it."""
        observer = self.passes.observer
        world = replace(observer.world(item), objects=future)
        return replace(world, layers=observer.layers(item, future)) if attachments_of(item.key, future) else world

    def _plan(self, world: World) -> Plan:
        """The plan for an object; for a machine whose address has to be made first, with what follows that."""
        plan = self.passes.plan(world)
        made = [step for step in plan.steps if isinstance(step, CreateObject)]
        there = [Object(step.key, str(uuid.uuid5(NOBODY, str(step.key))), 1, step.document, {}) for step in made]
        if not made and world.object.key.kind == "VirtualMachine":
            own = world.objects.get(own_address(world.object))  # left without an address by a process that died
            there = [own] if own is not None and not own.status.get("address") else []
        if not there or any(_is_told(step) for step in plan.steps if step not in made):
            return plan
        address = self.passes.observer.candidate(replace(world, object=there[0]))
        objects = world.objects.with_changes(replace(item, status={"address": address}) for item in there)
        after = self.passes.plan(replace(world, objects=objects))
        return replace(after, steps=(*made, *after.steps))

    def _later(self, world: World, plan: Plan, now: Sequence[str], *, new: bool) -> tuple[tuple[str, ...], str]:
        """What is done after the objects that come first; or what a machine waits for even then."""
        item = world.object
        if item.key.kind != "VirtualMachine":
            return tuple(_intentions(world)) if new or plan.steps else (), ""
        then = self._plan(foresight.once_ready(world))
        steps = [step.describe() for step in then.steps if _is_told(step) and not isinstance(step, PREPARES)]
        later = tuple(dict.fromkeys(words for words in steps if words not in now))
        return later, "" if later or now or not new else goals.missing(replace(item, status=then.status))

    def _future(self, old: Object | None, manifest: Manifest) -> Object:
        """The object as it would be once the manifest is stored."""
        if old is None:
            return Object(manifest.key, str(uuid.uuid5(NOBODY, str(manifest.key))), 1, manifest.document, {})
        return _saying(old, self.store.foresee(manifest.key, manifest.document))

    def _built_in(self, now: Objects) -> Iterator[Object]:
        """What would be made without being declared."""
        host = self.driver.host()
        for key, document in built_in.documents(host, self.passes.observer.place.state_dir):
            if now.get(key) is None:
                yield Object(key, str(uuid.uuid5(NOBODY, str(key))), 1, document, {"phase": "Ready"})


@contextmanager
def look(settings: Settings, *, clock: Clock | None = None) -> Iterator[Look]:
    """Open the store for reading and connect to libvirt."""
    clock = clock or SystemClock()
    with Store.open(Path(settings.state_dir), clock=clock.now, readonly=True) as store:
        installation = store.installation or str(NOBODY)
        driver = connect(settings, installation)
        try:
            yield Look.over(store, driver, Ledger(store), place_of(settings, store, installation), clock)
        finally:
            driver.close()


def _gone_off(domain: Domain) -> Domain:
    """A machine once its guest has powered off."""
    return replace(domain, power="off", power_reason="shutdown", running=None)


def _saying(old: Object, document: dict[str, Any]) -> Object:
    """An object once it says something else."""
    return replace(old, document=document, generation=old.generation + (not same_intent(dict(old.document), document)))


def _now(world: World, steps: Sequence[Step], *, waiting: bool, new: bool) -> tuple[str, ...]:
    """What is done at once; what a machine only prepares for its start is not told apart while that waits."""
    drawn = any(isinstance(step, CreateObject) for step in steps)
    now = [
        _described(step, new=new or drawn)
        for step in steps
        if _is_told(step) and not (waiting and isinstance(step, PREPARES))
    ]
    request = active(world.notes)
    goes_off = {step.cause for step in steps if isinstance(step, ShutDown | CutPower)}
    if request is not None and Cause.RESTART in goes_off:
        now.append(f"start the machine ({request.why})")
    if new and not now and not waiting:
        now = list(_intentions(world))
    return tuple(dict.fromkeys(now))


def _is_told(step: Step) -> bool:
    """Whether a step is the user's business; a mere note of ours is not."""
    return not isinstance(step, Remember) or step.told


def _described(step: Step, *, new: bool) -> str:
    """A step's sentence; the address of a machine that is not there yet is drawn when it is stored."""
    match step:
        case CreateObject() if new:
            return f"create a {step.key.kind} for it"
        case ReserveAddress() if new:
            return "reserve its address"
        case _:
            return step.describe()


def _changes(old: Object | None, new: Object, passes: Passes) -> tuple[Waiting, ...]:
    """What tells two manifests apart, judged by the policies of the fields, as the guards of apply judge it."""
    if old is None:
        return ()
    facts = Facts(hash_key=passes.observer.place.hash_key or b"preview", settled=old.phase in guards.MADE)
    before, after = getattr(guards.as_made(old, new.document).model, "spec", None), getattr(new.model, "spec", None)
    found: list[Waiting] = []
    if isinstance(before, Spec) and isinstance(after, Spec):
        for change in diff(changes.sealed(before, facts.hash_key), changes.sealed(after, facts.hash_key)):
            verdict = changes.judge(change, facts).verdict
            effect: Any = EFFECTS[verdict.effect]
            found.append(
                Waiting(
                    dotted(change.path),
                    changes.as_yaml(change.old),
                    changes.as_yaml(change.new),
                    effect,
                    verdict.reason,
                )
            )
    found += _contents(old, new)
    for name in ("labels", "annotations"):
        was, now = old.metadata.get(name) or {}, new.metadata.get(name) or {}
        found += [
            Waiting(f"metadata.{name}.{key}", was.get(key), now.get(key), "at once")
            for key in sorted({*was, *now})
            if was.get(key) != now.get(key)
        ]
    return tuple(found)


def _contents(old: Object, new: Object) -> Iterator[Waiting]:
    """What differs in kinds without fields of their own; what is secret stays hidden."""
    if isinstance(getattr(new.model, "spec", None), Spec):
        return
    for name in sorted({*old.document, *new.document} - {"metadata", "apiVersion", "kind"}):
        was, now = old.document.get(name), new.document.get(name)
        if was != now:
            secret = new.key.kind == "Secret" and name in SECRET_DATA
            shown = [HIDDEN if secret and side is not None else side for side in (was, now)]
            yield Waiting(name, shown[0], shown[1], "at once")


def _waits(item: Object, future: Objects) -> str:
    """The objects that come first, as far as they are not ready yet, with those that nobody has declared."""
    first, unknown = foresight.coming(item, future), foresight.unknown(item, future)
    if not first:
        return ""
    also = f", and {_listed(unknown)} declared" if unknown else ""
    return f"after {_listed(first)} Ready{also}"


def _listed(keys: Sequence[Key]) -> str:
    return f"{', '.join(key.short for key in keys)} {'is' if len(keys) == 1 else 'are'}"


def _intentions(world: World) -> Iterator[str]:
    """What will be done with an object once it can be, in the words of its steps; nothing while it is paused."""
    if mode(world.object) == PAUSED:
        return
    match world.object.key.kind:
        case "VirtualDisk":
            yield "create the disk"
        case "VirtualImage" | "ClusterVirtualImage":
            yield "make the image"
        case "VirtualMachineBlockDeviceAttachment":
            yield attachments.intention(world.object)
        case _:
            return
