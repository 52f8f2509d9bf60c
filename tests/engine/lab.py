"""A whole vmctl over a hypervisor in memory: real store, real files and qemu-img, real HTTP; time that does not
pass.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.memory_driver import Died, Faulty, MemoryDriver, World
from vmctl.engine import applying, deleting
from vmctl.engine.executing import Executor
from vmctl.engine.ledger import Ledger
from vmctl.engine.session import Session
from vmctl.manifests import loading
from vmctl.planning import conditions, steps
from vmctl.planning.plans import Place
from vmctl.resources import registry
from vmctl.resources.keys import Key
from vmctl.state.lock import EngineLock
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.memory_world import Machine
    from vmctl.engine.pursuing import Result
    from vmctl.planning.objects import Object


@dataclass
class FrozenClock:
    """Time stands still until somebody sleeps; `leap` is how far somebody sets the clock then."""

    time: float = 1_700_000_000.0
    passed: float = 0.0
    leap: float = 0.0

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.time += seconds + self.leap
        self.passed += seconds


@dataclass
class Death:
    """Kill the engine at its n-th step, counted from 1: before its effect, or after it and before its record.

    `seen` and `steps` are what was begun until then.
    """

    at: int = 0
    after: bool = False
    seen: list[str] = field(default_factory=list[str])
    steps: list[tuple[Key, steps.Step]] = field(default_factory=list["tuple[Key, steps.Step]"])


class MortalExecutor(Executor):
    """An executor that dies on order, as kill -9 would have it: nothing after that moment happens."""

    death: Death

    def _perform(self, item: Object, step: steps.Step, progress: Callable[..., None]) -> None:
        death = self.death
        if death.at and len(death.seen) >= death.at:
            raise Died("the process is gone already")
        death.seen.append(f"{item.key.kind} {type(step).__name__}")
        death.steps.append((item.key, step))
        dies = len(death.seen) == death.at
        if dies and not death.after:
            raise Died(str(step))
        super()._perform(item, step, progress)
        if dies:
            raise Died(str(step))


class LabSession(Session):
    """A session whose executor may die."""

    death: Death

    def executor(self) -> Executor:
        made = MortalExecutor(self.store, self.driver, self.ledger, self.place, self.clock, lambda: self.cancelled)
        object.__setattr__(made, "death", self.death)
        return made


class Lab:
    """One host, one state directory, and as many engines, one after another, as a test starts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.world = World()
        self.clock = FrozenClock()
        self.boot = "boot-1"
        self.death = Death()
        self.calls: list[str] = []  # the effects that the driver was asked for

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A fresh engine that knows only what is stored."""
        with Store.open(self.state, clock=self.clock.now) as store, EngineLock(self.state) as lock:
            lock.acquire("lab")
            place = Place(store.installation, str(self.state), store.hash_key, self.boot)
            driver: Any = Faulty(MemoryDriver(self.world, store.installation), calls=self.calls)
            session = LabSession(store, driver, Ledger(store), place, self.clock)
            object.__setattr__(session, "death", self.death)
            yield session

    def load(self, text: str) -> Sequence[Any]:
        """The manifests of a text; they must be good."""
        file = self.directory / "manifests.yaml"
        file.write_text(text)
        return applying.judge(loading.load([str(file)]))

    def apply(self, text: str) -> Result:
        """What `vmctl apply` does."""
        manifests = self.load(text)
        with self.session() as session:
            applying.guard(session.ledger, applying.changed(session.ledger, manifests))
            applying.store_all(session.store, session.ledger, manifests)
            return self._converge(session, session.unsettled())

    def store(self, text: str) -> None:
        """What is left of a `vmctl apply` that was killed before its first pass."""
        manifests = self.load(text)
        with self.session() as session:
            applying.guard(session.ledger, applying.changed(session.ledger, manifests))
            applying.store_all(session.store, session.ledger, manifests)

    def delete(self, *keys: Key, by_name: bool = True) -> Result:
        """What `vmctl delete` does."""
        with self.session() as session:
            deleting.delete(session.store, session.ledger, keys, by_name=by_name)
            return self._converge(session, keys)

    def resume(self) -> Result:
        """What the next apply of the same manifests does after a crash."""
        with self.session() as session:
            return self._converge(session, session.ledger.snapshot().by_key)

    def _converge(self, session: Session, keys: Any) -> Result:
        result = session.converge(list(keys))
        for item in session.ledger.snapshot().by_key.values():
            told = bool(item.status.get("conditions"))
            wrong = conditions.check(item.status, item.generation, item.key.kind) if told else []
            assert not wrong, f"{item.key}: {wrong}"
        return result

    def get(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        """An object as it is stored."""
        where = namespace if registry.BY_NAME[kind].namespaced else ""
        with self.session() as session:
            return session.ledger.get(Key(kind, where, name))

    def phase(self, kind: str, name: str) -> str:
        """Its phase, or that it is gone."""
        item = self.get(kind, name)
        return item.phase if item is not None else "gone"

    def uid(self, name: str) -> str:
        """The uid of a machine."""
        item = self.get("VirtualMachine", name)
        assert item is not None
        return item.uid

    def portrait(self) -> dict[str, Any]:
        """Everything there is, without what differs from run to run (uids, addresses, times)."""
        with self.session() as session:
            objects = sorted(
                f"{item.key.kind} {item.key.name if not _generated(item.key) else '*'} {item.phase}"
                for item in session.ledger.snapshot().by_key.values()
            )
            journal = [entry.step for entry in session.store.unfinished()]
            rows = sorted(row.purpose for row in session.store.layers())
        machines = sorted(_machine(item) for item in self.world.machines.values())
        files = sorted(_suffix(path) for path in self.state.rglob("*") if path.is_file() and not _internal(path))
        return {"objects": objects, "machines": machines, "files": files, "layers": rows, "journal": journal}


def _machine(found: Machine) -> str:
    """A domain, its power, and what is attached: in what runs, and in the definition."""
    attached = [
        sorted(disk.alias for disk in side.disks) if side is not None else [] for side in (found.running, found.defined)
    ]
    return f"{found.domain} {found.power} {attached}"


def _generated(key: Key) -> bool:
    return key.kind in ("VirtualMachineIPAddress", "VirtualMachineIPAddressLease")


def _suffix(path: Path) -> str:
    if path.parent.name in ("hosts", "names"):  # named by an address
        return f"{path.parent.name}/{'.' if path.name.startswith('.') else ''}*"
    return f"{path.parent.name}/*{path.name[path.name.find('.') :]}"


def _internal(path: Path) -> bool:
    return path.name.startswith(("vmctl.db", "engine.", "create."))
