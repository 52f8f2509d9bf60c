"""libvirt's test driver in private, and a private host with real QEMU."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.private_host import PrivateHost
from tests.hypervisor.machines import INSTALLATION
from vmctl.hypervisor.libvirt_driver import LibvirtDriver

if TYPE_CHECKING:
    from collections.abc import Iterator


NODE = """
<node>
  <cpu>
    <mhz>3000</mhz><model>i686</model><active>8</active><nodes>1</nodes><sockets>1</sockets><cores>8</cores>
    <threads>1</threads>
  </cpu>
  <memory>16777216</memory>
</node>
"""


@pytest.fixture
def test_uri(tmp_path: Path) -> str:
    """A libvirt of the test's own: the test driver keeps a world for each connection to a file."""
    file = tmp_path / "node.xml"
    file.write_text(NODE)
    return f"test://{file}"


@pytest.fixture
def test_driver(test_uri: str) -> Iterator[LibvirtDriver]:
    """A driver on libvirt's test driver."""
    driver = LibvirtDriver(test_uri, INSTALLATION, events=False)
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def qemu_directory() -> Iterator[Path]:
    """A short path that QEMU's own user can enter: pytest's directories are closed to it."""
    directory = Path(tempfile.mkdtemp(prefix="vmctl-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def qemu_host(qemu_directory: Path) -> Iterator[PrivateHost]:
    """A private host with real QEMU, for all tests here."""
    if os.geteuid() != 0 and os.environ.get("VMCTL_E2E") != "required":
        pytest.skip("needs root: a private host has its own namespaces")
    with PrivateHost(qemu_directory / "host") as host:
        yield host


@pytest.fixture
def qemu_uri(qemu_host: PrivateHost) -> str:
    """Where real QEMU is."""
    return qemu_host.uri


@pytest.fixture
def images(qemu_directory: Path) -> Iterator[Path]:
    """A directory for images that QEMU may open."""
    directory = Path(tempfile.mkdtemp(prefix="images-", dir=qemu_directory))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)
