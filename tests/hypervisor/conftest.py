"""libvirt's test driver in private, and a private host with real QEMU."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.private_host import PrivateHost
from tests.hypervisor.machines import INSTALLATION
from tests.memory_driver import MemoryDriver, World
from vmctl.hypervisor.libvirt_driver import LibvirtDriver
from vmctl.hypervisor.waiting import Pace
from vmctl.planning.observed import NatNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmctl.hypervisor.driver import Driver


NETWORK = NatNetwork(
    name="vmctl-test",
    uuid="0b5d6c1e-58f5-4d2b-9a57-0a8f6c1f7a10",
    bridge="vbr-test",
    cidr="10.211.0.0/24",
    gateway="10.211.0.1",
    directory="/var/lib/vmctl/networks/test",
)
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


@dataclass(frozen=True, slots=True)
class Subject:
    """A driver under test, another installation's on the same host, a maker of disks, and what the driver cannot do.

    `make_stubborn` has a guest keep what it is asked for, `reboot` lets it restart itself.
    """

    driver: Driver
    other: Driver
    make_disk: Callable[[str, int], Path]
    make_stubborn: Callable[[str], None]
    reboot: Callable[[str], object]
    runs_qemu: bool = True
    networks: bool = True


@pytest.fixture
def memory_subject(tmp_path: Path) -> Subject:
    world = World()

    def make_disk(name: str, size_bytes: int) -> Path:
        world.image_bytes[str(tmp_path / name)] = size_bytes
        return tmp_path / name

    def make_stubborn(uid: str) -> None:
        stubborn = world.machines[uid]
        assert stubborn.running is not None
        stubborn.keeps_memory_kib = stubborn.running.memory_kib
        stubborn.keeps_disks |= {disk.alias for disk in stubborn.running.disks}

    driver, other = MemoryDriver(world, INSTALLATION), MemoryDriver(world, "another")
    return Subject(driver, other, make_disk, make_stubborn, world.reboot_inside)


@pytest.fixture
def test_subject(test_uri: str, tmp_path: Path) -> Iterator[Subject]:
    driver, other = LibvirtDriver(test_uri, INSTALLATION), LibvirtDriver(test_uri, "another")
    other._connection = driver._connection  # the test driver has a world for each connection
    yield Subject(
        driver,
        other,
        lambda name, _size: tmp_path / name,
        lambda _uid: None,
        lambda _uid: None,
        runs_qemu=False,
        networks=False,
    )
    driver.close()


@pytest.fixture
def qemu_subject(qemu_uri: str, images: Path) -> Iterator[Subject]:
    def make_disk(name: str, size_bytes: int) -> Path:
        path = images / f"{name}.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(size_bytes)], check=True)
        return path

    speed = 1.0

    def make_stubborn(_uid: str) -> None:
        nonlocal speed
        speed = 20.0  # in its firmware, no guest gives anything back; nobody needs to wait long for that

    driver = LibvirtDriver(qemu_uri, INSTALLATION, pace=Pace(elapsed=lambda: speed * time.monotonic()))

    def reset(uid: str) -> None:
        driver._connection.get().lookupByUUIDString(uid).reset()

    other = LibvirtDriver(qemu_uri, "another", events=False)
    yield Subject(driver, other, make_disk, make_stubborn, reset)
    for uid in driver.listing():
        driver.destroy(uid)
        driver.undefine(uid)
    driver.remove_network(NETWORK.uuid)
    driver.close()
    other.close()


@pytest.fixture(params=["memory", "test", pytest.param("qemu", marks=pytest.mark.e2e)])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(f"{request.param}_subject")
    return found


@pytest.fixture
def driver(qemu_uri: str) -> Iterator[LibvirtDriver]:
    """The driver on real QEMU; nothing is left of what it made."""
    made = LibvirtDriver(qemu_uri, INSTALLATION)
    yield made
    for uid in made.listing():
        made.destroy(uid)
        made.undefine(uid)
    made.close()
