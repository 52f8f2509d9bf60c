"""An upgrade of libvirt or QEMU is no change: the same machine is read out of what any of their versions makes of it.

The documents lie in corpus/ as SHAPE.STATE.VERSION.xml; the first line of each says where it comes from.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hypervisor.shapes import SHAPES
from vmctl.hypervisor import documents, merging
from vmctl.hypervisor.processors import Platform
from vmctl.hypervisor.trees import attribute_at, parse, serialise

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.xml"))
DEFINED = [file for file in CORPUS if ".defined." in file.name]


def by_name(file: Path) -> str:
    return file.stem


@pytest.mark.parametrize("file", CORPUS, ids=by_name)
def test_a_document_of_any_version_is_the_machine_that_was_asked_for(file: Path) -> None:
    shape, state, _version = file.stem.split(".", 2)
    read = documents.parse(parse(file.read_text()), live=state == "live")
    assert read == SHAPES[shape]
    assert read is not None
    assert read.nonce == SHAPES[shape].nonce


@pytest.mark.parametrize("file", DEFINED, ids=by_name)
def test_a_definition_of_any_version_is_written_over_without_a_change(file: Path) -> None:
    present = parse(file.read_text())
    shape = SHAPES[file.stem.split(".")[0]]
    platform = Platform("kvm" if present.get("type") == "kvm" else "qemu")
    merged = parse(serialise(merging.merge(documents.render(shape, platform), present, shape.spare_ports)))
    assert documents.parse(merged) == shape
    assert attribute_at(merged, "./os/type", "machine") == attribute_at(present, "./os/type", "machine")
    assert devices(merged) == devices(present)


def devices(root: ET.Element) -> Counter[tuple[str, ...]]:
    """Every device with what tells it apart and where the guest finds it."""
    return Counter(
        (
            device.tag,
            *(attribute_at(device, path, name) for path, name in (("./alias", "name"), ("./target", "dev"))),
            *sorted(f"{key}={value}" for address in device.iterfind("./address") for key, value in address.items()),
        )
        for device in root.iterfind("./devices/*")
        if device.tag not in ("emulator", "console")  # libvirt's own, and the serial port a second time
    )


def test_every_shape_is_there_as_several_versions_show_it() -> None:
    seen = Counter(tuple(file.stem.split(".")[:2]) for file in CORPUS)
    for shape in SHAPES:
        assert seen[shape, "live"] >= 2, shape
        assert seen[shape, "defined"] >= 2, shape
