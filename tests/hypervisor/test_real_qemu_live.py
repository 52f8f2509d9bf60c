"""Changes of running machines as their guests see them, on real QEMU."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.hypervisor.machines import disk, machine
from tests.hypervisor.real_guests import Inside, blank, guest_disk
from tests.waiting import until
from vmctl.errors import Rejected
from vmctl.planning.hardware import Cpu

if TYPE_CHECKING:
    from pathlib import Path

    from vmctl.hypervisor.libvirt_driver import LibvirtDriver
    from vmctl.planning.hardware import Hardware

pytestmark = pytest.mark.e2e

MIB = 1 << 10  # in KiB
ROOM = {"most_cores": 4, "most_memory_kib": 512 * MIB, "memory_kib": 256 * MIB}
PLUGGED = 15


def seen_running(driver: LibvirtDriver, uid: str) -> Hardware:
    seen = driver.observe(uid)
    assert seen is not None
    assert seen.running is not None
    return seen.running


def started(driver: LibvirtDriver, images: Path, **fields: object) -> Hardware:
    bus = "ide" if fields.get("machine") == "pc" else "scsi"
    wanted = machine(disks=(disk(guest_disk(images), bus=bus),), **{**ROOM, **fields})
    driver.define(wanted)
    driver.start(wanted.uid)
    assert seen_running(driver, wanted.uid) == wanted  # long before the guest has looked at its balloon
    return wanted


def test_a_guest_sees_every_live_change(driver: LibvirtDriver, images: Path) -> None:
    reboots = list[str]()
    driver.watch(lambda _uid: None, reboots.append)
    wanted = started(driver, images, cpu=Cpu(1, 1, 40))
    check_no_cores_without_agent(driver, wanted)
    guest = Inside(driver, wanted.uid)
    until(lambda: guest.memory_kib() < wanted.memory_kib, "the balloon")
    assert seen_running(driver, wanted.uid) == wanted
    check_cores(driver, wanted, guest)
    check_share(driver, wanted)
    check_memory(driver, wanted, guest)
    check_memory_in_use(driver, wanted, guest)
    check_disk(driver, wanted, guest, images)
    check_reboot(driver, wanted, guest, reboots)


def check_no_cores_without_agent(driver: LibvirtDriver, wanted: Hardware) -> None:
    with pytest.raises(Rejected, match="agent does not answer") as raised:
        driver.set_cores(wanted.uid, 2)
    assert "qemu-guest-agent" in raised.value.remedy
    assert seen_running(driver, wanted.uid) == wanted


def check_cores(driver: LibvirtDriver, wanted: Hardware, guest: Inside) -> None:
    assert guest.run("nproc").strip() == "1"
    driver.set_cores(wanted.uid, 2)
    assert guest.run("nproc").strip() == "2"
    assert seen_running(driver, wanted.uid).cpu == Cpu(1, 2, 40)  # each with the share that the first one had
    guest.run("echo 0 > /sys/devices/system/cpu/cpu1/online")
    driver.set_cores(wanted.uid, 3)
    assert guest.run("nproc").strip() == "3"


def check_share(driver: LibvirtDriver, wanted: Hardware) -> None:
    driver.set_core_fraction(wanted.uid, 70)
    domain = driver._connection.get().lookupByUUIDString(wanted.uid)
    assert domain.schedulerParameters()["cpu_shares"] == 3 * 70
    assert seen_running(driver, wanted.uid).cpu == Cpu(1, 3, 70)


def check_memory(driver: LibvirtDriver, wanted: Hardware, guest: Inside) -> None:
    has = {kib: check_size(driver, wanted, guest, kib) for kib in (400 * MIB + 1, 512 * MIB, 200 * MIB)}
    (_, first), (_, most), (_, least) = has.items()
    assert most - first == pytest.approx(112 * MIB, abs=8 * MIB)
    assert most - least == pytest.approx(312 * MIB, abs=8 * MIB)


def check_memory_in_use(driver: LibvirtDriver, wanted: Hardware, guest: Inside) -> None:
    """A guest that needs its memory keeps it, and nothing in it is killed."""
    guest.run("dd if=/dev/zero of=/dev/shm/full bs=1M count=60")
    with pytest.raises(Rejected, match=r"gave back \d+Mi of 136Mi"):
        driver.set_memory(wanted.uid, 64 * MIB)
    rest = seen_running(driver, wanted.uid).memory_kib
    assert 64 * MIB < rest < 200 * MIB
    assert guest.run("wc -c < /dev/shm/full; rm /dev/shm/full").split() == [str(60 << 20)]
    driver.set_memory(wanted.uid, 200 * MIB)


def check_size(driver: LibvirtDriver, wanted: Hardware, guest: Inside, kib: int) -> int:
    driver.set_memory(wanted.uid, kib)
    assert seen_running(driver, wanted.uid).memory_kib == kib
    return guest.memory_kib()


def check_disk(driver: LibvirtDriver, wanted: Hardware, guest: Inside, images: Path) -> None:
    for bus in ("scsi", "virtio"):
        more = disk(blank(images, bus), f"ua-spec-vd-{bus}", bus=bus, serial="", boot=None)
        driver.plug_disk(wanted.uid, more)
        until(lambda: "2048" in guest.run("cat /sys/block/*/size").split(), "the disk in the guest")
        driver.unplug_disk(wanted.uid, more.alias)
        until(lambda: "2048" not in guest.run("cat /sys/block/*/size").split(), "its end in the guest")


def check_reboot(driver: LibvirtDriver, wanted: Hardware, guest: Inside, reboots: list[str]) -> None:
    before = seen_running(driver, wanted.uid)
    guest.begin("sleep 0.2; reboot -f")
    until(lambda: reboots, "the event of the reboot")
    assert seen_running(driver, wanted.uid) == before
    guest.wait_for_agent()
    assert guest.run("nproc").strip() == "3"
    assert seen_running(driver, wanted.uid) == before
    assert reboots == [wanted.uid]


@pytest.mark.full
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"machine": "pc", "usb": "piix3-uhci", "rng": False, "scsi": False, "spare_ports": 0}, id="pc"),
        pytest.param({"firmware": "EFI"}, id="efi"),
        pytest.param({"cpu": Cpu(2, 1), "most_cores": 8}, id="two-sockets"),
        pytest.param({"cpu": Cpu(1, 1, kind="HostPassthrough")}, id="maximum"),
    ],
)
def test_every_kind_of_machine_takes_cores_and_memory(
    driver: LibvirtDriver, images: Path, fields: dict[str, object]
) -> None:
    wanted = started(driver, images, **fields)
    guest = Inside(driver, wanted.uid)
    driver.set_cores(wanted.uid, 4)
    assert guest.run("nproc").strip() == "4"
    driver.set_memory(wanted.uid, 384 * MIB)
    driver.set_memory(wanted.uid, 256 * MIB)
    assert seen_running(driver, wanted.uid) == replace(wanted, cpu=wanted.cpu.with_cores(4))


@pytest.mark.full
@pytest.mark.parametrize("bus", ["scsi", "virtio"])
def test_many_disks_come_and_go(driver: LibvirtDriver, images: Path, bus: str) -> None:
    wanted = started(driver, images, spare_ports=PLUGGED)
    guest = Inside(driver, wanted.uid)
    disks = tuple(
        disk(blank(images, f"{bus}{number}"), f"ua-vmbda-{number}", bus=bus, boot=None) for number in range(PLUGGED)
    )
    driver.define(replace(wanted, disks=(*wanted.disks, *disks)))
    for _round in range(2):
        for one in disks:
            driver.plug_disk(wanted.uid, one)
        until(lambda: guest.run("cat /sys/block/*/size").split().count("2048") == PLUGGED, "all disks in the guest")
        assert {one.target for one in seen_running(driver, wanted.uid).disks} == targets(driver, wanted)
        for one in disks:
            driver.unplug_disk(wanted.uid, one.alias)
        until(lambda: "2048" not in guest.run("cat /sys/block/*/size").split(), "the end of all in the guest")
        assert seen_running(driver, wanted.uid) == wanted


def targets(driver: LibvirtDriver, wanted: Hardware) -> set[str]:
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert seen.defined is not None
    return {one.target for one in seen.defined.disks}
