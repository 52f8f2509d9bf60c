"""From a spec to hardware and back: the table of devices, topology, and that nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planning.samples import machine
from tests.planning.test_diff import machines
from tests.planning.worlds import PLACE
from vmctl.planning.changes import sealed
from vmctl.planning.diff import diff
from vmctl.planning.machine_hardware import Device, Parts, Seed, alias, domain_name, hardware, named, projected
from vmctl.resources import topology
from vmctl.resources.keys import Key
from vmctl.resources.units import percent
from vmctl.resources.virtualmachine import VirtualMachine

if TYPE_CHECKING:
    from vmctl.planning.hardware import Hardware
    from vmctl.resources.machine_fields import VirtualMachineSpec

ROOT, DATA = Key("VirtualDisk", "default", "root"), Key("VirtualDisk", "default", "data")
SETUP = Key("ClusterVirtualImage", "", "setup")
PARTS = Parts(
    (Device(ROOT, "/r.qcow2", 1), Device(SETUP, "/s.qcow2", 1, cdrom=True)),
    Seed("/seed.iso"),
    {"type": "Host"},
    100,
    "52:54:00:12:34:56",
    "net",
    "/log",
)


def made(parts: Parts = PARTS, **spec: Any) -> Hardware:
    item = machine("web", spec=spec)
    return hardware(item, item.typed(VirtualMachine).spec, parts, PLACE)


Os = Literal["Generic", "Windows", "Legacy"]
TABLE = [
    # osType, paravirtualization: machine, disk, CD-ROM, network card, TPM, rng, Hyper-V, USB
    ("Generic", True, "q35", "scsi", "scsi", "virtio", False, True, False, "qemu-xhci"),
    ("Generic", False, "q35", "sata", "sata", "e1000", False, True, False, "qemu-xhci"),
    ("Windows", True, "q35", "scsi", "scsi", "virtio", True, False, True, "qemu-xhci"),
    ("Windows", False, "q35", "sata", "sata", "e1000", True, False, True, "qemu-xhci"),
    ("Legacy", True, "pc", "virtio", "ide", "virtio", False, False, False, "piix3-uhci"),
    ("Legacy", False, "pc", "ide", "ide", "rtl8139", False, False, False, "piix3-uhci"),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[1]}")
def test_devices_by_os_type_and_paravirtualization(row: tuple[Any, ...]) -> None:
    os_type, paravirtual, *expected = row
    found = made(osType=os_type, enableParavirtualization=paravirtual)
    disk, cdrom = found.disks[:2]
    assert [found.machine, disk.bus, cdrom.bus, found.nics[0].model, found.tpm, found.rng, found.hyperv, found.usb] == (
        expected
    )
    assert (disk.device, disk.readonly, cdrom.device, cdrom.readonly) == ("disk", False, "cdrom", True)


@pytest.mark.parametrize("os_type", ["Generic", "Windows", "Legacy"])
def test_there_is_room_for_what_comes_later(os_type: Os) -> None:
    found = made(osType=os_type)
    assert found.scsi
    assert (found.spare_ports > 0) == (os_type != "Legacy")  # an old PC has no PCIe


@pytest.mark.parametrize(
    ("sysprep", "paravirtual", "seen"),
    [
        (True, True, ("cdrom", "scsi")),
        (True, False, ("cdrom", "sata")),
        (False, True, ("disk", "scsi")),
        (False, False, ("cdrom", "sata")),  # QEMU has no read-only SATA disk
    ],
)
def test_the_seed(sysprep: bool, paravirtual: bool, seen: tuple[str, str]) -> None:
    seed = made(replace(PARTS, seed=Seed("/seed.iso", sysprep)), enableParavirtualization=paravirtual).disks[-1]
    assert (seed.device, seed.bus) == seen
    assert (seed.readonly, seed.boot, seed.format) == (True, None, "raw")


def test_devices_boot_in_their_order_unless_one_says_its_turn() -> None:
    assert [disk.boot for disk in made().disks] == [1, 2, None]
    turned = replace(PARTS, devices=(PARTS.devices[0], replace(PARTS.devices[1], boot_order=3)))
    assert [disk.boot for disk in made(turned).disks] == [None, 3, None]


def test_images_that_are_no_cd_are_read_only_disks() -> None:
    image = replace(PARTS, devices=(Device(Key("VirtualImage", "default", "tools"), "/t.qcow2", 1),))
    disk = made(image).disks[0]
    assert (disk.device, disk.readonly, disk.alias) == ("disk", True, "ua-spec-vi-tools")


@pytest.mark.parametrize("cores", [cores for cores in range(1, topology.MOST_CORES + 1) if topology.legal(cores)])
def test_sockets_are_those_that_legal_numbers_fill(cores: int) -> None:
    found = made(cpu={"cores": cores}).cpu
    assert (found.sockets, found.cores_per_socket) == topology.topology(cores)
    assert found.cores == cores


@given(
    st.sampled_from(["VirtualDisk", "VirtualImage", "ClusterVirtualImage"]),
    st.from_regex(r"[a-z][a-z0-9-]{0,60}", fullmatch=True),
)
def test_a_device_is_known_by_its_alias(kind: str, name: str) -> None:
    assert named(alias(Key(kind, "default", name))) == Key(kind, "", name)


@pytest.mark.parametrize("foreign", ["ua-vmbda-data", "ua-seed", "ua-main", "scsi0-0-0-1", "", "ua-spec-xx-data"])
def test_what_is_not_of_a_spec_has_no_name(foreign: str) -> None:
    assert named(foreign) is None


def test_domains_are_named_after_their_namespace() -> None:
    assert domain_name(Key("VirtualMachine", "default", "web")) == "web"
    assert domain_name(Key("VirtualMachine", "lab", "web")) == "lab.web"


@given(machines)
def test_hardware_is_read_back_as_the_spec_it_was_made_from(spec: VirtualMachineSpec) -> None:
    """A machine that runs as asked differs in nothing, whatever was asked."""
    assert not list(diff(projected(hardware_of(spec), wanted(spec)), wanted(spec)))


@given(machines, machines)
def test_what_differs_in_a_spec_differs_in_its_hardware(old: VirtualMachineSpec, new: VirtualMachineSpec) -> None:
    """What a change of the manifest is, is found again in what runs, but for what never leaves the store."""
    seen = projected(hardware_of(old), wanted(new))
    stays = {slot.alias for slot in new.slots if slot.policy is not None and slot.policy.seen_at.startswith("store:")}
    told = {change.path for change in diff(wanted(old), wanted(new)) if change.path[0] not in stays}
    assert {change.path for change in diff(seen, wanted(new))} == told


def wanted(spec: VirtualMachineSpec) -> VirtualMachineSpec:
    return sealed(spec, PLACE.hash_key)


def hardware_of(spec: VirtualMachineSpec) -> Hardware:
    """What runs when everything that the spec names is ready."""
    devices = tuple(
        Device(Key(ref.kind, "default", ref.name), f"/{ref.name}", 1, boot_order=ref.boot_order)
        for ref in spec.block_device_refs
    )
    parts = replace(PARTS, devices=devices, fraction=percent(spec.cpu.core_fraction or "100%"))
    return hardware(machine("web"), spec, parts, PLACE)


def test_a_secret_leaves_the_store_only_as_a_keyed_hash() -> None:
    found = made(provisioning={"type": "UserData", "userData": "password: hunter2"})
    assert "hunter2" not in repr(found)
    assert "hmac:" in found.texts["metadata:spec"]
    other = replace(PLACE, hash_key=b"of another installation")
    item = machine("web", spec={"provisioning": {"type": "UserData", "userData": "password: hunter2"}})
    assert hardware(item, item.typed(VirtualMachine).spec, PARTS, other).texts != found.texts


def test_a_device_that_is_there_without_having_been_recorded_is_seen() -> None:
    spec = machine("web").typed(VirtualMachine).spec
    both = replace(PARTS, devices=(Device(ROOT, "/r", 1), Device(DATA, "/d", 1)), seed=None)
    seen = projected(hardware(machine("web"), spec, both, PLACE), spec)
    assert [ref.name for ref in seen.block_device_refs] == ["root", "data"]


def test_what_came_while_it_ran_stands_where_the_spec_has_it() -> None:
    """libvirt lists disks by their names, which say nothing of an order that only counts at a start."""
    running = made()
    late = [replace(running.disks[0], alias=f"ua-spec-vd-{name}", source=f"/{name}.qcow2") for name in ("a", "b")]
    refs = [
        *({"kind": key.kind, "name": key.name} for key in (ROOT, SETUP)),
        *({"kind": "VirtualDisk", "name": name} for name in "ba"),
    ]
    item = machine("web", spec={"blockDeviceRefs": refs})
    desired = sealed(item.typed(VirtualMachine).spec, PLACE.hash_key)
    seen = projected(replace(running, disks=(*running.disks, *late)), desired)
    assert [ref.name for ref in seen.block_device_refs] == ["root", "setup", "b", "a"]


@given(st.data())
def test_wherever_devices_come_and_go_nothing_waits_for_a_start(data: st.DataObject) -> None:
    """Unless those that stay change places: so what `diff` calls live leaves nothing behind."""
    started = data.draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    names = [name for name in started if data.draw(st.booleans())]
    for name in data.draw(st.lists(st.sampled_from("uvwxyz"), min_size=0 if names else 1, unique=True)):
        names.insert(data.draw(st.integers(0, len(names))), name)
    before, after = (
        machine("web", spec={"blockDeviceRefs": [{"kind": "VirtualDisk", "name": name} for name in some]})
        .typed(VirtualMachine)
        .spec
        for some in (started, names)
    )
    has = replace(hardware_of(before), disks=hardware_of(after).disks)
    shuffled = replace(has, disks=tuple(data.draw(st.permutations(has.disks))))
    assert projected(shuffled, wanted(after)).block_device_refs == after.block_device_refs
