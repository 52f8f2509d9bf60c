"""Random edits with real documents: one machine after another over the same domain, on libvirt's own test driver."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import libvirt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hypervisor.machines import machines
from vmctl.hypervisor.trees import node, parse, serialise

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from vmctl.hypervisor.libvirt_driver import LibvirtDriver
    from vmctl.planning.hardware import Hardware

NOTE = "{https://example.org/notes}note"


def document(driver: LibvirtDriver, uid: str) -> ET.Element:
    """The definition as libvirt keeps it."""
    domain = driver._connection.get().lookupByUUIDString(uid)
    return parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def with_something_of_theirs(driver: LibvirtDriver, uid: str) -> None:
    """`virsh edit`, by somebody who adds what no field of ours is about."""
    root = document(driver, uid)
    metadata, devices = root.find("./metadata"), root.find("./devices")
    assert metadata is not None
    assert devices is not None
    metadata.append(node(NOTE, text="theirs"))
    devices.append(node("sound", model="ac97"))
    driver._connection.get().defineXMLFlags(serialise(root), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)


def places(root: ET.Element) -> dict[str, tuple[str, str]]:
    """Of each disk of ours: its name on its bus, by alias and bus."""
    found = {}
    for disk in root.iterfind("./devices/disk"):
        alias, target = disk.find("./alias"), disk.find("./target")
        assert alias is not None
        assert target is not None
        found[alias.get("name", "")] = (target.get("bus", ""), target.get("dev", ""))
    return found


@given(first=machines(), edits=st.lists(machines(), min_size=1, max_size=4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_machine_may_follow_any_other(test_driver: LibvirtDriver, first: Hardware, edits: list[Hardware]) -> None:
    """Each is read back as it was meant; what others added stays; a disk that stays keeps its name."""
    test_driver.define(first)
    with_something_of_theirs(test_driver, first.uid)
    seen = test_driver.observe(first.uid)
    assert seen is not None
    assert seen.defined == first, "what is not ours is not seen"
    for edit in edits:
        wanted = replace(edit, uid=first.uid, domain=first.domain)
        before = places(document(test_driver, first.uid))
        test_driver.define(wanted)
        seen = test_driver.observe(first.uid)
        assert seen is not None
        assert seen.defined == wanted
        root = document(test_driver, first.uid)
        after = places(root)
        assert {*after} == {disk.alias for disk in wanted.disks}
        kept = {alias: at for alias, at in after.items() if before.get(alias, ("",))[0] == at[0]}
        assert kept == {alias: before[alias] for alias in kept}
        assert root.findtext(f"./metadata/{NOTE}") == "theirs"
        assert [sound.get("model") for sound in root.iterfind("./devices/sound")] == ["ac97"]
        test_driver.define(wanted)
        assert places(document(test_driver, first.uid)) == after, "the same again moves nothing"
    test_driver.undefine(first.uid)
