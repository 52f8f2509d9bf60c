"""What other tools for this job did to their users, each told in its test: it does not happen here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.product import GATES, Document, Guest, Product, as_stream, disk, image, machine, manifest
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.private_host import PrivateHost
    from tests.http_images import ImageServer

MOST_DEVICES = 16


@pytest.fixture(scope="module")
def guest(product: Product, images: ImageServer) -> Guest:
    """A machine with room for changes."""
    product.apply(GATES, image("guest", images.url("guest.qcow2")), disk("root", "guest"), web())
    return product.booted("web")


@pytest.fixture
def alone(product: Product) -> Iterator[Product]:
    """An installation whose other machines go at the end of the test."""
    yield product
    product.run("delete", "vm", "-l", "test=alone", "--force", "--yes", "--wait", "--timeout=60s")


def web(*devices: str, memory: str = "256Mi", **spec: Any) -> Document:
    return machine("web", "vd/root", *devices, memory={"size": memory}, **spec)


def waiting(product: Product) -> list[str]:
    return [str(item["path"]) for item in product.waiting("web")]


def test_a_pending_change_that_is_taken_back_does_not_poison_later_live_ones(product: Product, guest: Guest) -> None:
    """A flag that can only be set made every later change wait (KubeVirt)."""
    pid = guest.pid
    product.apply(web(memory="2Gi"))
    assert waiting(product) == ["memory.size"]
    product.apply(web())
    assert waiting(product) == []
    before = int(guest.sh("awk '/MemTotal/ { print $2 }' /proc/meminfo"))
    product.apply(web(memory="320Mi"))
    assert waiting(product) == []
    assert int(guest.sh("awk '/MemTotal/ { print $2 }' /proc/meminfo")) > before + 48 * 1024
    assert guest.pid == pid


def test_a_disk_is_never_made_smaller(product: Product, guest: Guest) -> None:
    """A smaller size was carried out by making the disk anew (terraform), or by cutting it off (libvirt)."""
    smaller = disk("root", "guest", size="32Mi")
    for verb in ("diff", "apply"):
        refused = product.run(verb, "-f", "-", stdin=as_stream(smaller), code=5)
        assert "a disk never shrinks" in refused.err
    assert guest.sh("cat /sys/block/sda/size") == str(64 * 2**20 // 512)
    assert product.phase("vd", "root") == "Ready"


def test_a_restart_with_a_spec_that_cannot_start_says_so_and_leaves_nothing_stale(
    product: Product, guest: Guest
) -> None:
    """A machine whose new spec was not valid was started with the old one (Deckhouse)."""
    wanted = web(virtualMachineClassName="missing", terminationGracePeriodSeconds=5)
    product.apply(wanted, wait=False)
    assert "virtualMachineClassName" in waiting(product)
    message = product.condition("vm", "web", "ConfigurationApplied")["message"]
    assert "a restart now would leave the machine" in message
    refused = product.run("restart", "web", "--force", code=5)
    assert "missing does not exist" in refused.err
    assert guest.live.isActive()
    restart = {"type": "Restart", "virtualMachineName": "web", "force": True}
    product.apply(manifest("VirtualMachineOperation", "again", restart), wait=False)
    until(lambda: product.phase("vm", "web") == "Pending", "a machine that waits for its class")
    assert "missing does not exist" in product.condition("vm", "web", "VirtualMachineClassReady")["message"]
    assert not guest.live.isActive()
    product.apply(manifest("VirtualMachineClass", "missing", {"cpu": {"type": "Host"}}))
    product.booted("web")
    assert waiting(product) == []


def test_a_machine_with_pending_changes_that_is_stopped_stays_stopped(product: Product, guest: Guest) -> None:
    """A stop with changes waiting was a restart (Deckhouse)."""
    product.apply(web(enableParavirtualization=False))
    assert "enableParavirtualization" in waiting(product)
    product.run("stop", "web", "--force", "--yes", "--wait")
    assert product.phase("vm", "web") == "Stopped"
    for _ in range(2):
        product.apply(web(enableParavirtualization=False), wait=False)
        assert product.phase("vm", "web") == "Stopped"
        assert not guest.live.isActive()
    assert waiting(product) == []
    product.apply(web())
    product.run("start", "web", "--yes", "--wait")
    assert guest.live.isActive()


@pytest.mark.full
def test_there_is_room_for_all_devices_and_one_too_many_is_named(product: Product, guest: Guest) -> None:
    """Hot-plug ended with "No more available PCI slots" (OpenNebula, ironcore)."""
    names = [f"more-{number}" for number in range(MOST_DEVICES)]
    product.apply(*(disk(name, size="3Mi") for name in names), web())
    guest.boot()
    pid = guest.pid
    refs = [f"vd/{name}" for name in names]
    product.apply(web(*refs[: MOST_DEVICES - 1]))
    until(lambda: guest.sh("cat /sys/block/sd*/size").split().count("6144") == MOST_DEVICES - 1, "all disks")
    assert waiting(product) == []
    refused = product.run("apply", "-f", "-", stdin=as_stream(web(*refs)), code=2)
    assert str(MOST_DEVICES) in refused.err
    product.apply(web())
    until(lambda: "6144" not in guest.sh("cat /sys/block/sd*/size").split(), "no disk but the first")
    assert guest.pid == pid


@pytest.mark.full
@pytest.mark.usefixtures("guest")
def test_room_for_memory_does_not_stop_a_machine_from_starting(alone: Product) -> None:
    """Machines did not start because of memory that they might be given later (Incus)."""
    host_mib = alone.libvirt.getInfo()[1]
    big = machine("big", "vd/big", memory={"size": f"{host_mib * 6 // 10}Mi"})
    big["metadata"]["labels"] = {"test": "alone"}
    alone.apply(disk("big", "guest"), big)
    guest = alone.booted("big")
    assert int(guest.sh("awk '/MemTotal/ { print $2 }' /proc/meminfo")) > host_mib * 1024 // 2


@pytest.mark.full
@pytest.mark.usefixtures("guest")
def test_firmware_and_tpm_state_live_as_long_as_their_machine(alone: Product, libvirt_host: PrivateHost) -> None:
    """A machine that was changed lost its NVRAM (terraform, vagrant), one that was deleted left its TPM behind."""
    libvirt_files = libvirt_host.base / "lib"

    def kept() -> dict[str, int]:
        """The files of firmware and TPM, with what tells them from new ones of the same name."""
        uid = str(alone.document("vm", "safe")["metadata"]["uid"])
        found = [*libvirt_files.glob("qemu/nvram/safe*"), *libvirt_files.glob(f"swtpm/{uid}/tpm2/*")]
        return {str(file): file.stat().st_ino for file in found if file.suffix != ".lock" and file.name != ".lock"}

    def safe(**spec: Any) -> Document:
        found = machine("safe", "vd/safe", osType="Windows", bootloader="EFI", runPolicy="AlwaysOn", **spec)
        found["metadata"]["labels"] = {"test": "alone"}
        return found

    alone.apply(disk("safe", "guest"), safe())
    guest = alone.booted("safe")
    assert guest.sh("ls /sys/class/tpm") == "tpm0"
    before = kept()
    assert len(before) >= 2, before
    boot = guest.boot()
    alone.apply(safe(cpu={"cores": 2, "coreFraction": "5%"}))
    guest.live.destroy()
    alone.apply(safe(cpu={"cores": 2, "coreFraction": "5%"}))
    guest.booted_since(boot)
    assert guest.sh("nproc") == "2"
    assert kept().keys() == before.keys()
    [nvram] = [file for file in before if "nvram" in file]
    assert kept()[nvram] == before[nvram]
    uid = alone.document("vm", "safe")["metadata"]["uid"]
    alone.run("delete", "vm", "safe", "--force", "--yes", "--wait")
    assert not list(libvirt_files.glob("qemu/nvram/safe*"))
    assert not list(libvirt_files.glob(f"swtpm/{uid}/tpm2/*"))
    assert alone.phase("vd", "safe") == "Ready"
