"""Addresses in a document, our record, the agent's answer, and what the host is taken for."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hypervisor.machines import INSTALLATION, cpus
from vmctl.errors import Bug, Rejected, Unreachable, Unsupported
from vmctl.hypervisor import agent, hosts, metadata, ownership
from vmctl.hypervisor.libvirt_driver import LibvirtDriver
from vmctl.hypervisor.memory import Memory
from vmctl.hypervisor.power import power_of, reason_of
from vmctl.hypervisor.processors import Processor
from vmctl.hypervisor.trees import erase_at, node, parse, read_at, serialise, write_at

if TYPE_CHECKING:
    from pathlib import Path

    from vmctl.planning.hardware import Cpu

ADDRESSES = ("./title", "./vcpu/@current", "./a/b/c", "./devices/disk[@device='disk'][@type='file']/boot/@order")
FLAGS = "processor : 0\nflags\t\t: fpu {} sse\n"


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_written_read_and_erased(address: str) -> None:
    root = node("domain", node("devices", node("disk", type="network", device="disk")))
    assert read_at(root, address) is None
    write_at(root, address, "1")
    write_at(root, address, "2")
    assert read_at(parse(serialise(root)), address) == "2"
    erase_at(root, address)
    erase_at(root, address)
    assert read_at(root, address) is None


@pytest.mark.parametrize("address", ["title", "./", "./a//b", "./a/@b/c", "./a[1]", "", "./a/@b/@c"])
def test_what_is_no_address_is_a_mistake_of_ours(address: str) -> None:
    with pytest.raises(Bug):
        read_at(node("domain"), address)


@given(
    name=st.text(),
    nonce=st.text(),
    texts=st.dictionaries(st.text(), st.text(), max_size=3),
    cpu=st.one_of(st.none(), cpus()),
    fresh=st.booleans(),
    most=st.integers(0, 9),
    counted=st.integers(0, 9),
)
def test_a_record_is_read_as_written(
    name: str, nonce: str, texts: dict[str, str], cpu: Cpu | None, fresh: bool, most: int, counted: int
) -> None:
    record = metadata.Record(
        namespace="ns",
        name=name,
        uid="u",
        installation=INSTALLATION,
        nonce=nonce,
        fresh_nvram=fresh,
        processor=None if cpu is None else Processor(replace(cpu, sockets=1, cores_per_socket=1), most, counted),
        memory=Memory(7, most, counted),
        disks=("ua-a", "ua-b"),
        texts=texts,
        domain_addresses=("./zzz",) if "./zzz" not in texts else (),
    )
    root = node("domain", node("metadata", metadata.write(record)))
    assert metadata.read(parse(serialise(root))) == record


@given(st.text(min_size=1))
def test_the_owner_is_found_without_parsing(installation: str) -> None:
    record = metadata.Record("ns", "n", "some-uid", installation)
    text = serialise(node("domain", node("metadata", metadata.write(record))))
    assert ownership.owner_in(text) == (installation, "some-uid")


def test_a_domain_that_only_looks_like_ours_has_no_owner() -> None:
    assert ownership.owner_in("<domain><metadata><vmctl:machine installation='x'/></metadata></domain>") is None
    assert ownership.owner_in(f"<domain><title>{ownership.NAMESPACE}</title></domain>") is None


def test_the_agents_answer_is_put_in_order() -> None:
    guest = agent.read(
        {
            "os.id": "debian",
            "os.pretty-name": "Debian 12",
            "os.version-id": "12",
            "hostname": "vm1",
            "if.count": 3,
            "if.0.name": "lo",
            "if.0.hwaddr": "00:00:00:00:00:00",
            "if.0.addr.count": 1,
            "if.0.addr.0.addr": "127.0.0.1",
            "if.1.hwaddr": "52:54:00:AA:BB:CC",
            "if.1.addr.count": 2,
            "if.1.addr.0.addr": "10.66.0.2",
            "if.1.addr.1.addr": "fe80::1",
            "if.2.name": "tun0",
        }
    )
    assert guest is not None
    assert guest.os == {"id": "debian", "prettyName": "Debian 12", "versionId": "12"}
    assert guest.hostname == "vm1"
    assert guest.addresses == {"52:54:00:aa:bb:cc": ("10.66.0.2", "fe80::1")}
    assert agent.read({}) is None


def test_states_are_words() -> None:
    assert (power_of(1), reason_of(1, 1)) == ("running", "booted")
    assert (power_of(5), reason_of(5, 3)) == ("off", "crashed")
    assert (power_of(3), reason_of(3, 5)) == ("paused", "ioerror")
    assert (power_of(99), reason_of(99, 99)) == ("running", "unknown")


@pytest.mark.parametrize(
    ("offered", "flags", "device", "expected"),
    [
        (True, "vmx", True, ""),
        (True, "svm", True, ""),
        (True, "avx", True, "neither vmx nor svm"),
        (True, "vmx", False, "does not open"),
        (False, "vmx", True, "libvirt does not offer KVM"),
    ],
)
def test_kvm_is_used_only_where_it_works(
    tmp_path: Path, offered: bool, flags: str, device: bool, expected: str
) -> None:
    capabilities = node(
        "capabilities",
        node("guest", node("arch", *([node("domain", type="kvm")] if offered else []), name="x86_64")),
    )
    cpuinfo, kvm = tmp_path / "cpuinfo", tmp_path / "kvm"
    cpuinfo.write_text(FLAGS.format(flags))
    if device:
        kvm.touch()
    why = hosts.why_not_kvm(capabilities, local=True, user="", device=kvm, cpuinfo=cpuinfo)
    assert expected in why
    assert bool(why) == bool(expected)


def test_kvm_that_is_closed_to_qemus_user_is_not_used(tmp_path: Path) -> None:
    capabilities = node("capabilities", node("guest", node("arch", node("domain", type="kvm"), name="x86_64")))
    cpuinfo, kvm = tmp_path / "cpuinfo", tmp_path / "kvm"
    cpuinfo.write_text(FLAGS.format("vmx"))
    kvm.touch(mode=0o600)
    os.chown(kvm, 0, 0) if os.geteuid() == 0 else None
    why = hosts.why_not_kvm(capabilities, local=True, user="nobody", device=kvm, cpuinfo=cpuinfo)
    assert "closed to nobody" in why
    kvm.chmod(0o666)
    assert hosts.why_not_kvm(capabilities, local=True, user="nobody", device=kvm, cpuinfo=cpuinfo) == ""


def test_another_hosts_cpu_is_judged_by_what_libvirt_says() -> None:
    capabilities = node(
        "capabilities",
        node("host", node("cpu", node("feature", name="svm"))),
        node("guest", node("arch", node("domain", type="kvm"), name="x86_64")),
    )
    assert hosts.why_not_kvm(capabilities, local=False, user="libvirt-qemu") == ""


def test_kvm_asked_for_and_not_there_is_said(test_uri: str) -> None:
    driver = LibvirtDriver(test_uri, INSTALLATION, accelerator="kvm", events=False)
    with pytest.raises(Unsupported, match="KVM was asked for"):
        driver.host()
    driver.close()


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("qemu:///system", True),
        ("qemu:///session", True),
        ("qemu+unix:///system?socket=/x/libvirt-sock", False),
        ("qemu+ssh://root@other/system", False),
    ],
)
def test_which_hosts_are_this_one(uri: str, local: bool) -> None:
    assert hosts.is_local(uri) is local


def test_no_libvirt_is_unreachable(tmp_path: Path) -> None:
    driver = LibvirtDriver(f"qemu+unix:///system?socket={tmp_path}/none", INSTALLATION, events=False)
    with pytest.raises(Unreachable, match="none") as raised:
        driver.listing()
    assert "doctor" in raised.value.remedy


def test_an_invalid_document_is_rejected(test_driver: LibvirtDriver) -> None:
    from tests.hypervisor.machines import machine

    with pytest.raises(Rejected):
        test_driver.define(machine(texts={"domain:./no-such-element": "x"}))
