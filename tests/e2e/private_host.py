"""A libvirt host of our own for end-to-end tests: own mounts, processes, network, name and control groups. Root only.

The engine under test runs outside and reaches it through a socket. QEMU runs inside under the distribution's own user,
so that traps of permissions show. Both see the same files; only /run, /dev, /sys and libvirt's own directories differ.

By hand: `python -m tests.e2e.private_host /tmp/host1` prints the URI and lives until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).with_suffix(".sh")
LONGEST_SOCKET_PATH = 107  # bytes, from unix(7)

LIBVIRTD_CONF = """\
host_uuid = "{uuid}"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
"""
# namespaces: libvirt cannot move what is mounted inside /dev.
# max_core: without the right to raise limits libvirt could not set what it sets by default.
QEMU_CONF = """\
security_driver = "none"
namespaces = []
max_core = 0
"""


class PrivateHost:
    """One host below `base`, where an earlier run may have left another; it ends with the thread that started it."""

    def __init__(self, base: Path, *, name: str = "host1") -> None:
        self.base = base.absolute()
        self.name = name
        self.socket = self.base / "run" / "libvirt-sock"
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH:
            raise ValueError(f"{self.socket} is too long for a socket; choose a shorter base")
        self._group = "vmctl-" + hashlib.sha256(os.fsencode(self.base)).hexdigest()[:12]

    @property
    def uri(self) -> str:
        """The libvirt URI, for use outside."""
        return f"qemu+unix:///system?socket={self.socket}"

    def __enter__(self) -> Self:
        self.down()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Start the host, with what was defined on it the last time. Raises AssertionError with its log."""
        for directory in ("run", "dev", "cgroup"):
            shutil.rmtree(self.base / directory, ignore_errors=True)
        self._write_directories()
        log = self.base / "init.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", str(SCRIPT), "enter", str(self.base)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._process = process
        (self.base / "process").write_text(f"{process.pid} {_started(process.pid)}")
        ready = self.base / "ready"
        _await(
            lambda: process.poll() is not None or (ready.exists() and self.socket.exists()),
            f"the host {self.base}",
            log,
        )
        if process.poll() is not None:
            raise RuntimeError(f"the host {self.base} ended at once:\n{log.read_text()}")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside. Raises CalledProcessError when it fails and `check` is set."""
        inside = [
            "nsenter",
            "--target",
            str(self.init_pid()),
            "--mount",
            "--uts",
            "--net",
            "--ipc",
            "--cgroup",
            "--pid",
        ]
        return subprocess.run([*inside, *command], check=check, text=True, capture_output=True)

    def init_pid(self) -> int:
        """Process id, seen from outside, of the host's pid 1. Raises ProcessLookupError when the host is not up."""
        parent = self._recorded()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split() if parent else []
        if not children:
            raise ProcessLookupError(f"the host {self.base} is not up")
        return int(children[0])

    def qemu_pid(self, domain: str) -> int:
        """Process id, seen from outside, of a running domain's QEMU, to be killed by a test."""
        inside = self.run("cat", f"/run/libvirt/qemu/{domain}.pid").stdout.strip()
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                words = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()
                if words[-1] == inside and len(words) > 2 and self._contains(int(words[1])):
                    return int(words[1])
        raise ProcessLookupError(f"no process {inside} in the host {self.base}")

    def stop_libvirtd(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End libvirtd and leave the guests running."""
        pid = self.run("cat", "/run/libvirtd.pid").stdout.strip()
        self.run("kill", f"-{how.value}", pid)
        _await(
            lambda: self.run("test", "-d", f"/proc/{pid}", check=False).returncode != 0,
            "the end of libvirtd",
            self.libvirtd_log,
        )

    def start_libvirtd(self) -> None:
        """Start libvirtd again and return when it answers."""
        self.run("libvirtd", "-d", "-p", "/run/libvirtd.pid")
        answers = ("virsh", "-c", "qemu:///system", "version")
        _await(lambda: self.run(*answers, check=False).returncode == 0, "libvirtd's answer", self.libvirtd_log)

    def restart_libvirtd(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End libvirtd, by default politely, and start it again; guests go on running."""
        self.stop_libvirtd(how)
        self.start_libvirtd()

    @property
    def libvirtd_log(self) -> Path:
        """libvirtd's warnings and errors."""
        return self.base / "log" / "libvirtd.log"

    def kill(self) -> None:
        """Cut the power: libvirtd and every guest die at once; `up` switches the host on again."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.init_pid(), signal.SIGKILL)
        parent = self._recorded()
        if parent:
            with contextlib.suppress(ProcessLookupError):
                os.kill(parent, signal.SIGKILL)
        if process := getattr(self, "_process", None):
            process.wait(PATIENCE_S)
        else:
            _await(lambda: self._recorded() is None, f"the end of {self.base}", self.base / "init.log")
        (self.base / "process").unlink(missing_ok=True)
        (self.base / "ready").unlink(missing_ok=True)
        self._remove_groups()

    def down(self) -> None:
        """Cut the power and remove every trace; does nothing where nothing is."""
        self.kill()
        for part in ("run", "lib", "etc", "cache", "log", "dev", "cgroup"):
            shutil.rmtree(self.base / part, ignore_errors=True)
        for part in ("name", "group", "init.log"):
            (self.base / part).unlink(missing_ok=True)

    def _write_directories(self) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        self.base.chmod(0o755)
        for part in (
            "run",
            "log/qemu",
            "cache",
            "dev",
            "cgroup",
            "lib/images",
            "lib/boot",
            "lib/qemu",
            "lib/dnsmasq",
            "lib/network",
        ):
            (self.base / part).mkdir(parents=True, exist_ok=True)
        for part in ("etc/qemu/networks", "etc/qemu/autostart", "etc/storage"):
            (self.base / part).mkdir(parents=True, exist_ok=True)
        (self.base / "name").write_text(self.name)
        (self.base / "group").write_text(self._group)
        host_uuid = uuid.uuid5(uuid.NAMESPACE_URL, self.base.as_uri())
        (self.base / "etc/libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=host_uuid))
        (self.base / "etc/qemu.conf").write_text(QEMU_CONF)
        for empty in ("virtlogd.conf", "network.conf"):
            (self.base / "etc" / empty).touch()

    def _recorded(self) -> int | None:
        """The process that holds the namespaces, if it is still the one that was started here."""
        try:
            pid, started = (self.base / "process").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if _started(int(pid)) == started else None

    def _contains(self, pid: int) -> bool:
        return Path(f"/proc/{pid}/ns/pid").readlink() == Path(f"/proc/{self.init_pid()}/ns/pid").readlink()

    def _remove_groups(self) -> None:
        roots = [*Path("/sys/fs/cgroup").glob(f"*/{self._group}"), *Path("/sys/fs/cgroup").glob(self._group)]
        for root in roots:
            _await(partial(_removed, root), f"the end of all processes in {root}", self.base / "init.log")


def _removed(root: Path) -> bool:
    """Remove a control group and those in it, children first; false while a dying process still holds one."""
    try:
        for group, _, _ in os.walk(root, topdown=False):
            Path(group).rmdir()
    except OSError:
        return False
    return True


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty when it is no more. A pid alone may since be another's."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _await(happened: Callable[[], bool], what: str, log: Path) -> None:
    until(happened, lambda: f"{what}:\n{log.read_text() if log.exists() else 'it left no log'}")


if __name__ == "__main__":
    with PrivateHost(Path(sys.argv[1])) as host:
        print(host.uri, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
