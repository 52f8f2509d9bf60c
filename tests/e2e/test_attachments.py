"""Disks and images plugged into running machines: what the guest sees, what stays on them, what holds them."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import libvirt
import pytest

from tests.e2e.product import Document, Guest, Product, as_stream, disk, image, machine, manifest
from tests.waiting import until

if TYPE_CHECKING:
    from tests.http_images import ImageServer

KIND = "VirtualMachineBlockDeviceAttachment"
MIB = 1 << 20


def attachment(name: str, device: str, to: str = "web") -> Document:
    """An attachment; the device as `vd/name` or `vi/name`."""
    short, _, device_name = device.partition("/")
    kind = {"vd": "VirtualDisk", "vi": "VirtualImage"}[short]
    return manifest(KIND, name, {"virtualMachineName": to, "blockDeviceRef": {"kind": kind, "name": device_name}})


def find(guest: Guest, serial: str) -> str:
    """The device node of the disk with a serial number in the guest; empty where there is none.

    Its VPD page 0x80 holds the serial behind four bytes.
    """
    pages = "for d in /sys/block/s*/device; do "
    test = f'tail -c +5 $d/vpd_pg80 2>/dev/null | grep -qx "{serial}" && basename ${{d%/device}}; done; true'
    return guest.sh(pages + test)


def seen(guest: Guest, serial: str) -> str:
    """The same, once the guest has it."""
    return str(until(lambda: find(guest, serial), f"disk {serial} in the guest"))


def names(guest: Guest) -> dict[str, str]:
    """Every disk with a serial number that the guest has: the serial, and the name there."""
    script = "for d in /sys/block/sd*; do echo $(basename $d) $(tail -c +5 $d/device/vpd_pg80 2>/dev/null); done"
    rows = (row.split() for row in guest.sh(script).splitlines())
    return {row[1]: row[0] for row in rows if len(row) == 2}


@pytest.fixture(scope="module")
def base(images: ImageServer) -> tuple[Document, ...]:
    return (
        image("guest", images.url("guest.qcow2")),
        image("cd", images.url("guest.iso")),
        disk("root", "guest"),
        disk("data", size="64Mi"),
        machine("web", "vd/root"),
    )


@pytest.fixture(scope="module")
def guest(product: Product, base: tuple[Document, ...]) -> Guest:
    """A booted machine, and a disk and a CD that nobody has."""
    product.apply(*base)
    return product.booted("web")


def test_a_disk_comes_goes_and_keeps_what_was_written(product: Product, guest: Guest) -> None:
    pid = guest.pid
    product.apply(attachment("plug", "vd/data"))
    assert product.phase("vmbda", "plug") == "Attached"
    node = seen(guest, "data")
    assert guest.sh(f"cat /sys/block/{node}/size") == str(64 * MIB // 512)
    guest.sh(f"printf precious | dd of=/dev/{node} conv=notrunc,fsync 2>/dev/null")
    device = product.status("vm", "web")["blockDeviceRefs"][1]
    assert (device["hotplugged"], device["virtualMachineBlockDeviceAttachmentName"]) == (True, "plug")
    assert "restartAwaitingChanges" not in product.status("vm", "web")

    held = product.condition("vd", "data", "InUse")
    assert "attached to web by VirtualMachineBlockDeviceAttachment plug" in held["message"]

    product.run("delete", "vmbda", "plug")
    assert product.run("get", "vmbda", "-o", "name").out == ""
    until(lambda: not find(guest, "data"), "the end of the disk in the guest")
    assert "ua-vmbda-plug" not in guest.live.XMLDesc(0)
    assert "ua-vmbda-plug" not in guest.live.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    assert guest.pid == pid

    product.apply(attachment("again", "vd/data"))
    assert guest.sh(f"dd if=/dev/{seen(guest, 'data')} bs=8 count=1 2>/dev/null") == "precious"


def test_what_somebody_else_unplugs_is_put_back(product: Product, guest: Guest) -> None:
    """The disk of the test before, under its name."""
    node = find(guest, "data")
    guest.live.detachDeviceAlias("ua-vmbda-again", libvirt.VIR_DOMAIN_AFFECT_LIVE)
    until(lambda: "ua-vmbda-again" not in guest.live.XMLDesc(0), "libvirt's end of the disk")
    product.apply(attachment("again", "vd/data"))
    assert seen(guest, "data") == node
    assert "the device of attachment again removed" in "\n".join(product.events("web", "DriftDetected"))


def test_what_is_plugged_in_is_there_after_the_power_was_cut(
    product: Product, base: tuple[Document, ...], guest: Guest
) -> None:
    """An ISO beside the disk of the test before, and the machine destroyed behind our back."""
    product.apply(attachment("disc", "vi/cd"))
    assert product.phase("vmbda", "disc") == "Attached"
    until(lambda: guest.sh("ls /sys/block | grep -c '^sr'", check=False) == "1", "a CD-ROM in the guest")
    assert guest.sh("blkid -o value -s LABEL /dev/sr0 || dd if=/dev/sr0 bs=1 skip=32808 count=8 2>/dev/null") == (
        "VMCTL-CD"
    )
    assert guest.sh("dd if=/dev/zero of=/dev/sr0 bs=512 count=1 2>/dev/null || echo refused") == "refused"
    pid = guest.pid
    guest.live.destroy()
    product.apply(*base)
    product.booted("web")
    assert guest.pid != pid
    assert guest.sh(f"dd if=/dev/{seen(guest, 'data')} bs=8 count=1 2>/dev/null") == "precious"
    assert guest.sh("ls /sys/block | grep -c '^sr'") == "1"
    assert [product.phase("vmbda", name) for name in ("again", "disc")] == ["Attached", "Attached"]


def test_a_disk_grows_while_its_guest_writes(product: Product, guest: Guest) -> None:
    node = seen(guest, "data")
    guest.sh(f"dd if=/dev/urandom of=/dev/{node} bs=1M count=16 conv=notrunc,fsync 2>/dev/null")
    before = guest.sh(f"dd if=/dev/{node} bs=1M count=16 2>/dev/null | sha256sum")
    endless = (
        f"while :; do dd if=/dev/zero of=/dev/{node} bs=64k seek=512 count=64 conv=notrunc,fsync 2>/dev/null; done"
    )
    guest.sh(f"({endless}) >/dev/null 2>&1 & echo $! >/tmp/writer")
    product.apply(disk("data", size="96Mi"))
    sectors = str(96 * MIB // 512)
    until(lambda: guest.sh(f"cat /sys/block/{node}/size") == sectors, "the guest's notice of the new size")
    assert guest.sh("kill -0 $(cat /tmp/writer) && echo writes") == "writes"
    guest.sh("kill $(cat /tmp/writer); echo 3 >/proc/sys/vm/drop_caches")
    assert guest.sh(f"dd if=/dev/{node} bs=1M count=16 2>/dev/null | sha256sum") == before
    assert (product.phase("vd", "data"), product.status("vd", "data")["capacity"]) == ("Ready", "96Mi")
    told = [line for line in product.run("events").lines if "VirtualDiskResizingCompleted" in line]
    assert told, "its phase was Resizing in between"
    refused = product.apply(disk("data", size="64Mi"), code=5)
    assert "persistentVolumeClaim.size" in refused.err


def test_a_disk_grows_under_a_machine_that_somebody_else_started(
    product: Product, base: tuple[Document, ...], guest: Guest
) -> None:
    manual = machine("web", "vd/root", runPolicy="Manual")
    product.apply(manual)
    guest.live.destroy()
    product.apply(manual)
    assert product.phase("vm", "web") == "Stopped"
    guest.live.create()
    product.apply(disk("data", size="128Mi"))
    assert product.status("vd", "data")["capacity"] == "128Mi"
    assert not [line for line in product.run("events").lines if "VirtualDisk" in line and "Warning" in line]
    product.apply(base[-1])
    product.booted("web")
    assert guest.sh(f"cat /sys/block/{seen(guest, 'data')}/size") == str(128 * MIB // 512)


# ---- the whole matrix ----------------------------------------------------------------------------------------


@pytest.mark.full
def test_fifteen_devices_come_and_go_again_and_again(product: Product, guest: Guest) -> None:
    """The sixteenth beside the system disk is refused; what is there already stays as it is."""
    product.run("delete", "vmbda", "--all")
    serials = [f"many-{number:02}" for number in range(15)]
    product.apply(*(disk(serial, size="8Mi") for serial in serials), disk("too-many", size="8Mi"))
    pid = guest.pid
    for _ in range(3):
        product.apply(*(attachment(serial, f"vd/{serial}") for serial in serials))
        assert {product.phase("vmbda", serial) for serial in serials} == {"Attached"}
        until(lambda: set(names(guest)) >= set(serials), "fifteen disks in the guest")
        refused = product.apply(attachment("too-many", "vd/too-many"), code=5)
        assert "16 block devices" in refused.err
        product.run("delete", "vmbda", "--all", "--wait")
        until(lambda: not set(names(guest)) & set(serials), "no disk of them in the guest")
    assert guest.pid == pid
    product.run("delete", "vd", *serials, "too-many", "--wait")


@pytest.mark.full
def test_an_apply_that_is_killed_in_the_middle_of_an_attach_is_made_good(product: Product, guest: Guest) -> None:
    product.apply(disk("cut", size="8Mi"))
    wanted = (attachment("cut", "vd/cut"),)
    for delay_s in (0.2, 0.5, 0.8, 1.1):
        with product.running("apply", "-f", "-", stdin=as_stream(*wanted)) as process:
            time.sleep(delay_s)
            process.send_signal(signal.SIGKILL)
            process.wait()
        product.apply(*wanted)
        assert product.phase("vmbda", "cut") == "Attached"
        seen(guest, "cut")
        assert guest.live.XMLDesc(0).count("ua-vmbda-cut'") == 1
        with product.running("delete", "vmbda", "cut") as process:
            time.sleep(delay_s)
            process.send_signal(signal.SIGKILL)
            process.wait()
        product.run("delete", "vmbda", "cut", "--wait", "--ignore-not-found")
        until(lambda: not find(guest, "cut"), "the end of the disk in the guest")
        assert "ua-vmbda-cut" not in guest.live.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    product.run("delete", "vd", "cut", "--wait")


@pytest.mark.full
def test_of_four_disks_the_second_is_taken_out_and_the_others_keep_their_names(
    product: Product, base: tuple[Document, ...], guest: Guest
) -> None:
    gates = {
        "apiVersion": "deckhouse.io/v1alpha1",
        "kind": "ModuleConfig",
        "metadata": {"name": "virtualization"},
        "spec": {"version": 1, "settings": {"featureGates": ["HotplugBlockDevices"]}},
    }
    more = [disk(f"more-{number}", size="8Mi") for number in (1, 2, 3)]
    product.apply(gates, *more, machine("web", "vd/root", "vd/more-1", "vd/more-2", "vd/more-3"))
    for number in (1, 2, 3):
        guest.sh(f"printf 'disk {number}' | dd of=/dev/{seen(guest, f'more-{number}')} conv=fsync 2>/dev/null")
    before, pid = names(guest), guest.pid
    product.apply(machine("web", "vd/root", "vd/more-2", "vd/more-3"))
    assert product.waiting("web") == []
    until(lambda: not find(guest, "more-1"), "the end of the second disk in the guest")
    assert names(guest) == {serial: name for serial, name in before.items() if serial != "more-1"}
    for number in (2, 3):
        assert guest.sh(f"dd if=/dev/{before[f'more-{number}']} bs=6 count=1 2>/dev/null") == f"disk {number}"
    assert guest.pid == pid
    assert product.phase("vd", "more-1") == "Ready"
    product.apply(attachment("more", "vd/more-1"))
    assert guest.sh(f"dd if=/dev/{seen(guest, 'more-1')} bs=6 count=1 2>/dev/null") == "disk 1"
    product.run("delete", "vmbda", "more", "--wait")
    product.apply(base[-1])
    until(lambda: not find(guest, "more-2"), "the end of the others")
    product.run("delete", "vd", "more-1", "more-2", "more-3", "--wait")
