"""A definition over a definition: ours is replaced, theirs survives, and the guest finds its hardware where it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.hypervisor.machines import INSTALLATION, MAC, disk, machine
from vmctl.errors import Exists
from vmctl.hypervisor import documents, merging, metadata, ownership
from vmctl.hypervisor.processors import Platform
from vmctl.hypervisor.trees import attribute_at, node, parse, serialise
from vmctl.planning.hardware import Hardware, Nic

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from vmctl.hypervisor.libvirt_driver import LibvirtDriver


def merged(hardware: Hardware, old: ET.Element | None = None) -> ET.Element:
    return merging.merge(documents.render(hardware, Platform("qemu")), old, hardware.spare_ports)


def found(root: ET.Element, path: str) -> ET.Element:
    element = root.find(path)
    assert element is not None, f"{path} is missing in {serialise(root)}"
    return element


@pytest.fixture
def edited() -> tuple[Hardware, ET.Element]:
    """A definition in which somebody added things of their own, as libvirt would show it."""
    hardware = machine(disks=(disk("/a.qcow2"),), nics=(Nic("ua-nic-main", MAC),))
    root = merged(hardware)
    root.append(node("title", text="theirs"))
    root.append(node("{http://libvirt.org/schemas/domain/qemu/1.0}commandline"))
    found(root, "./metadata").append(node("{https://example.org/notes}note", text="theirs"))
    found(root, "./cputune").append(node("period", text="100000"))
    found(root, "./features").append(node("kvm", node("hidden", state="on")))
    found(root, "./devices/disk").append(node("iotune", node("total_iops_sec", text="200")))
    found(root, "./devices/disk/driver").set("cache", "none")
    found(root, "./devices/interface").append(node("link", state="down"))
    found(root, "./devices").append(node("sound", model="ich9"))
    found(root, "./devices").append(node("hostdev", node("alias", name="hostdev0"), mode="subsystem", type="usb"))
    return hardware, root


def test_what_is_not_ours_survives(edited: tuple[Hardware, ET.Element]) -> None:
    hardware, old = edited
    new = merged(replace(hardware, memory_kib=512 << 10), old)
    assert new.findtext("./title") == "theirs"
    assert new.find("./{http://libvirt.org/schemas/domain/qemu/1.0}commandline") is not None
    assert new.findtext("./metadata/{https://example.org/notes}note") == "theirs"
    assert new.findtext("./cputune/period") == "100000"
    assert new.find("./features/kvm/hidden") is not None
    assert new.findtext("./devices/disk/iotune/total_iops_sec") == "200"
    assert attribute_at(new, "./devices/disk/driver", "cache") == "none"
    assert attribute_at(new, "./devices/interface/link", "state") == "down"
    assert new.find("./devices/sound") is not None
    assert new.find("./devices/hostdev") is not None
    assert new.findtext("./memory") == str(512 << 10)
    assert len(new.findall("./metadata/*")) == 2


def test_the_present_definition_is_only_read(edited: tuple[Hardware, ET.Element]) -> None:
    hardware, old = edited
    before = serialise(old)
    merged(replace(hardware, disks=(), nics=()), old)
    assert serialise(old) == before


def test_a_device_that_left_is_gone(edited: tuple[Hardware, ET.Element]) -> None:
    hardware, old = edited
    new = merged(replace(hardware, disks=(), rng=False), old)
    assert new.find("./devices/disk") is None
    assert new.find("./devices/rng") is None


def test_addresses_stay_with_their_devices() -> None:
    hardware = machine(nics=(Nic("ua-nic-main", MAC),), disks=(disk("/a", bus="virtio"),))
    old = merged(hardware)
    for path, bus in (("interface", "0x01"), ("disk", "0x02"), ("rng", "0x03")):
        found(old, f"./devices/{path}").append(node("address", type="pci", domain="0x0000", bus=bus, slot="0x00"))
    same = merged(replace(hardware, memory_kib=1 << 20), old)
    addresses = [attribute_at(same, f"./devices/{path}/address", "bus") for path in ("interface", "disk", "rng")]
    assert addresses == ["0x01", "0x02", "0x03"]
    other_model = merged(replace(hardware, nics=(Nic("ua-nic-main", MAC, model="e1000"),)), old)
    assert other_model.find("./devices/interface/address") is None
    other_machine = merged(replace(hardware, machine="pc", usb="piix3-uhci", scsi=False), old)
    assert other_machine.find("./devices/disk/address") is None


def test_another_bus_gives_another_name() -> None:
    first = disk("/a", "ua-spec-vd-a", bus="virtio")
    old = merged(machine(disks=(first,)))
    new = merged(machine(disks=(replace(first, bus="scsi"),)), old)
    assert attribute_at(new, "./devices/disk/target", "dev") == "sda"


def test_the_machine_version_stays_until_the_family_changes() -> None:
    hardware = machine()
    old = merged(hardware)
    found(old, "./os/type").set("machine", "pc-q35-5.0")
    assert attribute_at(merged(hardware, old), "./os/type", "machine") == "pc-q35-5.0"
    legacy = replace(hardware, machine="pc", usb="piix3-uhci", scsi=False)
    new = merged(legacy, old)
    assert attribute_at(new, "./os/type", "machine") == "pc"
    assert new.find("./devices/controller[@type='pci']") is None


def test_uefi_variables_belong_to_their_firmware() -> None:
    efi = machine(firmware="EFI")
    first = merged(efi)
    assert is_fresh(first)
    started = merged(efi)
    metadata.replace(started, replace(record(started), fresh_nvram=False))
    found(started, "./os").append(node("nvram", text="/nvram/x_VARS.fd", template="/old.fd"))
    again = merged(efi, started)
    assert not is_fresh(again)
    assert again.findtext("./os/nvram") == "/nvram/x_VARS.fd"
    secure = merged(replace(efi, firmware="EFIWithSecureBoot"), started)
    assert is_fresh(secure)
    assert secure.find("./os/nvram") is None
    assert is_fresh(merged(efi, first)), "a definition before the first start asks for them still"
    assert not is_fresh(merged(replace(efi, firmware="BIOS"), started))


def test_texts_that_are_no_longer_asked_for_are_erased() -> None:
    titled = machine(texts={"domain:./title": "one", "domain:./memtune/hard_limit": "2097152"})
    new = merged(replace(titled, texts={}), merged(titled))
    assert new.find("./title") is None
    assert new.find("./memtune/hard_limit") is None


@pytest.mark.parametrize("nics", [0, 1, 3])
def test_spare_ports_are_free_ones(nics: int) -> None:
    hardware = machine(nics=tuple(Nic(f"ua-nic-{index}", f"52:54:00:00:00:0{index}") for index in range(nics)))
    root = merged(hardware)
    devices = 5 + nics  # scsi, usb, agent's serial, balloon, rng
    assert len(root.findall("./devices/controller[@model='pcie-root-port']")) == devices + hardware.spare_ports
    grown = merged(replace(hardware, nics=(*hardware.nics, Nic("ua-nic-new", MAC))), root)
    assert len(grown.findall("./devices/controller[@model='pcie-root-port']")) == devices + 1 + hardware.spare_ports


def test_libvirt_accepts_what_others_added(test_driver: LibvirtDriver) -> None:
    hardware = machine(disks=(disk("/a.qcow2"),))
    test_driver.define(hardware)
    connection = test_driver._connection.get()
    root = parse(connection.lookupByUUIDString(hardware.uid).XMLDesc())
    found(root, "./devices").append(node("sound", model="ich9"))
    root.append(node("description", text="kept"))
    connection.defineXML(serialise(root))
    test_driver.define(replace(hardware, memory_kib=1 << 20))
    after = connection.lookupByUUIDString(hardware.uid).XMLDesc()
    assert "<description>kept</description>" in after
    assert "<sound" in after
    seen = test_driver.observe(hardware.uid)
    assert seen is not None
    assert seen.defined == replace(hardware, memory_kib=1 << 20)
    assert ownership.owner_in(after) == (INSTALLATION, hardware.uid)


def test_a_clone_is_not_taken_for_its_original(test_driver: LibvirtDriver) -> None:
    hardware = machine()
    test_driver.define(hardware)
    connection = test_driver._connection.get()
    root = parse(connection.lookupByUUIDString(hardware.uid).XMLDesc())
    other_uid = "0b5d6c1e-58f5-4d2b-9a57-0a8f6c1f7a10"
    found(root, "./name").text = "clone"
    found(root, "./uuid").text = other_uid
    connection.defineXML(serialise(root))
    assert {uid: listed.domain for uid, listed in test_driver.listing().items()} == {hardware.uid: hardware.domain}
    assert test_driver.observe(other_uid) is None
    with pytest.raises(Exists):
        test_driver.undefine(other_uid)


def record(root: ET.Element) -> metadata.Record:
    read = metadata.read(root)
    assert read is not None
    return read


def is_fresh(root: ET.Element) -> bool:
    return record(root).fresh_nvram
