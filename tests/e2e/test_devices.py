"""What guests find: firmware, buses, network cards, TPM, CD-ROMs, by osType and paravirtualization."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product as combinations
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Document, Guest, Product, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    from tests.http_images import ImageServer

pytestmark = pytest.mark.usefixtures("machines_gone")
Q35, I440FX = "Standard PC (Q35 + ICH9, 2009)", "Standard PC (i440FX + PIIX, 1996)"


@pytest.fixture(scope="module")
def installed(product: Product, images: ImageServer) -> Product:
    """Images of all guests, and a disk from each."""
    product.apply(
        image("guest", images.url("guest.qcow2")),
        image("generic", images.url("generic.qcow2")),
        image("cd", images.url("guest.iso")),
        disk("root", "guest"),
        disk("plain", "generic"),
        disk("blank", size="100Mi"),
    )
    return product


@dataclass(frozen=True)
class Hardware:
    """What one combination of settings has to look like from inside."""

    chipset: str
    disk: str  # a word in the device path of the system disk
    card: str  # the driver of the network card
    root: str = "root"  # the disk whose kernel has the drivers


EXPECTED = {
    ("Generic", True): Hardware(Q35, "virtio", "virtio_net"),
    ("Generic", False): Hardware(Q35, "/ata", "e1000", "plain"),
    ("Windows", True): Hardware(Q35, "virtio", "virtio_net"),
    ("Windows", False): Hardware(Q35, "/ata", "e1000", "plain"),
    ("Legacy", True): Hardware(I440FX, "virtio", "virtio_net"),
    ("Legacy", False): Hardware(I440FX, "/ata", "8139cp", "plain"),
}
DEFAULT_SET = {
    ("Generic", "BIOS", False),
    ("Windows", "EFI", True),
    ("Legacy", "BIOS", True),
    ("Legacy", "BIOS", False),
}
WHOLE_TABLE = [
    pytest.param(*row, marks=() if row in DEFAULT_SET else pytest.mark.full)
    for row in combinations(("Generic", "Windows", "Legacy"), ("BIOS", "EFI"), (True, False))
    if row[:2] != ("Legacy", "EFI")  # refused: Legacy boots with BIOS only
]


@pytest.mark.parametrize(("os_type", "bootloader", "paravirtual"), WHOLE_TABLE)
def test_the_table_of_devices(installed: Product, os_type: str, bootloader: str, paravirtual: bool) -> None:
    hardware = EXPECTED[os_type, paravirtual]
    wanted: Document = {"osType": os_type, "bootloader": bootloader, "enableParavirtualization": paravirtual}
    installed.apply(machine("made", f"vd/{hardware.root}", **wanted))
    guest = installed.booted("made")
    assert guest.sh("cat /sys/class/dmi/id/product_name") == hardware.chipset
    assert guest.sh("[ -d /sys/firmware/efi ] && echo EFI || echo BIOS") == bootloader
    assert hardware.disk in guest.sh("readlink -f /sys/block/[sv]da/device")
    assert guest.sh("basename $(readlink -f /sys/class/net/eth0/device/driver)") == hardware.card
    assert bool(guest.sh("ls /sys/class/tpm")) == (os_type == "Windows")
    assert ("virtio" in guest.sh("cat /sys/class/misc/hw_random/rng_available")) == (os_type == "Generic")
    address = installed.status("vm", "made")["ipAddress"]
    until(lambda: f"inet {address}/" in guest.sh("ip -4 addr"), f"the guest's address {address}")


def test_secure_boot_refuses_a_guest_that_nobody_signed(installed: Product) -> None:
    wanted = machine("secure", "vd/root", bootloader="EFIWithSecureBoot")
    installed.apply(wanted)

    def refused() -> Document | None:
        installed.apply(wanted, wait=False)
        running = installed.condition("vm", "secure", "Running")
        return running if running["reason"] == "NoBootableDevice" else None

    running = until(refused, "the firmware's refusal")
    assert running["status"] == "True"
    assert "EFIWithSecureBoot" in running["message"]
    assert "signed" in running["message"]
    assert installed.phase("vm", "secure") == "Running"


def test_an_installation_cd_boots_beside_a_blank_disk(installed: Product) -> None:
    installed.apply(machine("installer", "vi/cd", "vd/blank", "vi/guest"))
    guest = installed.booted("installer")
    assert installed.status("vi", "cd")["cdrom"] is True
    assert guest.sh("ls /sys/block | grep -c '^sr'") == "1"
    sizes = _disks(guest)
    assert (204800, 0) in sizes, "the blank disk of 100 MiB, writable"
    assert (131072, 1) in sizes, "the image, read-only"
    devices = {device["name"]: device for device in installed.status("vm", "installer")["blockDeviceRefs"]}
    assert [devices[name]["size"] for name in ("blank", "guest")] == ["100Mi", "64Mi"]
    assert all(device["attached"] for device in devices.values())


def _disks(guest: Guest) -> set[tuple[int, int]]:
    """Sectors and read-only flag of every disk."""
    rows = guest.sh("cd /sys/block && for d in sd*; do echo $(cat $d/size) $(cat $d/ro); done").splitlines()
    return {(int(size), int(readonly)) for size, readonly in (row.split() for row in rows)}


def test_boot_order_counts_more_than_the_order_of_devices(installed: Product) -> None:
    refs = [
        {"kind": "VirtualDisk", "name": "root", "bootOrder": 2},
        {"kind": "VirtualImage", "name": "cd", "bootOrder": 1},
    ]
    installed.apply(machine("ordered", blockDeviceRefs=refs))
    installed.booted("ordered")
    assert "ISOLINUX" in installed.run("console", "ordered", "--log").out
