"""Disks for machines on real QEMU, waiting for a guest, and looking around inside it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import libvirt_qemu

from tests.e2e.guests import tiny_guest
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from vmctl.hypervisor.libvirt_driver import LibvirtDriver


def blank(directory: Path, name: str = "blank") -> Path:
    path = directory / f"{name}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    return path


def guest_disk(directory: Path) -> Path:
    """An overlay on the tiny guest, both where QEMU can open them."""
    base = directory / "guest.qcow2"
    shutil.copy(tiny_guest().disk, base)
    overlay = directory / "overlay.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base.name, overlay.name]
    subprocess.run(command, check=True, cwd=directory)
    return overlay


class Inside:
    """A shell in a guest, by way of its agent."""

    def __init__(self, driver: LibvirtDriver, uid: str) -> None:
        self._driver, self._uid = driver, uid
        self.wait_for_agent()

    def wait_for_agent(self) -> None:
        """Wait until the agent answers."""
        until(lambda: self._driver.guest(self._uid), "the guest's agent")

    def run(self, script: str) -> str:
        """Run a script to its end and return what it wrote."""
        pid = self._agent("guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True})["pid"]

        def ended() -> Any:
            status = self._agent("guest-exec-status", pid=pid)
            return status if status["exited"] else None

        return base64.b64decode(until(ended, script).get("out-data", "")).decode()

    def begin(self, script: str) -> None:
        """Run a script without waiting for its end."""
        self._agent("guest-exec", path="/bin/sh", arg=["-c", script])

    def memory_kib(self) -> int:
        """What the guest counts as its memory."""
        return int(self.run("grep MemTotal /proc/meminfo").split()[1])

    def _agent(self, command: str, **arguments: Any) -> Any:
        domain = self._driver._connection.get().lookupByUUIDString(self._uid)
        request = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(libvirt_qemu.qemuAgentCommand(domain, request, 10, 0))["return"]
