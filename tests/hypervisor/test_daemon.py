"""Whose files libvirt sees, asked of real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vmctl.hypervisor import daemon

LISTEN = """
import socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_daemon_beside_us_sees_what_we_see(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        assert daemon.root(f"qemu+unix:///system?socket={path}") == Path("/")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces")
def test_a_daemon_with_devices_of_its_own(tmp_path: Path) -> None:
    path, python = str(tmp_path / "socket"), [sys.executable, "-c", LISTEN, str(tmp_path / "socket")]
    own = 'mount -t tmpfs tmpfs /dev && mknod /dev/null c 1 3 && touch /dev/kvm && exec "$@"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", own, "sh", *python]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None
        assert listening.stdin is not None
        assert listening.stdout.readline() == "ready\n"
        root = daemon.root(f"qemu:///system?socket={path}")
        assert sorted(each.name for each in (root / "dev").iterdir()) == ["kvm", "null"]
        listening.stdin.close()


@pytest.mark.parametrize("uri", ["qemu+ssh://host/system", "test:///default", "qemu+unix:///system?socket=/none"])
def test_where_nothing_can_be_told(uri: str) -> None:
    assert daemon.root(uri) == Path("/")


def test_a_session_listens_in_the_users_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "libvirt").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "libvirt/libvirt-sock"))
        listening.listen(1)
        assert daemon.root("qemu:///session") == Path("/")
        listening.setblocking(False)
        listening.accept()[0].close()
