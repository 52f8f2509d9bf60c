"""The driver on real libvirt and QEMU: all kinds of machines start, a guest is reached, failures are sentences."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import libvirt_qemu
import pytest
from hypothesis import HealthCheck, given, settings

from tests.hypervisor.machines import MAC, disk, machine, machines
from tests.hypervisor.real_guests import blank, guest_disk
from tests.waiting import until
from vmctl.errors import Busy, Exists, NotFound, Rejected, Unsupported
from vmctl.hypervisor import leases
from vmctl.hypervisor.libvirt_driver import LibvirtDriver
from vmctl.hypervisor.trees import node, parse, serialise
from vmctl.planning.hardware import Cpu, Hardware, Nic
from vmctl.planning.observed import NatNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.private_host import PrivateHost
    from vmctl.planning.observed import Domain

pytestmark = pytest.mark.e2e

IDLE_S = 3.0
LEGACY = {"machine": "pc", "usb": "piix3-uhci", "rng": False, "scsi": False, "spare_ports": 0}
WINDOWS = {"tpm": True, "hyperv": True, "rng": False}
MANY = tuple(f"ua-spec-vd-{index}" for index in range(17))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="generic"),
        pytest.param({"firmware": "EFI"}, id="efi"),
        pytest.param({"firmware": "EFIWithSecureBoot"}, id="secure-boot"),
        pytest.param({"firmware": "EFI", **WINDOWS}, id="windows"),
        pytest.param({**LEGACY, "nics": (Nic("ua-nic-main", MAC, model="rtl8139"),)}, id="legacy"),
        pytest.param({"nics": (Nic("ua-nic-main", MAC, model="e1000"),)}, id="not-paravirtual"),
        pytest.param({"cpu": Cpu(1, 2, 30, "HostPassthrough")}, id="host-passthrough"),
        pytest.param({"cpu": Cpu(2, 1, 1, "Model", "Nehalem")}, id="model"),
        pytest.param({"cpu": Cpu(1, 1, 100, "Model", "Skylake-Server")}, id="model-that-tcg-gives-in-part"),
        pytest.param({"cpu": Cpu(1, 1, 100, "Features", features=("aes", "avx"))}, id="features"),
        pytest.param({"memory_kib": (256 << 10) + 1}, id="odd-memory"),
    ],
)
def test_every_kind_of_machine_starts_and_is_read_as_written(
    driver: LibvirtDriver, images: Path, fields: dict[str, object]
) -> None:
    bus = "ide" if fields.get("machine") == "pc" else "scsi"
    wanted = machine(
        **{
            "disks": (disk(blank(images), bus=bus),),
            "nics": (Nic("ua-nic-main", MAC),),
            "console_log": str(images / "console.log"),
            **fields,
        }
    )
    driver.define(wanted)
    driver.start(wanted.uid)
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert seen.running == wanted
    assert seen.defined == wanted
    driver.define(wanted)  # over the running one, with everything that libvirt has added
    again = driver.observe(wanted.uid)
    assert again is not None
    assert (again.running, again.defined) == (wanted, wanted)


@given(hardware=machines(), other=machines())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_machine_becomes_any_other_and_is_read_as_written(
    driver: LibvirtDriver, hardware: Hardware, other: Hardware
) -> None:
    for wanted in (hardware, replace(other, uid=hardware.uid, domain=hardware.domain), hardware):
        driver.define(wanted)
        seen = driver.observe(wanted.uid)
        assert seen is not None
        assert seen.defined == wanted
    driver.undefine(hardware.uid)


@pytest.mark.parametrize(("bus", "fields"), [("scsi", {}), ("sata", {}), ("virtio", {}), ("virtio", LEGACY)])
def test_as_many_disks_as_a_machine_may_have(
    driver: LibvirtDriver, images: Path, bus: str, fields: dict[str, object]
) -> None:
    disks = tuple(disk(blank(images, alias), alias, bus=bus, boot=None, serial=alias) for alias in MANY)
    wanted = machine(disks=disks, **fields)
    driver.define(wanted)
    driver.start(wanted.uid)
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert seen.running == wanted
    assert seen.block_sizes == dict.fromkeys(MANY, 1 << 20)


def test_the_longest_name_of_a_disk(driver: LibvirtDriver, images: Path) -> None:
    wanted = machine(disks=(disk(blank(images), "ua-vmbda-" + "x" * 253),))
    driver.define(wanted)
    driver.start(wanted.uid)
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert seen.running == wanted


def test_a_foreign_domain_is_left_alone(driver: LibvirtDriver) -> None:
    wanted = machine()
    driver.define(wanted)
    connection = driver._connection.get()
    root = parse(connection.lookupByUUIDString(wanted.uid).XMLDesc())
    driver.undefine(wanted.uid)
    place = root.find("./metadata")
    assert place is not None
    root.remove(place)
    theirs = connection.defineXML(serialise(root))
    try:
        assert driver.observe(wanted.uid) is None
        assert wanted.uid not in driver.listing()
        for verb in (driver.start, driver.destroy, driver.undefine):
            with pytest.raises(Exists, match="not made by vmctl"):
                verb(wanted.uid)
    finally:
        theirs.undefineFlags(0)


def test_addresses_survive_a_change_of_the_machine(driver: LibvirtDriver, images: Path) -> None:
    wanted = machine(disks=(disk(blank(images), bus="virtio"),), nics=(Nic("ua-nic-main", MAC),))
    driver.define(wanted)
    domain = driver._connection.get().lookupByUUIDString(wanted.uid)
    before = parse(domain.XMLDesc())
    added = Nic("ua-nic-second", "52:54:00:00:00:02")
    driver.define(replace(wanted, nics=(added, *wanted.nics), memory_kib=512 << 10))
    after = parse(domain.XMLDesc())
    for alias in ("ua-spec-vd-root", "ua-nic-main", "ua-rng", "ua-balloon", "ua-scsi"):
        path = f"./devices/*/alias[@name='{alias}']/../address"
        old, new = before.find(path), after.find(path)
        assert old is not None
        assert new is not None
        assert old.attrib == new.attrib, alias


class TestFailures:
    """What stops a start says what to do."""

    def fails(self, driver: LibvirtDriver, wanted: Hardware) -> Exception:
        driver.define(wanted)
        with pytest.raises((Rejected, Busy, NotFound, Unsupported)) as raised:
            driver.start(wanted.uid)
        seen = driver.observe(wanted.uid)
        assert seen is not None
        assert seen.power == "off"
        return raised.value

    def test_a_missing_image(self, driver: LibvirtDriver, images: Path) -> None:
        failure = self.fails(driver, machine(disks=(disk(images / "none.qcow2"),)))
        assert isinstance(failure, Rejected)
        assert f"{images}/none.qcow2 is missing" in str(failure)

    def test_a_directory_that_is_closed_to_qemu(self, driver: LibvirtDriver, images: Path) -> None:
        closed = images / "closed"
        closed.mkdir(mode=0o700)
        failure = self.fails(driver, machine(disks=(disk(blank(closed)),)))
        assert isinstance(failure, Rejected)
        assert "may not open" in str(failure)
        assert "namei -l" in failure.remedy

    def test_a_disk_that_another_machine_has(self, driver: LibvirtDriver, images: Path) -> None:
        shared = blank(images)
        first = machine(disks=(disk(shared),))
        driver.define(first)
        driver.start(first.uid)
        failure = self.fails(driver, machine(disks=(disk(shared),)))
        assert isinstance(failure, Busy)
        assert "one of its disks open" in str(failure)

    def test_a_file_that_is_no_image(self, driver: LibvirtDriver, images: Path) -> None:
        text = images / "text.qcow2"
        text.write_text("this is no image\n" * 100)
        failure = self.fails(driver, machine(disks=(disk(text),)))
        assert isinstance(failure, Rejected)
        assert "no qcow2 image" in str(failure)

    def test_a_read_only_disk_of_an_old_kind(self, driver: LibvirtDriver, images: Path) -> None:
        with pytest.raises(Unsupported, match="cannot be a SATA or IDE disk") as raised:
            driver.define(machine(disks=(disk(blank(images), bus="sata", readonly=True),)))
        assert "enableParavirtualization" in raised.value.remedy

    def test_a_network_that_is_not_there(self, driver: LibvirtDriver) -> None:
        failure = self.fails(driver, machine(nics=(Nic("ua-nic-main", MAC, network="none"),)))
        assert isinstance(failure, NotFound)

    def test_cpu_features_that_the_host_lacks(self, driver: LibvirtDriver) -> None:
        failure = self.fails(driver, machine(cpu=Cpu(1, 1, kind="Features", features=("avx512f",))))
        assert isinstance(failure, Unsupported)
        assert "avx512f" in str(failure)


def test_libvirt_may_be_restarted(driver: LibvirtDriver, qemu_host: PrivateHost) -> None:
    wanted, heard = machine(), list[str]()
    driver.watch(heard.append)
    driver.define(wanted)
    driver.start(wanted.uid)
    qemu_host.restart_libvirtd()
    seen = until(lambda: driver.observe(wanted.uid), "the machine after the restart")
    assert seen.running == wanted
    assert heard.count("") >= 2  # on the first connection, and since the second one knows nothing of the gap
    heard.clear()
    driver.destroy(wanted.uid)
    until(lambda: wanted.uid in heard, "an event on the new connection")


def test_who_watches_is_told_that_somebody_ended_qemu(driver: LibvirtDriver, qemu_host: PrivateHost) -> None:
    wanted, heard = machine(), list[str]()
    deaf = LibvirtDriver(qemu_host.uri, driver.installation, events=False)
    driver.watch(heard.append)
    driver.define(wanted)

    def off() -> Domain | None:
        found = driver.observe(wanted.uid)
        return found if found is not None and found.power == "off" else None

    ends: dict[str, Callable[[], object]] = {
        "terminated": lambda: os.kill(qemu_host.qemu_pid(wanted.domain), signal.SIGTERM),
        "destroyed": lambda: driver.destroy(wanted.uid),
        "crashed": lambda: os.kill(qemu_host.qemu_pid(wanted.domain), signal.SIGKILL),
    }
    for reason, end in ends.items():
        driver.start(wanted.uid)
        heard.clear()
        end()
        assert until(off, "its end").power_reason == reason
        until(lambda: wanted.uid in heard, "an event")
        if reason == "terminated":
            unheard = deaf.observe(wanted.uid)
            assert unheard is not None
            assert unheard.power_reason == "shutdown", "libvirt's state knows no better"
    deaf.close()


def test_the_host_is_described(driver: LibvirtDriver) -> None:
    host = driver.host()
    assert host.accelerator == "tcg"
    assert host.accelerator_reason
    assert host.qemu_user == "libvirt-qemu"
    assert "qemu64" in host.models
    assert "sse2" in host.features
    assert host.efi
    assert host.secure_boot
    assert host.tpm


def test_firmware_with_secure_boot_refuses_an_unsigned_guest(driver: LibvirtDriver, images: Path) -> None:
    log = images / "console.log"
    wanted = machine(
        disks=(disk(guest_disk(images)),), firmware="EFIWithSecureBoot", console_log=str(log), nics=(), cpu=Cpu(1, 1)
    )
    driver.define(replace(wanted, firmware="EFI"))
    driver.start(wanted.uid)  # leaves UEFI variables without keys
    driver.destroy(wanted.uid)
    driver.define(wanted)
    driver.start(wanted.uid)
    until(lambda: b"Access Denied" in log.read_bytes(), "the firmware's refusal")


class TestGuest:
    """One booted guest on a managed network, reached in every way."""

    @pytest.fixture
    def network(self, images: Path) -> NatNetwork:
        for part in ("hosts", "names"):
            (images / part).mkdir()
        return NatNetwork(
            name="vmctl-guest",
            uuid="5b0c3a0e-3f2f-4f4e-9b51-3d1c0c6f8e22",
            bridge="vbr-guest",
            cidr="10.212.0.0/16",
            gateway="10.212.0.1",
            directory=str(images),
        )

    @pytest.fixture
    def wanted(self, driver: LibvirtDriver, images: Path, network: NatNetwork) -> Iterator[Hardware]:
        driver.ensure_network(network)
        (images / "hosts" / "guest").write_text(f"{MAC},10.212.0.7,guest\n")
        wanted = machine(disks=(disk(guest_disk(images)),), nics=(Nic("ua-nic-main", MAC, network=network.name),))
        driver.define(wanted)
        driver.start(wanted.uid)
        yield wanted
        driver.destroy(wanted.uid)
        driver.remove_network(network.uuid)

    def test_it_is_reached_and_let_go(
        self, driver: LibvirtDriver, wanted: Hardware, network: NatNetwork, qemu_host: PrivateHost
    ) -> None:
        def has_address() -> bool:
            guest = driver.guest(wanted.uid)
            return guest is not None and "10.212.0.7" in guest.addresses.get(MAC, ())

        until(has_address, "the reserved address")
        guest = driver.guest(wanted.uid)
        assert guest is not None
        assert guest.os["id"]
        assert guest.hostname
        seen = driver.observe(wanted.uid)
        assert seen is not None
        assert seen.agent_connected
        assert seen.block_sizes[wanted.disks[0].alias] > 0
        self.check_network_is_not_moved_under_it(driver, network)
        self.check_idle_guest_is_unchanged(driver, wanted)
        self.check_address_is_given_back(driver, network, qemu_host)
        self.check_hung_agent_holds_nobody_up(driver, wanted)
        self.check_shutdown(driver, wanted)

    def check_network_is_not_moved_under_it(self, driver: LibvirtDriver, network: NatNetwork) -> None:
        driver.ensure_network(replace(network, dns_domain="other.internal"))
        with pytest.raises(Busy, match="machines are running on it"):
            driver.ensure_network(replace(network, cidr="10.216.0.0/16", gateway="10.216.0.1"))
        driver.ensure_network(network)

    def check_idle_guest_is_unchanged(self, driver: LibvirtDriver, wanted: Hardware) -> None:
        before = driver.listing()[wanted.uid]
        deadline = time.monotonic() + IDLE_S
        while time.monotonic() < deadline:
            driver.guest(wanted.uid)
            assert driver.listing()[wanted.uid] == before
            time.sleep(0.1)

    def check_address_is_given_back(self, driver: LibvirtDriver, network: NatNetwork, host: PrivateHost) -> None:
        libvirts = driver._connection.get().networkLookupByUUIDString(network.uuid)
        assert [lease["ipaddr"] for lease in libvirts.DHCPLeases()] == ["10.212.0.7"]
        leases.reread(driver._connection.get(), network)
        with pytest.raises(Unsupported, match="cannot release"):  # the bridge is in the private host, not here
            driver.forget_lease(network, "10.212.0.7", MAC)
        packet = leases.release("10.212.0.7", MAC, network.gateway)
        send = (
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
            f"s.setsockopt({socket.SOL_SOCKET}, {socket.SO_BINDTODEVICE}, {network.bridge.encode()!r});"
            f"s.sendto({packet!r}, ({network.gateway!r}, 67))"
        )
        host.run("python3", "-c", send)
        until(lambda: not libvirts.DHCPLeases(), "the end of the lease")

    def check_hung_agent_holds_nobody_up(self, driver: LibvirtDriver, wanted: Hardware) -> None:
        domain = driver._connection.get().lookupByUUIDString(wanted.uid)
        stop = {"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", "kill -STOP $PPID"]}}
        libvirt_qemu.qemuAgentCommand(domain, json.dumps(stop), 5, 0)
        until(lambda: driver.guest(wanted.uid) is None, "an agent that hangs")
        before = time.monotonic()
        assert driver.guest(wanted.uid, timeout_s=4) is None
        assert time.monotonic() - before < 60  # libvirt's own default would be to wait for ever

    def check_shutdown(self, driver: LibvirtDriver, wanted: Hardware) -> None:
        driver.shutdown(wanted.uid)  # by the power button: the agent hangs

        def off() -> bool:
            seen = driver.observe(wanted.uid)
            return seen is not None and (seen.power, seen.power_reason) == ("off", "shutdown")

        until(off, "the guest to power off")
        driver.shutdown(wanted.uid)


FIRST = NatNetwork(
    name="somebody-elses",
    uuid="c3d6a1c0-1f0c-4d5c-8a0c-0a3c5e0c7f01",
    bridge="vbr-first",
    cidr="10.213.0.0/16",
    gateway="10.213.0.1",
    directory="first",
)
INSIDE = replace(
    FIRST,
    name="vmctl-inside",
    uuid="c3d6a1c0-1f0c-4d5c-8a0c-0a3c5e0c7f02",
    bridge="vbr-inside",
    cidr="10.213.4.0/24",
    gateway="10.213.4.1",
)


def test_an_overlap_of_networks_is_refused_by_name(driver: LibvirtDriver, qemu_directory: Path) -> None:
    first = replace(FIRST, directory=str(qemu_directory / "first"))
    driver.ensure_network(first)
    try:
        with pytest.raises(Rejected, match="somebody-elses"):
            driver.ensure_network(INSIDE)
        with pytest.raises(Exists, match="somebody-elses"):
            driver.ensure_network(replace(INSIDE, name=first.name))
        names = [network.name() for network in driver._connection.get().listAllNetworks()]
        assert INSIDE.name not in names
    finally:
        driver.remove_network(first.uuid)


def test_a_network_that_another_installation_left_behind_gives_way(driver: LibvirtDriver, qemu_directory: Path) -> None:
    """A lost state directory must not take its addresses along; a network with a machine on it stays all the same."""
    first = replace(FIRST, name="vmctl-first", directory=str(qemu_directory / "first"))
    inside = replace(INSIDE, directory=str(qemu_directory / "inside"))
    try:
        driver.ensure_network(first)
        driver.ensure_network(inside)
        names = [network.name() for network in driver._connection.get().listAllNetworks()]
        assert (first.name in names, inside.name in names) == (False, True)
        port = (
            "<networkport><uuid>c3d6a1c0-1f0c-4d5c-8a0c-0a3c5e0c7f08</uuid>"
            "<owner><name>m</name><uuid>c3d6a1c0-1f0c-4d5c-8a0c-0a3c5e0c7f09</uuid></owner>"
            "<mac address='52:54:00:00:00:09'/></networkport>"
        )
        libvirts = driver._connection.get().networkLookupByUUIDString(inside.uuid)
        taken = libvirts.portCreateXML(port, 0)
        with pytest.raises(Rejected, match="vmctl-inside"):
            driver.ensure_network(first)
        taken.delete(0)
    finally:
        driver.remove_network(first.uuid)
        driver.remove_network(inside.uuid)


def test_a_network_with_other_parameters_is_made_anew(driver: LibvirtDriver, qemu_directory: Path) -> None:
    first = NatNetwork(
        name="vmctl-moved",
        uuid="c3d6a1c0-1f0c-4d5c-8a0c-0a3c5e0c7f03",
        bridge="vbr-moved",
        cidr="10.214.0.0/16",
        gateway="10.214.0.1",
        directory=str(qemu_directory / "moved"),
    )
    moved = replace(first, cidr="10.215.0.0/16", gateway="10.215.0.1")
    try:
        driver.ensure_network(first)
        driver.ensure_network(moved)
        libvirts = driver._connection.get().networkLookupByUUIDString(first.uuid)
        assert "10.215.0.1" in libvirts.XMLDesc()
        assert libvirts.isActive()
    finally:
        driver.remove_network(first.uuid)


def test_what_others_added_to_a_running_machine_stays(driver: LibvirtDriver, images: Path) -> None:
    wanted = machine(disks=(disk(blank(images)),))
    driver.define(wanted)
    driver.start(wanted.uid)
    domain = driver._connection.get().lookupByUUIDString(wanted.uid)
    foreign = node(
        "disk",
        node("driver", name="qemu", type="qcow2"),
        node("source", file=str(blank(images, "foreign"))),
        node("target", dev="sdb", bus="scsi"),
        type="file",
        device="disk",
    )
    domain.attachDeviceFlags(serialise(foreign), 3)
    more = replace(wanted, disks=(*wanted.disks, disk(blank(images, "c"), "ua-spec-vd-c", boot=2)))
    driver.define(more)
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert seen.defined == more
    assert [one.target for one in seen.defined.disks] == ["sda", "sdc"]
    driver.destroy(wanted.uid)
    driver.start(wanted.uid)
    assert "foreign.qcow2" in domain.XMLDesc()
