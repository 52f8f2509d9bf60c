"""A daemon for an hour: edits, bad files, a directory that vanishes, a host that does not answer, guests that crash.

Time leaps a minute at a time. What the daemon holds (memory, threads, files, rows of its store) has to stay as it is,
and in the end the host is as the files say.
"""

from __future__ import annotations

import gc
import logging
import random
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.engine.daemons import Daemon
from tests.engine.guests import AGENT
from tests.engine.manifests import blank, machine
from vmctl.engine.convergence import WORKERS
from vmctl.engine.gathering import Pruning
from vmctl.errors import Rejected, Unreachable
from vmctl.planning import machine_trouble
from vmctl.state import events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.lab import Lab
    from tests.memory_world import Machine

MINUTE_S = 61.0
SETTLE_MIN = 15  # what has gone is let go within two, and its address is kept for ten more
GROWTH = 0.02  # of the objects that live: what a minute more or less may have
OTHER_THREADS = 6  # the loop, the watch of files, and those of the tests
# Rows of what is there, and of nothing else; one note comes and goes with the changes that wait for a restart.
TABLES = ("objects", f"notes WHERE name <> '{machine_trouble.NOTE}'", "layers")


@dataclass(frozen=True)
class Held:
    """What a process and its store hold at one moment."""

    objects: int
    threads: int
    files: int  # those of the store aside
    connections: int  # files of the store: two of each thread that has used it
    rows: dict[str, int]
    settled: int
    journal: int
    told: int

    @classmethod
    def by(cls, lab: Lab) -> Held:
        gc.collect()
        with closing(sqlite3.connect(lab.state / "vmctl.db")) as database:
            count = {
                table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in (*TABLES, "settled", "journal", "events")
            }
        open_files = set(Path("/proc/self/fd").iterdir())
        store = {file for file in open_files if "vmctl.db" in _target(file)}
        return cls(
            len(gc.get_objects()),
            threading.active_count(),
            len(open_files - store),
            len(store),
            {table: count[table] for table in TABLES},
            count["settled"],
            count["journal"],
            count["events"],
        )


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:  # the one that lists them
        return ""


@dataclass
class Hour:
    """What happens to a daemon, minute by minute."""

    daemon: Daemon
    names: tuple[str, ...]
    dice: random.Random = field(default_factory=lambda: random.Random(3))
    cores: dict[str, int] = field(default_factory=dict[str, int])
    bad: list[str] = field(default_factory=list[str])
    passing: str = ""  # the machine that lives for a minute

    def __post_init__(self) -> None:
        for name in self.names:
            self.save(name, 1)

    def save(self, name: str, cores: int) -> None:
        self.cores[name] = cores
        self.daemon.save(f"{name}.yaml", self.text(name, cores))

    def text(self, name: str, cores: int) -> str:
        return blank(f"{name}-root") + machine(name, f"{name}-root", cores=cores, extra="runPolicy: AlwaysOn")

    def found(self, name: str) -> Machine | None:
        """A machine that runs."""
        item = self.daemon.get("VirtualMachine", name)
        found = self.daemon.lab.world.machines.get(item.uid) if item is not None else None
        return found if found is not None and found.running is not None else None

    def minute(self, number: int) -> None:
        """One minute of edits and faults, and what comes of it."""
        world = self.daemon.lab.world
        self._end_faults()
        world.deaf = number % 3 == 1
        for name in self.dice.sample(self.names, min(6, len(self.names))):
            self._edit(name)
        for name in self.dice.sample(self.names, min(6, len(self.names))):
            self._disturb(name)
        self._pass_through(number)
        match number % 5:
            case 2:
                self.daemon.host.refuses = Unreachable("the test took libvirt away")
            case 4:
                self.daemon.directory.rename(self._aside)
        self.daemon.leap(MINUTE_S / 2)
        self.daemon.rested()
        self._end_faults()
        self.daemon.resynced()

    def settle(self) -> None:
        """Leave it alone until nothing is left to do, also for who crashed again and again."""
        self._end_faults()
        self.daemon.lab.world.deaf = False
        for name in self.bad:
            self.save(name, self.cores[name])
        self.bad.clear()
        for _ in range(SETTLE_MIN):
            self.daemon.resynced()

    @property
    def _aside(self) -> Path:
        return self.daemon.directory.with_name("machines-aside")

    def _end_faults(self) -> None:
        self.daemon.host.refuses = None
        if self._aside.exists():
            self._aside.rename(self.daemon.directory)
            self.daemon.runner.directory_changed()

    def _edit(self, name: str) -> None:
        match self.dice.choice(("edit", "edit", "bad", "half")):
            case "edit":
                self.save(name, self.dice.choice((1, 2, 4)))
                self.bad = [other for other in self.bad if other != name]
            case "bad":
                self.daemon.save(f"{name}.yaml", self.text(name, 1).replace("cores", "croes"))
                self.bad.append(name)
            case _:
                file = self.daemon.directory / f"{name}.yaml"
                file.write_text(file.read_text()[:-40])
                self.bad.append(name)

    def _disturb(self, name: str) -> None:
        found, world = self.found(name), self.daemon.lab.world
        if found is None:
            return
        match self.dice.choice(("crash", "off", "reboot", "up", "destroy", "define")):
            case "crash":
                world.crash(found.uid)
            case "off":
                world.power_off_inside(found.uid)
            case "reboot":
                world.reboot_inside(found.uid)
            case "up":
                world.boot_finished(found.uid, AGENT)
            case "destroy":
                self.daemon.host.destroy(found.uid)
            case _ if found.defined is not None:
                found.defined = replace(found.defined, cpu=found.defined.cpu.with_cores(8))
                world.changed(found.uid)

    def _pass_through(self, number: int) -> None:
        """A machine comes for a minute, fails to start, and goes with its disk."""
        if self.passing:
            (self.daemon.directory / f"{self.passing}.yaml").unlink()
        self.passing = f"passing-{number}"
        goes = "metadata: {annotations: {vmctl.dev/deletion-policy: Delete}, "
        self.daemon.save(f"{self.passing}.yaml", self.text(self.passing, 1).replace("metadata: {", goes))
        self.daemon.becomes("VirtualMachine", self.passing, "Running")
        item = self.daemon.get("VirtualMachine", self.passing)
        assert item is not None
        found = self.daemon.lab.world.machines[item.uid]
        found.refuses_start = Rejected("the test lets it start no more")
        self.daemon.lab.world.crash(found.uid)

    def leave(self) -> None:
        """Let the last of those go."""
        (self.daemon.directory / f"{self.passing}.yaml").unlink()
        self.passing = ""


@pytest.fixture(autouse=True)
def unheard() -> Iterator[None]:
    """No records of the log, which pytest would keep: they are not what the daemon holds."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


class Minutes(Protocol):
    """What a daemon goes through."""

    def minute(self, number: int) -> None: ...

    def settle(self) -> None: ...


def lived(daemon: Daemon, hour: Minutes, minutes: int) -> tuple[Held, Held]:
    """What is held after a third of the time, and at its end, each when nothing is left to do."""
    daemon.resynced()
    for number in range(minutes // 3):
        hour.minute(number)
    hour.settle()
    before = Held.by(daemon.lab)
    for number in range(minutes // 3, minutes):
        hour.minute(number)
    hour.settle()
    return before, Held.by(daemon.lab)


def endure(lab: Lab, machines: int, minutes: int) -> None:
    names = tuple(f"vm-{number}" for number in range(machines))
    lab.world.host = replace(lab.world.host, cpus=8 * machines, memory_kib=1 << 30)  # nobody waits for room
    daemon = Daemon(lab, pruning=Pruning(30.0, "all"))
    hour = Hour(daemon, names)
    with daemon:
        before, after = lived(daemon, hour, minutes)
        hour.leave()
        hour.settle()
        is_as_the_files_say(hour)
    assert daemon.ended_in_time == [True]
    assert after.objects <= before.objects * (1 + GROWTH)
    assert after.threads <= WORKERS + OTHER_THREADS
    assert after.files <= before.files
    assert after.connections <= 2 * after.threads + 2
    assert after.rows == before.rows, f"{before.rows} → {after.rows}"
    assert after.settled <= after.rows["objects"]
    assert (after.journal, before.journal) == (0, 0)
    assert after.told <= events.KEPT + 64


def is_as_the_files_say(hour: Hour) -> None:
    for name in hour.names:
        found = hour.found(name)
        item = hour.daemon.get("VirtualMachine", name)
        assert found is not None, name
        assert item is not None
        assert found.running is not None
        assert found.defined is not None
        assert (item.phase, found.defined.cpu.cores) == ("Running", hour.cores[name])
        waits = [entry["path"] for entry in item.status.get("restartAwaitingChanges") or ()]
        assert waits == ([] if found.running.cpu.cores == hour.cores[name] else ["cpu.cores"])
    passing = [each.domain for each in hour.daemon.lab.world.machines.values() if each.domain.startswith("passing")]
    assert passing == []


def test_half_an_hour_with_a_few_machines(lab: Lab) -> None:
    endure(lab, 8, 30)


@pytest.mark.full
def test_an_hour_with_two_hundred_machines(lab: Lab) -> None:
    endure(lab, 200, 60)
