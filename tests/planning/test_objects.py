"""Objects of a moment: what is found by kind and by mention is the same, however the moment came about."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vmctl.planning import addresses
from vmctl.planning.graph import interested
from vmctl.planning.objects import Object, Objects
from vmctl.resources.keys import Key

NAMES = ("a", "b", "c")
PHASES = ("", "Pending", "Starting", "Running")


def disk(name: str) -> Object:
    return Object(Key("VirtualDisk", "default", name), f"disk-{name}", 1, {"spec": {}}, {})


@st.composite
def machines(draw: st.DrawFn) -> Object:
    """A machine that names some disks, has others, and may have an address."""
    name = draw(st.sampled_from(NAMES))
    named, attached = draw(st.sets(st.sampled_from(NAMES))), draw(st.sets(st.sampled_from(NAMES)))
    refs = [{"kind": "VirtualDisk", "name": each} for each in sorted(named)]
    status: dict[str, Any] = {
        "phase": draw(st.sampled_from(PHASES)),
        "blockDeviceRefs": [{"kind": "VirtualDisk", "name": each, "attached": True} for each in sorted(attached)],
    }
    if draw(st.booleans()):
        status["virtualMachineIPAddressName"] = draw(st.sampled_from(NAMES))
    spec = {"virtualMachineClassName": "host", "blockDeviceRefs": refs}
    return Object(Key("VirtualMachine", "default", name), f"machine-{name}", 1, {"spec": spec}, status)


CHANGES = st.lists(
    st.one_of(machines(), st.sampled_from(NAMES).map(disk), st.sampled_from(NAMES).map(lambda name: disk(name).key)),
    max_size=12,
)


@given(CHANGES)
def test_indexes_that_were_brought_along_are_those_that_would_be_made(changes: list[Object | Key]) -> None:
    carried = Objects()
    for change in changes:
        _look(carried)  # makes the indexes, so that the successor has to bring them along
        gone = [change] if isinstance(change, Key) else []
        carried = carried.with_changes([change] if isinstance(change, Object) else [], gone)
    assert _look(carried) == _look(Objects(dict(carried.by_key)))


def _look(objects: Objects) -> tuple[Any, ...]:
    kinds = ("VirtualMachine", "VirtualDisk", "VirtualMachineIPAddress")
    keys = [Key(kind, "default", name) for kind in kinds for name in NAMES]
    return (
        [[item.key for item in objects.of_kind(kind)] for kind in kinds],
        [sorted(objects.mentioning(key)) for key in keys],
        [sorted(interested(key, objects)) for key in keys],
    )


def test_a_machine_is_told_of_a_disk_that_it_has_and_no_longer_names() -> None:
    has = {"phase": "Running", "blockDeviceRefs": [{"kind": "VirtualDisk", "name": "a", "attached": True}]}
    spec = {"virtualMachineClassName": "host", "blockDeviceRefs": []}
    machine = Object(Key("VirtualMachine", "default", "m"), "m", 1, {"spec": spec}, has)
    objects = Objects({item.key: item for item in (machine, disk("a"), disk("b"))})
    assert machine.key in interested(disk("a").key, objects)
    assert machine.key not in interested(disk("b").key, objects)


def test_an_address_is_told_of_the_machine_that_it_was_made_for() -> None:
    """However long the name is, of which the address has only the beginning, and before any pass over the address."""
    machine = Object(Key("VirtualMachine", "default", "m" * 63), "m-1", 1, {"spec": {}}, {})
    made = Object(addresses.own_address(machine), "a-1", 1, addresses.address_document(machine), {})
    assert made.key in interested(machine.key, Objects({item.key: item for item in (machine, made)}))
