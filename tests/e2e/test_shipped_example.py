"""What is shipped as `examples/quickstart`, on a private host: one command, a guest that answers, all gone again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.http_images import ImageServer

if TYPE_CHECKING:
    from tests.e2e.guests import TinyGuest
    from tests.e2e.private_host import PrivateHost

QUICKSTART = Path(__file__).parent.parent.parent / "examples" / "quickstart"


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """The quick start's manifests, in a directory whose files the test may change."""
    directory = tmp_path / "manifests"
    directory.mkdir()
    for file in QUICKSTART.glob("*.yaml"):
        (directory / file.name).write_text(file.read_text())
    return directory


def test_the_quick_start(
    libvirt_host: PrivateHost, tiny_guest: TinyGuest, state_directory: Path, manifests: Path
) -> None:
    def vmctl(*arguments: str) -> str:
        host = ["--state-dir", str(state_directory), "--libvirt-uri", libvirt_host.uri]
        done = subprocess.run(
            [sys.executable, "-m", "vmctl", *host, *arguments], check=False, text=True, capture_output=True
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    with ImageServer(tiny_guest.directory) as server:
        image = manifests / "image.yaml"
        image.write_text(image.read_text().replace("http://127.0.0.1:8099/guest.qcow2", server.url("guest.qcow2")))
        first = vmctl("apply", "-f", str(manifests), "--wait", "--timeout", "3m")
    assert first.count(" created\n") == 3
    vmctl("wait", "vm/linux-vm", "--for=condition=AgentReady", "--timeout=3m")

    name, phase, node, address, _ = vmctl("get", "vm", "--no-headers").split()
    assert (name, phase, node) == ("linux-vm", "Running", libvirt_host.name)
    page = libvirt_host.run("curl", "--silent", "--fail", "--retry", "60", "--retry-connrefused", f"http://{address}/")
    assert page.stdout == "linux-vm\n", "the guest has its address, and its name from the seed"

    again = vmctl("apply", "-f", str(manifests), "--wait", "--timeout", "3m")
    assert again.splitlines() == [line.replace(" created", " unchanged") for line in first.splitlines()]

    vmctl("delete", "vm/linux-vm", "vd/linux-disk", "vi/ubuntu")
    assert vmctl("get", "vi,vd,vm") == ""
    assert not list((state_directory / "storage").rglob("*.qcow2"))
