"""The ground of the other end-to-end tests: guests boot, libvirtd restarts, power cuts cut, nothing stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt
import libvirt_qemu
import pytest

from tests.e2e.private_host import PrivateHost
from tests.waiting import until

if TYPE_CHECKING:
    from tests.e2e.guests import TinyGuest

DOMAIN = """
<domain type='qemu'>
  <name>ground</name><memory unit='MiB'>{memory}</memory><vcpu>2</vcpu>
  <os{firmware}><type arch='x86_64' machine='{machine}'>hvm</type>{firmware_features}</os><features><acpi/></features>
  <devices>
    {disks}
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <serial type='pty'/>
    <interface type='user'><model type='{nic}'/></interface>
  </devices>
</domain>"""


def document(*, machine: str, nic: str, disks: str, firmware: str = "", memory: int = 256) -> str:
    # left to itself, libvirt chooses firmware that refuses what is not signed
    features = "<firmware><feature enabled='no' name='secure-boot'/></firmware>" if firmware else ""
    return DOMAIN.format(
        machine=machine, nic=nic, disks=disks, firmware=firmware, firmware_features=features, memory=memory
    )


def agent_answers(domain: libvirt.virDomain) -> bool:
    try:
        libvirt_qemu.qemuAgentCommand(domain, '{"execute":"guest-ping"}', 1, 0)
    except libvirt.libvirtError:
        return False
    return True


def disk(path: Path, bus: str, *, device: str = "disk", kind: str = "qcow2") -> str:
    target = {"scsi": "sda", "sata": "sda", "ide": "hda"}[bus]
    return (
        f"<disk type='file' device='{device}'><driver name='qemu' type='{kind}'/><source file='{path}'/>"
        f"<target dev='{target}' bus='{bus}'/></disk><controller type='scsi' model='virtio-scsi'/>"
    )


def overlay(image: Path, directory: Path) -> Path:
    """A writable copy where QEMU's user can reach it: the cache may lie in a closed home."""
    target = directory / "disk.qcow2"
    subprocess.run(["cp", str(image), str(target)], check=True)
    return target


@pytest.fixture
def host_of_its_own(host_directory: Path) -> PrivateHost:
    return PrivateHost(host_directory / "own", name="own")


def test_a_guest_boots_and_survives_libvirtd_but_no_power_cut(
    host_of_its_own: PrivateHost, tiny_guest: TinyGuest, state_directory: Path
) -> None:
    with host_of_its_own as host:
        connection = libvirt.open(host.uri)
        assert connection.getHostname() == "own"
        path = overlay(tiny_guest.disk, state_directory)
        domain = connection.defineXML(document(machine="q35", nic="virtio", disks=disk(path, "scsi")))
        domain.create()
        until(lambda: agent_answers(domain))
        user = Path(f"/proc/{host.qemu_pid('ground')}/status").read_text()
        assert "\nUid:\t0\t" not in user, "QEMU must not run as root"
        connection.close()

        host.restart_libvirtd()
        connection = libvirt.open(host.uri)
        assert agent_answers(connection.lookupByName("ground"))
        connection.close()

        qemu = Path(f"/proc/{host.qemu_pid('ground')}")
        host.kill()
        assert not qemu.exists()
        host.up()
        connection = libvirt.open(host.uri)
        assert not connection.lookupByName("ground").isActive()
        connection.close()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{host._group}"))


def test_a_host_left_by_a_crash_is_replaced(host_of_its_own: PrivateHost) -> None:
    base = host_of_its_own.base
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.private_host", str(base)], stdout=subprocess.PIPE
    ) as crashed:
        assert crashed.stdout
        assert crashed.stdout.readline()
        left = Path(f"/proc/{host_of_its_own.init_pid()}")
        crashed.kill()
    with PrivateHost(base, name="second") as second:
        assert not left.exists()
        assert second.run("hostname").stdout == "second\n"


@pytest.mark.full
@pytest.mark.parametrize(("machine", "bus", "nic"), [("q35", "sata", "e1000"), ("pc", "ide", "rtl8139")])
def test_the_generic_guest_boots_without_paravirtualization(
    libvirt_host: PrivateHost, generic_guest: TinyGuest, state_directory: Path, machine: str, bus: str, nic: str
) -> None:
    connection = libvirt.open(libvirt_host.uri)
    path = overlay(generic_guest.disk, state_directory)
    domain = connection.createXML(document(machine=machine, nic=nic, disks=disk(path, bus)))
    until(lambda: agent_answers(domain))
    addresses = eventual_addresses(domain)
    domain.destroy()
    connection.close()
    assert addresses == {"10.0.2.15"}


@pytest.mark.full
def test_the_iso_boots(libvirt_host: PrivateHost, tiny_guest: TinyGuest, state_directory: Path) -> None:
    connection = libvirt.open(libvirt_host.uri)
    path = tiny_guest.write_iso(state_directory / "guest.iso")
    cdrom = disk(path, "scsi", device="cdrom", kind="raw")
    domain = connection.createXML(document(machine="q35", nic="virtio", disks=cdrom))
    until(lambda: agent_answers(domain))
    domain.destroy()
    connection.close()


@pytest.mark.full
def test_the_debian_guest_boots(libvirt_host: PrivateHost, debian_guest: Path, state_directory: Path) -> None:
    connection = libvirt.open(libvirt_host.uri)
    disks = disk(overlay(debian_guest, state_directory), "scsi")
    domain = connection.createXML(
        document(machine="q35", nic="virtio", disks=disks, firmware=" firmware='efi'", memory=1024)
    )
    until(lambda: agent_answers(domain))
    system = domain.guestInfo(libvirt.VIR_DOMAIN_GUEST_INFO_OS)
    domain.destroy()
    connection.close()
    assert (system["os.id"], system["os.version-id"]) == ("debian", "12")


def eventual_addresses(domain: libvirt.virDomain) -> set[str]:
    """The guest's IPv4 addresses, once it has any beside loopback."""
    found: set[str] = set()

    def has_address() -> bool:
        devices = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        found.update(
            address["addr"]
            for name, device in devices.items()
            if name != "lo"
            for address in device["addrs"] or []
            if address["type"] == 0
        )
        return bool(found)

    until(has_address)
    return found
