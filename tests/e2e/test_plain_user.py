"""A user without rights, on libvirt's session daemon: machines run with user-mode networking."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import BOOT_S, Document, as_stream, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.e2e.guests import TinyGuest
    from tests.e2e.private_host import PrivateHost

ROOT = Path(__file__).parent.parent.parent
USER = 5  # games: every Debian has it, and nothing runs under it (dnsmasq runs as nobody)
PORT = 8098  # on the private host's own loopback


@dataclass(frozen=True)
class PlainUser:
    """Runs commands inside the host as a user without rights."""

    host: PrivateHost
    home: Path
    python: str = sys.executable

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = (
            "env",
            "-i",
            "PATH=/usr/bin:/bin:/usr/sbin",
            f"HOME={self.home}",
            f"XDG_RUNTIME_DIR={self.home}/run",
            f"VMCTL_STATE_DIR={self.home}/state",
            f"PYTHONPATH={ROOT}:{sysconfig.get_path('purelib')}",
        )
        become = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
        ended = self.host.run(*become, *environment, *command, check=False)
        assert not check or ended.returncode == 0, f"{command}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        return ended

    def vmctl(self, *arguments: str) -> str:
        return self.run(self.python, "-m", "vmctl", *arguments).stdout


def _interpreter(user: PlainUser) -> str:
    """A Python of our version that the user may run, with vmctl and what it needs within reach; skips where none is.

    The one that runs the tests may lie in a closed home, as one that somebody built for themselves does.
    """
    version = ".".join(map(str, sys.version_info[:2]))
    for python in (sys.executable, f"/usr/bin/python{version}"):
        if user.run(python, "-c", "import vmctl, pydantic, click, libvirt", check=False).returncode == 0:
            return python
    pytest.skip(f"no Python {version} with vmctl is within reach of a user without rights")


@pytest.fixture
def user(libvirt_host: PrivateHost, host_directory: Path, tiny_guest: TinyGuest) -> Iterator[PlainUser]:
    """A user with a home of their own, who finds the guest's image on loopback."""
    home = host_directory / "u"  # libvirt keeps sockets deep below a home, and their paths must not grow too long
    home.mkdir()
    (home / "run").mkdir()
    (home / "served").mkdir()
    shutil.copy(tiny_guest.disk, home / "served" / "guest.qcow2")
    for path in (home, *home.rglob("*")):
        shutil.chown(path, USER, USER)
    found = PlainUser(libvirt_host, home, _interpreter(PlainUser(libvirt_host, home)))
    serve = f"{found.python} -m http.server --bind 127.0.0.1 --directory {home}/served {PORT}"
    found.run("sh", "-c", f"{serve} >/dev/null 2>&1 & echo $!")
    until(lambda: not found.run("bash", "-c", f": </dev/tcp/127.0.0.1/{PORT}", check=False).returncode, "a server")
    yield found
    libvirt_host.run("sh", "-c", f"kill -9 $(ps -o pid= -u {USER})", check=False)
    shutil.rmtree(home)


def test_a_machine_of_a_plain_user_runs(user: PlainUser) -> None:
    documents: tuple[Document, ...] = (
        image("guest", f"http://127.0.0.1:{PORT}/guest.qcow2"),
        disk("root", "guest"),
        machine("mine", "vd/root"),
    )
    manifests = user.home / "manifests.json"
    manifests.write_text(as_stream(*documents))
    manifests = manifests.rename(manifests.with_suffix(".yaml"))
    user.vmctl("apply", "-f", str(manifests), "--wait", f"--timeout={BOOT_S}")
    user.vmctl("wait", "vm/mine", "--for=condition=AgentReady", f"--timeout={BOOT_S}")
    status = json.loads(user.vmctl("get", "vm", "mine", "-o", "json"))["status"]
    assert status["phase"] == "Running"
    assert status["ipAddress"] == "10.0.2.15", "what the agent reports of QEMU's own network"
    assert (user.home / "state/vmctl.db").exists()
    assert [line.split()[1] for line in user.vmctl("apply", "-f", str(manifests)).splitlines()] == ["unchanged"] * 3
    assert user.run("virsh", "-q", "-c", "qemu:///session", "list", "--name").stdout.split() == ["mine"]
    user.vmctl("delete", "vm", "mine", "--wait")
    assert user.run("virsh", "-q", "-c", "qemu:///session", "list", "--all", "--name").stdout.split() == []
