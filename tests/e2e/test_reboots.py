"""Guests that reboot by themselves: when that is a cold start, and when it is left to the guest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.product import Document, Guest, Manifests, Product, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.private_host import PrivateHost
    from tests.http_images import ImageServer

A_CHANNEL_IS_TOLD_OF_EVERY_S = 1.2  # QEMU holds back that the agent's closed if it had told that it opened just before


def reset(guest: Guest) -> None:
    """Reset a guest from outside, when QEMU can tell of its agent's channel again."""
    time.sleep(A_CHANNEL_IS_TOLD_OF_EVERY_S)
    guest.live.reset(0)


REBOOTS: dict[str, Callable[[Guest], object]] = {
    "reboot": lambda guest: guest.write("sleep 0.2; reboot"),
    "at once": lambda guest: guest.write("sleep 0.2; reboot -f"),
    "panic": lambda guest: guest.write("sleep 0.2; rmmod pvpanic_mmio; echo c >/proc/sysrq-trigger"),  # panic=5
    "virsh reboot": lambda guest: guest.live.reboot(0),
    "virsh reset": reset,
}


@pytest.fixture(scope="module")
def disks(product: Product, images: ImageServer) -> None:
    product.apply(image("guest", images.url("guest.qcow2")), disk("root", "guest"))


@pytest.fixture
def directory(product: Product, disks: None, tmp_path: Path) -> Iterator[Manifests]:
    """An empty directory; the machine of the test goes at its end."""
    yield Manifests(tmp_path)
    product.run("delete", "vm", "--all", "--force", "--yes", "--wait", "--timeout=60s")


def web(cores: int = 1, *more: str, **spec: Any) -> Document:
    return machine("web", "vd/root", *more, cpu={"cores": cores, "coreFraction": "5%"}, **spec)


def has_waiting(product: Product, *paths: str) -> None:
    until(lambda: [item["path"] for item in product.waiting("web")] == [*paths], f"waiting: {paths}")


@pytest.mark.full
def test_a_reboot_that_nobody_hears_of_leaves_the_change_waiting(product: Product, directory: Manifests) -> None:
    """Without a daemon, and with one that comes too late; then a reboot is heard of, and brings it."""
    product.apply(web())
    guest = product.booted("web")
    product.apply(web(2))
    pid, boot = guest.pid, guest.boot()
    guest.write("sleep 0.2; reboot")
    guest.booted_since(boot)
    directory.write(web(2))
    with product.daemon(directory.path):
        has_waiting(product, "cpu.cores")
        assert guest.pid == pid
        assert guest.sh("nproc") == "1"
        boot = guest.boot()
        guest.write("sleep 0.2; reboot")
        guest.booted_since(boot)
        assert guest.sh("nproc") == "2"
        assert guest.pid != pid


@pytest.mark.full
def test_a_reboot_never_leaves_a_machine_off_for_want_of_a_disk(product: Product, directory: Manifests) -> None:
    directory.write(web())
    with product.daemon(directory.path):
        guest = product.booted("web")
        pid, boot = guest.pid, guest.boot()
        directory.write(web(2, "vd/missing"))
        until(lambda: product.waiting("web"), "changes that wait")
        guest.write("sleep 0.2; reboot")
        guest.booted_since(boot)
        assert guest.pid == pid
        assert guest.sh("nproc") == "1"


@pytest.mark.full
@pytest.mark.parametrize("how", REBOOTS)
def test_every_kind_of_reboot_brings_what_waits(product: Product, directory: Manifests, how: str) -> None:
    directory.write(web(runPolicy="AlwaysOn"))
    with product.daemon(directory.path):
        guest = product.booted("web")
        for cores in (2, 1):
            pid, boot = guest.pid, guest.boot()
            directory.write(web(cores, runPolicy="AlwaysOn"))
            has_waiting(product, "cpu.cores")
            REBOOTS[how](guest)
            guest.booted_since(boot)
            assert guest.sh("nproc") == str(cores)
            assert guest.pid != pid
            has_waiting(product)


@pytest.mark.full
def test_a_manual_machine_comes_back_from_its_reboot(product: Product, directory: Manifests) -> None:
    directory.write(web(runPolicy="AlwaysOn"))
    with product.daemon(directory.path):
        guest = product.booted("web")
        pid, boot = guest.pid, guest.boot()
        directory.write(web(2, runPolicy="Manual"))
        has_waiting(product, "cpu.cores")
        guest.write("sleep 0.2; reboot")
        guest.booted_since(boot)
        assert guest.sh("nproc") == "2"
        assert guest.pid != pid


@pytest.mark.full
def test_a_reboot_after_libvirtd_came_back_is_heard_of(
    product: Product, directory: Manifests, libvirt_host: PrivateHost
) -> None:
    directory.write(web())
    with product.daemon(directory.path) as daemon:
        guest = product.booted("web")
        directory.write(web(2))
        has_waiting(product, "cpu.cores")
        pid, boot = guest.pid, guest.boot()
        libvirt_host.restart_libvirtd()
        assert guest.boot() == boot
        until(lambda: product.run("label", "vm", "web", "seen=yes", code=None).code == 0, "a daemon that works")
        assert daemon.process.poll() is None
        guest.write("sleep 0.2; reboot")
        guest.booted_since(boot)
        assert guest.sh("nproc") == "2"
        assert guest.pid != pid


@pytest.mark.full
def test_a_real_system_with_uefi_reboots_into_what_waits(product: Product, directory: Manifests, debian: str) -> None:
    system: Document = {"bootloader": "EFI", "memory": {"size": "1Gi"}, "runPolicy": "AlwaysOn"}
    bytes_of = (image("debian", debian), disk("debian-root", "debian", size="4Gi"))

    def linux(cores: int) -> Document:
        return machine("linux", "vd/debian-root", cpu={"cores": cores, "coreFraction": "5%"}, **system)

    directory.write(*bytes_of, linux(1))
    with product.daemon(directory.path):
        guest = product.booted("linux", timeout="10m")
        until(lambda: guest.sh("systemctl is-system-running", check=False) in ("running", "degraded"), "the boot")
        pid, boot = guest.pid, guest.boot()
        directory.write(linux(2))
        until(lambda: product.waiting("linux"), "the change in the list")
        guest.sh("echo kept >/root/mark; sync")
        guest.write("sleep 0.2; systemctl reboot")
        guest.booted_since(boot)
        assert guest.sh("nproc") == "2"
        assert guest.sh("cat /root/mark") == "kept"
        assert guest.pid != pid
