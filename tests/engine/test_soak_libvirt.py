"""The same hour over libvirt's own test driver: real documents, real events, real definitions that somebody edits."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import libvirt
import pytest

from tests.engine.daemons import Daemon
from tests.engine.manifests import blank, machine
from tests.engine.test_soak import GROWTH, MINUTE_S, lived, unheard
from vmctl.engine.gathering import Pruning
from vmctl.hypervisor.libvirt_driver import LibvirtDriver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.lab import Lab

__all__ = ["unheard"]  # a fixture that holds for every test here
URI = "test:///default"
NETWORK = """
apiVersion: deckhouse.io/v1alpha1
kind: ModuleConfig
metadata: {name: virtualization}
spec: {version: 1, settings: {virtualMachineCIDRs: [198.18.64.0/20]}}
"""
SETTLE_MIN = 12


@pytest.fixture
def connection() -> Iterator[Any]:
    """What somebody with virsh has open; the last to leave takes all machines along."""
    found = libvirt.open(URI)
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    yield found
    found.close()


@dataclass
class Hour:
    """What happens to a daemon, minute by minute."""

    daemon: Daemon
    connection: Any
    names: tuple[str, ...]
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    cores: dict[str, int] = field(default_factory=dict[str, int])
    bad: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self.daemon.save("network.yaml", NETWORK)
        for name in self.names:
            self.save(name, 1)

    def save(self, name: str, cores: int) -> None:
        self.cores[name] = cores
        self.bad.discard(name)
        self.daemon.save(f"{name}.yaml", self.text(name, cores))

    def text(self, name: str, cores: int) -> str:
        return blank(f"{name}-root") + machine(name, f"{name}-root", cores=cores, extra="runPolicy: AlwaysOn")

    def minute(self, number: int) -> None:
        """One minute of edits and faults, and what comes of it."""
        few = min(6, len(self.names))
        for name in self.dice.sample(self.names, few):
            if self.dice.random() < 0.7:
                self.save(name, self.dice.choice((1, 2, 4)))
            else:
                self.daemon.save(f"{name}.yaml", self.text(name, 1).replace("cores", "croes"))
                self.bad.add(name)
        for name in self.dice.sample(self.names, few):
            self._disturb(name)
        if number % 5 == 4:
            aside = self.daemon.directory.with_name("machines-aside")
            self.daemon.directory.rename(aside)
            self.daemon.leap(MINUTE_S / 2)
            aside.rename(self.daemon.directory)
            self.daemon.runner.directory_changed()
        self.daemon.leap(MINUTE_S / 2)
        self.daemon.resynced()

    def settle(self) -> None:
        """Leave it alone until nothing is left to do."""
        for name in sorted(self.bad):
            self.save(name, self.cores[name])
        for _ in range(SETTLE_MIN):
            self.daemon.resynced()

    def _disturb(self, name: str) -> None:
        try:
            domain = self.connection.lookupByName(name)
            match self.dice.choice(("destroy", "undefine", "edit")):
                case "destroy":
                    domain.destroy()
                case "undefine":
                    domain.undefine()
                case _:
                    domain.setVcpusFlags(1, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        except libvirt.libvirtError:  # it is between two states: nothing to disturb
            return

    def is_as_the_files_say(self) -> None:
        for name in self.names:
            domain = self.connection.lookupByName(name)
            assert domain.isActive(), name
            assert domain.isPersistent(), name
            wanted = domain.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_CONFIG)
            item = self.daemon.get("VirtualMachine", name)
            assert item is not None
            assert (item.phase, wanted) == ("Running", self.cores[name])
            waits = [entry["path"] for entry in item.status.get("restartAwaitingChanges") or ()]
            runs = domain.vcpusFlags(libvirt.VIR_DOMAIN_AFFECT_LIVE)
            assert waits == ([] if runs == self.cores[name] else ["cpu.cores"]), name


def endure(lab: Lab, connection: Any, machines: int, minutes: int) -> None:
    daemon = Daemon(
        lab,
        pruning=Pruning(30.0, "all"),
        connect=lambda installation: LibvirtDriver(URI, installation, accelerator="tcg"),
    )
    hour = Hour(daemon, connection, tuple(f"vm-{number}" for number in range(machines)))
    with daemon:
        before, after = lived(daemon, hour, minutes)
        hour.is_as_the_files_say()
    assert daemon.ended_in_time == [True]
    assert after.objects <= before.objects * (1 + GROWTH)
    assert after.files <= before.files
    assert after.rows == before.rows, f"{before.rows} → {after.rows}"
    assert (after.journal, before.journal) == (0, 0)


def test_ten_minutes_with_a_few_machines(lab: Lab, connection: Any) -> None:
    endure(lab, connection, 5, 9)


@pytest.mark.full
def test_an_hour_with_two_hundred_machines(lab: Lab, connection: Any) -> None:
    endure(lab, connection, 200, 60)
