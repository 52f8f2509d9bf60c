"""Laws and tables of attachments: who has a disk, which of several attachments, under which name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planning.samples import disk, having, machine, objects
from tests.planning.worlds import declared
from vmctl.planning import guards, usage
from vmctl.planning.graph import interested
from vmctl.planning.machine_hardware import plugged_alias, plugged_name
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from vmctl.planning.objects import Object

DATA = disk("data", phase="Ready")
DEVICE = "VirtualDisk data"


def attachment(name: str = "plug", to: str = "web", device: str = DEVICE, **beside: Any) -> Object:
    kind, _, device_name = device.partition(" ")
    spec = {"virtualMachineName": to, "blockDeviceRef": {"kind": kind, "name": device_name}}
    return declared({"kind": usage.ATTACHMENT, "metadata": {"name": name}, "spec": spec, **beside})


@given(st.from_regex(r"\A[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z"))
def test_the_alias_of_an_attachment_is_read_back(name: str) -> None:
    alias = plugged_alias(name)
    assert plugged_name(alias) == name
    assert set(alias) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_"), "what libvirt lets an alias be made of"


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.integers(0, 3), st.sampled_from(["web", "db", "owner"])), min_size=1
    )
)
def test_of_several_attachments_of_a_disk_one_has_it(made: dict[str, tuple[int, str]]) -> None:
    """The oldest of those that do not name a machine whose own disk it is; whoever asks gets one answer."""
    items = [attachment(name, to, created=created) for name, (created, to) in made.items()]
    world = objects(DATA, machine("web"), machine("db"), machine("owner", "data"), *items)
    good = [item for item in items if not usage.conflict(item, world)]
    fit = [item for item in items if usage.machine_of(item).name != "owner"]
    assert good == ([min(fit, key=lambda item: (item.created, item.key.name))] if fit else [])


def test_any_number_of_attachments_of_an_image_do_not_disturb_each_other() -> None:
    items = [attachment(name, device="VirtualImage cd") for name in "abc"]
    assert not any(usage.conflict(item, objects(machine("web"), *items)) for item in items)


BY = {"blockDeviceRefs": [{"kind": "VirtualDisk", "name": "data", "attached": True, usage.ATTACHED_BY: "plug"}]}


@pytest.mark.parametrize(
    ("others", "holder"),
    [
        ([machine("web"), attachment()], "web"),
        ([machine("web", phase="Stopped"), attachment()], None),
        ([machine("web", phase="Running"), attachment(), machine("db", "data")], "web"),
        ([machine("web", phase="Stopped"), attachment(), machine("db", "data")], "db"),
        ([machine("web"), attachment(), machine("db", "data", created=5)], "db"),  # whose own disk it is
        ([machine("web", phase="Running"), attachment(), machine("db", "data", created=5, phase="Starting")], "db"),
        (
            [
                machine("web", phase="Running", status=BY, created=9),
                attachment(),
                machine("db", "data", phase="Running"),
            ],
            "web",  # who really has it
        ),
        ([machine("web", phase="Running"), attachment(), machine("db", phase="Running", status=having("data"))], "db"),
        ([machine("web", phase="Running"), attachment(deleted=1)], "web"),  # until it is gone
        ([attachment()], None),
    ],
)
def test_one_machine_has_a_disk_by_whatever_means(others: list[Object], holder: str | None) -> None:
    found = usage.holder(DATA, objects(DATA, *others))
    assert (found.key.name if found else None) == holder
    assert usage.holder(DATA, objects(*reversed(others), DATA)) is found


@pytest.mark.parametrize("change", [Key("VirtualMachine", "default", "db"), Key(usage.ATTACHMENT, "default", "gone")])
def test_who_waits_for_a_disk_looks_again_when_another_may_have_let_go_of_it(change: Key) -> None:
    waits, has = attachment("waits", phase="Pending"), attachment("has", "db", phase="Attached")
    found = set(interested(change, objects(DATA, machine("web"), machine("db"), waits, has)))
    assert waits.key in found


def test_a_machine_and_its_attachments_have_sixteen_devices_in_all() -> None:
    plugs = [attachment(f"p{number:02}", device=f"VirtualDisk d{number:02}") for number in range(15)]
    before = objects(machine("web"), *plugs)
    more, wider = attachment("more"), machine("web", "root", "second")
    one_more = list(guards.crowding(before, before.with_changes([more]), {more.key}))
    assert [(key.name, path) for key, path, _ in one_more] == [("more", "spec.virtualMachineName")]
    wider_spec = list(guards.crowding(before, before.with_changes([wider]), {wider.key}))
    assert [(key.name, path) for key, path, _ in wider_spec] == [("web", "spec.blockDeviceRefs")]
    assert not list(guards.crowding(before, before.with_changes([more], gone=[plugs[0].key]), {more.key}))
