"""A whole `vmctl run` in a thread, over a hypervisor in memory, with time that leaps when a test says so."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.memory_driver import MemoryDriver
from tests.waiting import PATIENCE_S, until
from vmctl.engine.gathering import Gathering, Pruning
from vmctl.engine.ledger import Ledger
from vmctl.engine.running import Runner
from vmctl.engine.session import Session, taken
from vmctl.engine.supervision import Supervisor
from vmctl.manifests import watching
from vmctl.manifests.cache import ParseCache
from vmctl.planning.plans import Place
from vmctl.resources.keys import Key
from vmctl.state.lock import EngineLock
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.engine.lab import Lab
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.objects import Object
    from vmctl.planning.observed import Listed
    from vmctl.state.events import Event

COMMAND = "vmctl run -f machines"


class LeapingClock:
    """The real clock, and as much more as a test has let pass."""

    def __init__(self) -> None:
        self.leapt_s = 0.0

    def now(self) -> float:
        return time.time() + self.leapt_s

    def elapsed(self) -> float:
        return time.monotonic() + self.leapt_s

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Host(MemoryDriver):
    """A host that fails on order: its sweeps are `refuses`-d, its starts hang until `stuck` is set."""

    refuses: Exception | None = None
    stuck: threading.Event | None = None

    def listing(self) -> Mapping[str, Listed]:
        if self.refuses is not None:
            raise self.refuses
        return super().listing()

    def start(self, uid: str) -> None:
        if self.stuck is not None:
            self.stuck.wait(PATIENCE_S)
        super().start(uid)


@dataclass
class Daemon:
    """`vmctl run` over the directory `machines` of a lab; ends with the block."""

    lab: Lab
    pruning: Pruning | None = None
    recursive: bool = False
    supervisor: Supervisor | None = None
    connect: Callable[[str], Driver] | None = None  # to another host than the one in memory, for an installation
    clock: LeapingClock = field(default_factory=LeapingClock)
    ended_in_time: list[bool] = field(default_factory=list[bool])

    def __post_init__(self) -> None:
        self.directory = self.lab.directory / "machines"
        self.directory.mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        self._opened = ExitStack()
        store = self._opened.enter_context(Store.open(self.lab.state, clock=self.clock.now))
        lock = self._opened.enter_context(EngineLock(self.lab.state))
        until(lambda: taken(lock, COMMAND), "the lock, which a verb that waits has for moments")
        room = {} if self.connect is None else {"overcommit_memory": 1e6, "overcommit_cpu": 1e6}
        place = Place(store.installation, str(self.lab.state), store.hash_key, self.lab.boot, **room)
        self.host = Host(self.lab.world, store.installation)
        driver = self.connect(store.installation) if self.connect is not None else self.host
        self._opened.callback(driver.close)
        self.session = Session(store, driver, Ledger(store), place, self.clock)
        cache = self._opened.enter_context(ParseCache(self.lab.state / "manifests.cache"))
        watching.quiet_leases()
        directories = (str(self.directory),)
        gathering = Gathering(directories, self.recursive, store, self.session.ledger, self.clock, cache, self.pruning)
        supervisor = self.supervisor or Supervisor(self.clock, {})
        self.runner = Runner(self.session, gathering, supervisor)
        watch = watching.Watch(str(self.directory), self.runner.directory_changed, recursive=self.recursive)
        self._opened.callback(watch.close)
        self._thread = threading.Thread(target=lambda: self.ended_in_time.append(self.runner.run()))
        self._thread.start()
        until(lambda: self.runner.tally.resyncs, "the first resync")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._opened.close()

    def stop(self) -> None:
        """What SIGTERM does."""
        self.runner.stop()
        self.runner.convergence.wake()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def leap(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.leapt_s += seconds
        self.runner.convergence.wake()

    def reload(self) -> None:
        """What SIGHUP does."""
        self.runner.reload()
        self.runner.convergence.wake()

    def save(self, name: str, text: str) -> Path:
        """Save a file as editors do: beside it, then over it."""
        file = self.directory / name
        beside = file.with_name(f".{name}.tmp")
        beside.write_text(text)
        beside.rename(file)
        return file

    def get(self, kind: str, name: str) -> Object | None:
        return self.session.ledger.get(Key(kind, "default", name))

    def phase(self, kind: str, name: str) -> str:
        item = self.get(kind, name)
        return item.phase if item is not None else "gone"

    def spec(self, kind: str, name: str) -> Any:
        item = self.get(kind, name)
        return item.document.get("spec") if item is not None else None

    def lab_uid(self, name: str) -> str:
        """The uid of a machine."""
        item = self.get("VirtualMachine", name)
        assert item is not None
        return item.uid

    def cores(self, name: str) -> int:
        """The cores that a machine is asked for."""
        found = self.spec("VirtualMachine", name)
        return int(found["cpu"]["cores"]) if found else 0

    def becomes(self, kind: str, name: str, phase: str) -> None:
        until(lambda: self.phase(kind, name) == phase, f"{kind} {name} {phase}, it is {self.phase(kind, name)}")

    def looked(self) -> None:
        """Wait for one more look at the directory, begun after this call."""
        before = self.runner.tally.looks
        self.runner.directory_changed()
        until(lambda: self.runner.tally.looks > before, "a look")

    def resynced(self) -> None:
        """Wait for one more resync, after nothing is left to do."""
        self.rested()
        before = self.runner.tally.resyncs
        self.leap(61)
        until(lambda: self.runner.tally.resyncs > before, "a resync")
        self.rested()

    def rested(self) -> None:
        until(lambda: not self.runner.waiting, "rest")

    def told(self, kind: str, name: str, reason: str) -> list[Event]:
        """The events of an object with that reason."""
        return [each for each in self.session.store.events(Key(kind, "default", name)) if each.reason == reason]
