"""A command line run in this process against a real store, with a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from vmctl.cli import main
from vmctl.resources import registry
from vmctl.resources.keys import Key
from vmctl.state.lock import EngineLock
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vmctl.state.stored import Stored

NOW = 1_700_000_000.0
GROUP = "virtualization.deckhouse.io"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(slots=True)
class World:
    """A store that tests fill, and the command line that reads it. `now` is what the store's clock shows.

    Tests do the engine's work, so they hold its lock from the first object on.
    """

    directory: Path
    capture: pytest.CaptureFixture[str]
    now: float = NOW
    _store: list[Store] = field(default_factory=list)
    _lock: EngineLock | None = None

    def work(self) -> None:
        """Be the engine at work, until the end of the test."""
        if self._lock is None:
            self.directory.mkdir(exist_ok=True)
            self._lock = EngineLock(self.directory)
            self._lock.acquire("a test")

    def rest(self) -> None:
        """Let go of the engine's lock and close the store."""
        self.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def store(self) -> Store:
        self.work()
        if not self._store:
            self._store.append(Store.open(self.directory, clock=lambda: self.now))
        return self._store[0]

    def add(
        self,
        kind: str,
        name: str,
        *,
        age: float = 0,
        namespace: str = "default",
        status: dict[str, Any] | None = None,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        **body: Any,
    ) -> Stored:
        """An object that was made `age` seconds ago."""
        known = registry.BY_NAME[kind]
        key = Key(kind, namespace if known.namespaced else "", name)
        metadata = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
        self.now = NOW - age
        stored, _ = self.store.apply(key, {"apiVersion": known.api_version, "kind": kind, "metadata": metadata, **body})
        if status:
            self.store.set_status(stored.uid, status)
        self.now = NOW
        found = self.store.get(key)
        assert found is not None
        return found

    def event(self, kind: str, name: str, reason: str, message: str, *, age: float = 0, **more: Any) -> None:
        """An event `age` seconds ago."""
        namespace = more.get("namespace", "default") if registry.BY_NAME[kind].namespaced else ""
        self.now = NOW - age
        self.store.record_event(
            Key(kind, namespace, name), more.get("type", "Normal"), reason, message, uid=more.get("uid", "")
        )
        self.now = NOW

    def run(self, *arguments: str) -> Ran:
        """Run one command line."""
        self.capture.readouterr()
        code = main([*arguments, "--state-dir", str(self.directory)], clock=lambda: NOW)
        out, err = self.capture.readouterr()
        return Ran(code, out, err)

    def close(self) -> None:
        while self._store:
            self._store.pop().close()


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test depends on the settings of whoever runs it."""
    for name in ("LIBVIRT_URI", "STATE_DIR", "ACCELERATOR", "NAMESPACE"):
        monkeypatch.delenv(f"VMCTL_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    made = World(tmp_path / "state", capsys)
    yield made
    made.rest()


@pytest.fixture
def quickstart(world: World) -> World:
    """The three objects of the quick start."""
    image = {"phase": "Ready", "cdrom": False, "progress": "100%", "size": {"stored": "285.9Mi", "unpacked": "2.5Gi"}}
    world.add("VirtualImage", "ubuntu", age=8 * 3600, status=image)
    world.add("VirtualDisk", "linux-disk", age=7 * 3600 + 40 * 60, status={"phase": "Ready", "capacity": "300Mi"})
    add_machine(world, "linux-vm", age=7 * 3600 + 46 * 60)
    return world


def condition(type_: str, status: str, **more: Any) -> dict[str, Any]:
    """A condition that has stood for an hour."""
    return {
        "type": type_, "status": status, "reason": more.get("reason", type_), "message": more.get("message", ""),
        "lastTransitionTime": "2023-11-14T21:13:20Z", "observedGeneration": more.get("generation", 1),
    }  # fmt: skip


def add_machine(world: World, name: str, *, phase: str = "Running", **more: Any) -> Stored:
    """A machine that runs unless `phase` says otherwise."""
    status = {
        "phase": phase,
        "nodeName": "virtlab-pt-2",
        "ipAddress": "10.66.10.2",
        "conditions": [condition("AgentReady", "True"), condition("AwaitingRestartToApplyConfiguration", "True")],
        **more.pop("status", {}),
    }
    spec = more.pop("spec", {"cpu": {"cores": 2, "coreFraction": "100%"}, "memory": {"size": "1Gi"}})
    return world.add("VirtualMachine", name, status=status, spec=spec, **more)
