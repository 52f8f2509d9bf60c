"""Real libvirt and QEMU: one private host and the guests, made once per session."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e import guests
from tests.e2e.private_host import PrivateHost
from tests.e2e.product import Product, installation
from tests.http_images import ImageServer

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PROGRAMS = (
    "apt-cache",
    "busybox",
    "cpio",
    "curl",
    "dnsmasq",
    "ip",
    "libvirtd",
    "nsenter",
    "qemu-img",
    "qemu-system-x86_64",
    "setpriv",
    "unshare",
    "virtlogd",
)


def _missing() -> str:
    """Why these tests cannot run here; empty when they can."""
    if os.geteuid() != 0:
        return "needs root: a private host has its own namespaces"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"needs {', '.join(missing)}: ./install.sh test installs them" if missing else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here as e2e; skip it where it cannot run, unless VMCTL_E2E=required makes that a failure."""
    missing = _missing()
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.e2e)
        if missing and os.environ.get("VMCTL_E2E") != "required":
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def host_directory() -> Iterator[Path]:
    """A short path that QEMU's own user can enter: pytest's directories are closed to it."""
    directory = Path(tempfile.mkdtemp(prefix="vmctl-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def libvirt_host(host_directory: Path) -> Iterator[PrivateHost]:
    """One private host for all tests; a test that kills it switches it on again."""
    if missing := _missing():
        pytest.fail(missing)
    with PrivateHost(host_directory / "host") as host:
        yield host


@pytest.fixture
def state_directory(host_directory: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty state directory of the test's own, where QEMU can reach the layers."""
    directory = Path(tempfile.mkdtemp(prefix="state-", dir=host_directory))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def product(libvirt_host: PrivateHost, host_directory: Path) -> Iterator[Product]:
    """An installation that the tests of one module share; the host is cleared when they are done."""
    with installation(libvirt_host, host_directory) as found:
        yield found


@pytest.fixture
def machines_gone(product: Product) -> Iterator[None]:
    """The test leaves the disks to the next one, and no machine."""
    yield
    product.run("delete", "vm", "--all", "--force", "--yes", "--wait", "--timeout=30s")


@pytest.fixture(scope="session")
def images(
    tmp_path_factory: pytest.TempPathFactory, tiny_guest: guests.TinyGuest, generic_guest: guests.TinyGuest
) -> Iterator[ImageServer]:
    """All guests by HTTP: guest.qcow2, generic.qcow2 and guest.iso."""
    directory = tmp_path_factory.mktemp("images")
    (directory / "guest.qcow2").symlink_to(tiny_guest.disk)
    (directory / "generic.qcow2").symlink_to(generic_guest.disk)
    tiny_guest.write_iso(directory / "guest.iso")
    with ImageServer(directory) as server:
        yield server


@pytest.fixture(scope="session")
def tiny_guest() -> guests.TinyGuest:
    """The quick start's guest."""
    return guests.tiny_guest()


@pytest.fixture(scope="session")
def generic_guest() -> guests.TinyGuest:
    """The same with drivers for hardware that is not paravirtual."""
    return guests.tiny_guest("generic")


@pytest.fixture(scope="session")
def debian_guest() -> Path:
    """The image of a real Debian 12 with cloud-init."""
    return guests.debian_guest()


@pytest.fixture(scope="session")
def debian(images: ImageServer, debian_guest: Path) -> str:
    """Where that image is served."""
    (images.directory / "debian.qcow2").symlink_to(debian_guest)
    return images.url("debian.qcow2")
