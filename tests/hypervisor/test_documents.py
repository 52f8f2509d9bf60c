"""The law of the documents: reading back what was written gives the same machine, whatever libvirt made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from tests.hypervisor.machines import disk, machine, machines
from vmctl.hypervisor import documents, merging, metadata
from vmctl.hypervisor.processors import Platform
from vmctl.hypervisor.trees import node, parse, serialise
from vmctl.planning.hardware import Cpu, Hardware, Nic

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from vmctl.hypervisor.libvirt_driver import LibvirtDriver

PLATFORMS = (Platform("kvm"), Platform("qemu"), Platform("qemu", shares=False))


def document_of(hardware: Hardware, platform: Platform = PLATFORMS[1], old: ET.Element | None = None) -> ET.Element:
    return merging.merge(documents.render(hardware, platform), old, hardware.spare_ports)


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
@given(hardware=machines())
def test_reading_undoes_writing(platform: Platform, hardware: Hardware) -> None:
    read = documents.parse(parse(serialise(document_of(hardware, platform))))
    assert read == hardware
    assert read is not None
    assert read.nonce == hardware.nonce
    assert len({disk.target for disk in read.disks}) == len(hardware.disks)


@given(hardware=machines())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_libvirt_takes_every_machine_and_gives_it_back(test_driver: LibvirtDriver, hardware: Hardware) -> None:
    test_driver.define(hardware)
    seen = test_driver.observe(hardware.uid)
    assert seen is not None
    assert seen.defined == hardware
    test_driver.undefine(hardware.uid)


@given(hardware=machines(), other=machines())
def test_one_machine_written_over_another_is_the_one(hardware: Hardware, other: Hardware) -> None:
    present = document_of(replace(other, uid=hardware.uid, domain=hardware.domain))
    assert documents.parse(document_of(hardware, old=present)) == hardware


def test_memory_that_qemu_would_round_is_no_drift() -> None:
    hardware = machine(memory_kib=(256 << 10) + 1)
    root = document_of(hardware)
    assert root.findtext("./memory") == str(257 << 10)
    assert documents.parse(root) == hardware


def test_memory_in_another_unit_is_read() -> None:
    root = document_of(machine())
    for path in ("./memory", "./currentMemory"):
        memory = root.find(path)
        assert memory is not None
        memory.set("unit", "GiB")
        memory.text = "2"
    read = documents.parse(root)
    assert read is not None
    assert (read.memory_kib, read.most_memory_kib) == (2 << 20, 0)


def test_a_machine_changed_by_hand_shows_the_drift() -> None:
    hardware = machine(cpu=Cpu(1, 2), nics=(Nic("ua-nic-main", "52:54:00:00:00:01"),))
    root = document_of(hardware)
    for path, attribute, value in (
        ("./devices/interface/mac", "address", "52:54:00:00:00:02"),
        ("./cpu", "mode", "host-passthrough"),
        ("./os/type", "machine", "pc-i440fx-7.2"),
    ):
        found = root.find(path)
        assert found is not None
        found.set(attribute, value)
    shares = root.find("./cputune/shares")
    assert shares is not None
    shares.text = "50"
    read = documents.parse(root)
    assert read is not None
    assert read.nics[0].mac == "52:54:00:00:00:02"
    assert read.cpu == Cpu(1, 2, shares_percent=25, kind="HostPassthrough")
    assert read.machine == "pc"


def test_a_running_host_model_is_what_was_asked_for() -> None:
    hardware = machine(cpu=Cpu(1, 2, kind="Discovery", features=("aes",)))
    root = document_of(hardware)
    cpu = root.find("./cpu")
    assert cpu is not None
    cpu.set("mode", "custom")
    cpu.insert(0, node("model", text="EPYC", fallback="forbid"))
    cpu.append(node("feature", policy="disable", name="sha-ni"))
    assert documents.parse(root, live=True) == hardware
    defined = documents.parse(root)
    assert defined is not None
    assert defined.cpu.kind == "Model"  # in a definition, nobody but a person writes a named model


def test_hyperv_is_written_for_kvm_only() -> None:
    hardware = machine(hyperv=True)
    assert document_of(hardware, Platform("kvm")).find("./features/hyperv/relaxed") is not None
    assert document_of(hardware, Platform("qemu")).find("./features/hyperv") is None  # QEMU refuses it under TCG
    removed = document_of(hardware, Platform("kvm"))
    features, hyperv = removed.find("./features"), removed.find("./features/hyperv")
    assert features is not None
    assert hyperv is not None
    features.remove(hyperv)
    read = documents.parse(removed)
    assert read is not None
    assert not read.hyperv


def test_without_control_groups_no_shares_are_asked_for() -> None:
    hardware = machine(cpu=Cpu(1, 2, shares_percent=20))
    assert document_of(hardware, Platform("qemu", shares=False)).find("./cputune") is None
    assert document_of(hardware).findtext("./cputune/shares") == "40"


def test_a_domain_without_our_record_is_nobody() -> None:
    root = document_of(machine())
    place = root.find("./metadata")
    assert place is not None
    place.clear()
    assert documents.parse(root) is None


def test_every_disk_on_scsi_is_on_our_controller() -> None:
    many = tuple(disk(f"/d{index}", f"ua-spec-vd-{index}", boot=None) for index in range(30))
    root = document_of(machine(disks=many))
    addresses = [address.attrib for address in root.iterfind("./devices/disk/address")]
    assert {address["controller"] for address in addresses} == {"0"}
    assert len({address["target"] for address in addresses}) == 30
    assert [target.get("dev") for target in root.iterfind("./devices/disk/target")][25:28] == ["sdz", "sdaa", "sdab"]


def test_metadata_says_nothing_twice() -> None:
    record = metadata.read(document_of(machine(texts={"metadata:a": "1", "domain:./title": "hello"})))
    assert record is not None
    assert record.texts == {"a": "1"}
    assert record.domain_addresses == ("./title",)
