"""From a guest's own reboot to the QEMU that has what waited, against switching it off and on by hand."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt
import libvirt_qemu

from tests.bench.measuring import Line
from tests.e2e import guests
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.stage import Stage

NAME = "rebooted"
MACHINE = """\
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualImage
metadata: {{name: {name}}}
spec:
  storage: ContainerRegistry
  dataSource: {{type: HTTP, http: {{url: "{url}"}}}}
---
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata: {{name: {name}, labels: {{vm: {name}}}}}
spec:
  dataSource: {{type: ObjectRef, objectRef: {{kind: VirtualImage, name: {name}}}}}
---
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata: {{name: {name}, labels: {{vm: {name}}}}}
spec:
  virtualMachineClassName: host
  cpu: {{cores: {cores}, coreFraction: 1%}}
  memory: {{size: 256Mi}}
  blockDeviceRefs: [{{kind: VirtualDisk, name: {name}}}]
"""


class Watch:
    """What libvirt tells of one domain, with the moment."""

    def __init__(self, uri: str) -> None:
        libvirt.virEventRegisterDefaultImpl()
        libvirt.registerErrorHandler(lambda _context, _error: None, None)  # an agent that is not up yet is no news
        threading.Thread(target=self._turn, daemon=True).start()
        self.connection = libvirt.open(uri)
        self.rebooted_at = self.started_at = 0.0
        lifecycle, reboot = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT
        self.connection.domainEventRegisterAny(None, lifecycle, self._lifecycle, None)
        self.connection.domainEventRegisterAny(None, reboot, self._reboot, None)

    @property
    def domain(self) -> Any:
        return self.connection.lookupByName(NAME)

    def guest(self, script: str) -> bool:
        """Start a script in the guest; whether its agent took it."""
        said = {"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", script]}}
        try:
            libvirt_qemu.qemuAgentCommand(self.domain, json.dumps(said), 5, 0)
        except libvirt.libvirtError:
            return False
        return True

    @staticmethod
    def _turn() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    def _lifecycle(self, _connection: Any, domain: Any, event: int, _detail: int, _opaque: Any) -> None:
        if domain.name() == NAME and event == libvirt.VIR_DOMAIN_EVENT_STARTED:
            self.started_at = time.perf_counter()

    def _reboot(self, _connection: Any, domain: Any, _opaque: Any) -> None:
        if domain.name() == NAME and self.rebooted_at <= self.started_at:  # it comes twice
            self.rebooted_at = time.perf_counter()


def lines(stage: Stage) -> Iterator[Line]:
    """A reboot inside with a change waiting, under `vmctl run`."""
    image = guests.tiny_guest().disk
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(image.parent)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**stage.environment, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = server.stdout.readline().decode().split(" port ")[1].split()[0]
        yield _reboots(stage, f"http://127.0.0.1:{port}/{image.name}")
    finally:
        server.kill()
        server.communicate()


def _reboots(stage: Stage, url: str) -> Line:
    directory = stage.fresh("reboots")
    watch, cores = Watch(stage.uri), 1
    _save(directory, url, cores)
    stage.vmctl("apply", "-q", "-f", str(directory), "--wait")
    theirs = [_by_hand(watch) for _ in range(stage.repetitions)]
    daemon = subprocess.Popen(
        [str(Path(sys.executable).with_name("vmctl")), "run", "-f", str(directory)],
        env=stage.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ours = []
    try:
        for _ in range(stage.repetitions):
            until(lambda: watch.guest("true"), "the agent")
            cores = 3 - cores
            _save(directory, url, cores)
            until(lambda: _waits(stage), "the change to wait")
            watch.rebooted_at = 0.0  # of the last round
            assert watch.guest("reboot")
            until(lambda: watch.started_at > watch.rebooted_at > 0, "the new QEMU")
            ours.append(watch.started_at - watch.rebooted_at)
    finally:
        daemon.terminate()
        daemon.wait()
    stage.clear()
    what, against = "guest reboot with a change waiting → new QEMU", "destroy and create by hand"
    return Line(what, against, statistics.median(ours), statistics.median(theirs))


def _by_hand(watch: Watch) -> float:
    domain = watch.domain
    began = time.perf_counter()
    domain.destroy()
    domain.create()
    return time.perf_counter() - began


def _save(directory: Path, url: str, cores: int) -> None:
    new = directory / ".new"
    new.write_text(MACHINE.format(name=NAME, url=url, cores=cores))
    new.replace(directory / "machine.yaml")


def _waits(stage: Stage) -> bool:
    return "cpu.cores" in stage.vmctl("get", "vm", NAME, "-o", "jsonpath={.status.restartAwaitingChanges}").output
