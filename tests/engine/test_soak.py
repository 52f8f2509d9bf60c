"""An hour of edits and faults over many machines, in minutes: everything converges, and memory does not grow."""

from __future__ import annotations

import gc
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engine import manifests as texts
from tests.engine.daemons import Daemon, until
from vmctl.engine.gathering import Pruning
from vmctl.errors import Rejected, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.lab import Lab

MACHINES = 200
MINUTES = 60
GROWTH_MIB = 24  # in the second half of the hour: caches have filled by then


class Hour:
    """What may happen to a host, by the dice."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self.daemon, self.dice = daemon, random.Random(seed)
        self.wanted: dict[str, int] = {}  # cores by machine
        self.acts: list[Callable[[str], None]] = [
            self.edit, self.edit, self.crash, self.spoil, self.take_away, self.drop_events, self.lose_host, self.refuse,
        ]  # fmt: skip

    def text(self, name: str) -> str:
        """A machine that asks for so little that all of them fit."""
        cores = self.wanted[name]
        asked = f"cpu: {{cores: {cores}}}"
        machine = texts.machine(name, name, cores=cores)
        assert asked in machine
        return texts.blank(name) + machine.replace(asked, f"cpu: {{cores: {cores}, coreFraction: 1%}}")

    def write(self, name: str) -> None:
        self.daemon.save(f"{name}.yaml", self.text(name))

    def edit(self, name: str) -> None:
        self.wanted[name] = self.dice.randint(1, 3)
        self.write(name)

    def crash(self, name: str) -> None:
        item = self.daemon.get("VirtualMachine", name)
        if item is not None and item.uid in self.daemon.lab.world.machines:
            self.daemon.lab.world.crash(item.uid)

    def spoil(self, name: str) -> None:
        self.daemon.save(f"{name}.yaml", "x: [")

    def take_away(self, name: str) -> None:
        (self.daemon.directory / f"{name}.yaml").unlink(missing_ok=True)

    def drop_events(self, name: str) -> None:
        self.daemon.lab.world.deaf = True
        self.crash(name)

    def lose_host(self, name: str) -> None:
        self.daemon.host.refuses = Unreachable("no connection")
        self.daemon.runner.domain_changed("")

    def refuse(self, name: str) -> None:
        item = self.daemon.get("VirtualMachine", name)
        machine = self.daemon.lab.world.machines.get(item.uid) if item is not None else None
        if machine is not None:
            machine.refuses_start = Rejected("not now")
            self.daemon.lab.world.crash(machine.uid)

    def mend(self) -> None:
        """Every fault passes."""
        self.daemon.host.refuses = None
        self.daemon.lab.world.deaf = False
        for machine in list(self.daemon.lab.world.machines.values()):
            machine.refuses_start = None

    def minute(self) -> None:
        """A handful of things happen, and a minute passes."""
        for _ in range(self.dice.randint(1, 6)):
            self.dice.choice(self.acts)(self.dice.choice(list(self.wanted)))
        self.daemon.leap(60)
        self.daemon.rested()
        self.mend()


def resident_mib() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.full
def test_an_hour_of_everything(lab: Lab) -> None:
    made = Daemon(lab, pruning=Pruning(30.0, "all"))
    hour = Hour(made, seed=20261121)
    hour.wanted = {f"m{number}": 1 for number in range(MACHINES)}
    for name in hour.wanted:
        (made.directory / f"{name}.yaml").write_text(hour.text(name))
    half = 0.0
    with made:
        for minute in range(MINUTES):
            hour.minute()
            if minute == MINUTES // 2:
                half = resident_mib()
        grown = resident_mib() - half
        for name in hour.wanted:
            hour.write(name)
        made.reload()
        for name, cores in hour.wanted.items():
            until(lambda name=name, cores=cores: made.cores(name) == cores, f"{name} as it is written")  # type: ignore[misc]
        for _ in range(MINUTES):  # what has crashed again and again is started later and later
            made.resynced()
            if all(made.phase("VirtualMachine", name) == "Running" for name in hour.wanted):
                break
        assert [name for name in hour.wanted if made.phase("VirtualMachine", name) != "Running"] == []
        assert not made.runner.failing
        assert set(made.runner.convergence.outcomes) <= set(made.session.ledger.snapshot().by_key)
    assert grown < GROWTH_MIB
