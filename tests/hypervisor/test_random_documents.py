"""Random edits with real documents, ours and those of others: one machine after another over the same domain, on
libvirt's own test driver.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import libvirt
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.hypervisor.machines import machines
from vmctl.hypervisor.devices import is_ours
from vmctl.hypervisor.trees import attribute_at, node, parse, serialise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from xml.etree import ElementTree as ET

    from vmctl.hypervisor.libvirt_driver import LibvirtDriver
    from vmctl.planning.hardware import Hardware

NOTE = "{https://example.org/notes}note"
THEIR_MAC = "52:54:00:ff:00:01"
NAMES = {"scsi": "sd", "sata": "sd", "virtio": "vd"}


def document(driver: LibvirtDriver, uid: str) -> ET.Element:
    """The definition as libvirt keeps it."""
    domain = driver._connection.get().lookupByUUIDString(uid)
    return parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def edited(driver: LibvirtDriver, uid: str, edit: Callable[[ET.Element], None]) -> None:
    """`virsh edit`, by somebody else."""
    root = document(driver, uid)
    edit(root)
    driver._connection.get().defineXMLFlags(serialise(root), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)


def places(root: ET.Element) -> dict[str, tuple[str, str]]:
    """Of each disk of ours: its bus and its name there, by alias."""
    return {
        attribute_at(disk, "./alias", "name"): (
            attribute_at(disk, "./target", "bus"),
            attribute_at(disk, "./target", "dev"),
        )
        for disk in root.iterfind("./devices/disk")
        if is_ours(disk)
    }


def theirs(root: ET.Element) -> set[str]:
    """What others added, as far as it is no field of ours."""
    found = {
        f"disk {attribute_at(disk, './source', 'file')}"
        for disk in root.iterfind("./devices/disk")
        if not is_ours(disk)
    }
    found |= {f"sound {sound.get('model')}" for sound in root.iterfind("./devices/sound")}
    found |= {attribute_at(nic, "./mac", "address") for nic in root.iterfind("./devices/interface") if not is_ours(nic)}
    found |= {f"note {note.text}" for note in root.iterfind(f"./metadata/{NOTE}")}
    found |= {f"description {said.text}" for said in root.iterfind("./description")}
    return found


def parts(root: ET.Element) -> list[str]:
    """All of a document but the order of its parts: libvirt moves controllers of its own when it reads them again."""
    return sorted(serialise(part) for group in root for part in (group if group.tag == "devices" else (group,)))


# ---- what others do --------------------------------------------------------------------------------------


def _devices(root: ET.Element) -> ET.Element:
    found = root.find("./devices")
    assert found is not None
    return found


def _ours(root: ET.Element) -> Iterator[ET.Element]:
    return (disk for disk in root.iterfind("./devices/disk") if is_ours(disk))


def adds_a_sound_card(root: ET.Element) -> None:
    if root.find("./devices/sound") is None:
        _devices(root).append(node("sound", model="ac97"))


def adds_a_disk(bus: str) -> Callable[[ET.Element], None]:
    """Under the first name that is free on its bus, which the next of ours would have had."""

    def edit(root: ET.Element) -> None:
        taken = {attribute_at(disk, "./target", "dev") for disk in root.iterfind("./devices/disk")}
        name = next(name for letter in "abcdefghijklmnopqrstuvwxyz" if (name := NAMES[bus] + letter) not in taken)
        source = f"/srv/theirs/{bus}-{len(taken)}.raw"
        disk = node(
            "disk", node("driver", name="qemu", type="raw"), node("source", file=source), type="file", device="disk"
        )
        disk.append(node("target", dev=name, bus=bus))
        _devices(root).append(disk)

    return edit


def adds_a_network_card(root: ET.Element) -> None:
    if not any(attribute_at(nic, "./mac", "address") == THEIR_MAC for nic in root.iterfind("./devices/interface")):
        mac = node("mac", address=THEIR_MAC)
        _devices(root).append(node("interface", mac, node("model", type="e1000"), type="user"))


def writes_a_note(root: ET.Element) -> None:
    metadata = root.find("./metadata")
    assert metadata is not None
    if metadata.find(f"./{NOTE}") is None:
        metadata.append(node(NOTE, text="theirs"))


def describes_it(root: ET.Element) -> None:
    if root.find("./description") is None:
        root.append(node("description", text="theirs"))


def changes_our_memory(root: ET.Element) -> None:
    for path in ("./memory", "./currentMemory"):
        memory = root.find(path)
        assert memory is not None
        memory.text = str(123 << 10)
        memory.set("unit", "KiB")


def removes_our_disks(root: ET.Element) -> None:
    for disk in list(_ours(root)):
        _devices(root).remove(disk)


def removes_our_random_numbers(root: ET.Element) -> None:
    for rng in root.findall("./devices/rng"):
        _devices(root).remove(rng)


OTHERS: dict[str, Callable[[ET.Element], None]] = {
    "a sound card": adds_a_sound_card,
    "a SCSI disk": adds_a_disk("scsi"),
    "a SATA disk": adds_a_disk("sata"),
    "a virtio disk": adds_a_disk("virtio"),
    "a network card": adds_a_network_card,
    "a note": writes_a_note,
    "a description": describes_it,
    "our memory": changes_our_memory,
    "our disks": removes_our_disks,
    "our random numbers": removes_our_random_numbers,
}
turns = st.lists(st.tuples(st.lists(st.sampled_from(sorted(OTHERS)), max_size=3, unique=True), machines()), max_size=4)


@given(first=machines(), edits=turns)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_machine_may_follow_any_other(
    test_driver: LibvirtDriver, first: Hardware, edits: list[tuple[list[str], Hardware]]
) -> None:
    """Whatever others did to the definition: ours is as it was meant, theirs stays, and a disk that stays keeps its
    name.
    """
    test_driver.define(first)
    for by_others, edit in edits:
        for what in by_others:
            event(what)
            edited(test_driver, first.uid, OTHERS[what])
        before = document(test_driver, first.uid)
        wanted = replace(edit, uid=first.uid, domain=first.domain)
        test_driver.define(wanted)
        seen = test_driver.observe(first.uid)
        assert seen is not None
        assert seen.defined == wanted
        after = document(test_driver, first.uid)
        assert theirs(after) == theirs(before)
        there, now = places(before), places(after)
        assert {*now} == {disk.alias for disk in wanted.disks}
        stay = {alias: at for alias, at in now.items() if there.get(alias, ("",))[0] == at[0]}
        assert stay == {alias: there[alias] for alias in stay}
        names = [attribute_at(disk, "./target", "dev") for disk in after.iterfind("./devices/disk")]
        assert len({*names}) == len(names)
        test_driver.define(wanted)  # makes up for the port of a bridge that libvirt has put in for an old card
        settled = document(test_driver, first.uid)
        assert (places(settled), theirs(settled)) == (now, theirs(before)), "the same again moves nothing"
        test_driver.define(wanted)
        assert parts(document(test_driver, first.uid)) == parts(settled)
    test_driver.undefine(first.uid)


bootable = machines().map(lambda made: replace(made, firmware="BIOS"))  # the test driver makes no UEFI variables


@given(first=bootable, edits=st.lists(bootable, min_size=1, max_size=3))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_runs_stays_what_it_was_until_its_next_start(
    test_driver: LibvirtDriver, first: Hardware, edits: list[Hardware]
) -> None:
    """Whatever is defined over it meanwhile; then it is what was defined last."""
    test_driver.define(first)
    test_driver.start(first.uid)
    wanted = first
    for edit in edits:
        wanted = replace(edit, uid=first.uid, domain=first.domain)
        test_driver.define(wanted)
        seen = test_driver.observe(first.uid)
        assert seen is not None
        assert seen.defined == wanted
        assert seen.running == first
        assert seen.running.nonce == first.nonce
    test_driver.destroy(first.uid)
    test_driver.start(first.uid)
    seen = test_driver.observe(first.uid)
    assert seen is not None
    assert seen.running == wanted
    test_driver.destroy(first.uid)
    test_driver.undefine(first.uid)
