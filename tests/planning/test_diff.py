"""What differs, what it costs and how it is shown: the specified examples as tables, the rest as laws."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.planning.weighing import waiting, weigh
from vmctl.planning.changes import Entry, entries, judge, sealed
from vmctl.planning.diff import diff, walk
from vmctl.resources.disk_fields import DiskClaim, VirtualDiskSpec
from vmctl.resources.machine_fields import (
    BlockDeviceRef,
    Cpu,
    Disruptions,
    Memory,
    Provisioning,
    SecretRef,
    VirtualMachineSpec,
)
from vmctl.resources.metadata import Labels
from vmctl.resources.placing import Affinity, NodeAffinity
from vmctl.resources.policies import (
    FEATURE_GATES,
    HOTPLUG_BLOCK_DEVICES,
    HOTPLUG_CPU_AND_MEMORY,
    Change,
    Effect,
    Facts,
    dotted,
)
from vmctl.resources.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmctl.resources.declaring import Spec

SpecT = TypeVar("SpecT", bound="Spec")
Json = dict[str, Any]
OFF = Facts(hash_key=b"key of this installation")
ON = replace(OFF, gates=frozenset(FEATURE_GATES), agent=True, most_cores=16, most_memory_bytes=64 << 30)
MANIFEST: Json = {
    "virtualMachineClassName": "generic",
    "cpu": {"cores": 1},
    "memory": {"size": "1Gi"},
    "blockDeviceRefs": [{"kind": "VirtualDisk", "name": "root"}, {"kind": "VirtualDisk", "name": "data"}],
}


def machine(**changed: object) -> VirtualMachineSpec:
    return VirtualMachineSpec.model_validate(MANIFEST | changed)


def disks(*names: str) -> list[Json]:
    return [{"kind": "VirtualDisk", "name": name} for name in names]


def disk(size: str | None) -> VirtualDiskSpec:
    claim = None if size is None else DiskClaim(size=size)
    return VirtualDiskSpec.model_construct(None, persistent_volume_claim=claim)


def entry(path: str, current: object = None, desired: object = None) -> Json:
    operation = "add" if current is None else "remove" if desired is None else "replace"
    sides = {"currentValue": current, "desiredValue": desired}
    return {key: value for key, value in sides.items() if value is not None} | {"operation": operation, "path": path}


# ---- how changes are shown -------------------------------------------------------------------------------

ROOT, DATA, EXTRA = disks("root", "data", "extra")
FROM_SECRET = {"type": "UserDataRef", "userDataRef": {"kind": "Secret", "name": "a"}}
SYSPREP = {"type": "SysprepRef", "sysprepRef": {"kind": "Secret", "name": "a"}}

EXAMPLES: dict[str, tuple[Json, Json, list[Json]]] = {
    "class": ({}, {"virtualMachineClassName": "other"}, [entry("virtualMachineClassName", "generic", "other")]),
    "run policy": ({}, {"runPolicy": "AlwaysOn"}, []),
    "placement": ({}, {"affinity": {"nodeAffinity": {}}, "nodeSelector": {"a": "b"}}, []),
    "migration": ({}, {"liveMigrationPolicy": "AlwaysSafe"}, []),
    "approval": ({}, {"disruptions": {"restartApprovalMode": "Automatic"}}, []),
    "what means nothing on one host": ({}, {"priorityClassName": "a", "tolerations": [{"operator": "Exists"}]}, []),
    "grace period": ({}, {"terminationGracePeriodSeconds": 5}, [entry("terminationGracePeriodSeconds", 60, 5)]),
    "paravirtualization": ({}, {"enableParavirtualization": False}, [entry("enableParavirtualization", True, False)]),
    "firmware": (
        {},
        {"osType": "Windows", "bootloader": "EFI"},
        [entry("osType", "Generic", "Windows"), entry("bootloader", "BIOS", "EFI")],
    ),
    "cores": ({}, {"cpu": {"cores": 2}}, [entry("cpu.cores", 1, 2)]),
    "fraction": ({}, {"cpu": {"cores": 1, "coreFraction": "10%"}}, [entry("cpu.coreFraction", "100%", "10%")]),
    "cores and fraction": (
        {},
        {"cpu": {"cores": 2, "coreFraction": "10%"}},
        [entry("cpu", {"cores": 1, "coreFraction": "100%"}, {"cores": 2, "coreFraction": "10%"})],
    ),
    "memory": ({}, {"memory": {"size": "2Gi"}}, [entry("memory.size", "1Gi", "2Gi")]),
    "memory in other words": ({}, {"memory": {"size": "1024Mi"}}, []),
    "defaults in so many words": (
        {},
        {
            "osType": "Generic",
            "cpu": {"cores": 1, "coreFraction": "100%"},
            "disruptions": {"restartApprovalMode": "Manual"},
            "nodeSelector": {},
            "affinity": {},
            "networks": [{"type": "Main"}],
        },
        [],
    ),
    "device added": ({}, {"blockDeviceRefs": [ROOT, EXTRA, DATA]}, [entry("blockDeviceRefs.1", None, EXTRA)]),
    "device removed": ({}, {"blockDeviceRefs": [DATA]}, [entry("blockDeviceRefs.0", ROOT)]),
    "device exchanged": ({}, {"blockDeviceRefs": [ROOT, EXTRA]}, [entry("blockDeviceRefs.1", DATA, EXTRA)]),
    "device exchanged elsewhere": (
        {},
        {"blockDeviceRefs": [DATA, EXTRA]},
        [entry("blockDeviceRefs.0", ROOT), entry("blockDeviceRefs.1", None, EXTRA)],
    ),
    "order": (
        {"blockDeviceRefs": [ROOT, DATA, EXTRA]},
        {"blockDeviceRefs": [EXTRA, DATA, ROOT]},
        [entry("blockDeviceRefs.0", ROOT, EXTRA), entry("blockDeviceRefs.2", EXTRA, ROOT)],
    ),
    "order and one more": (
        {},
        {"blockDeviceRefs": [DATA, ROOT, EXTRA]},
        [
            entry("blockDeviceRefs.0", ROOT, DATA),
            entry("blockDeviceRefs.1", DATA, ROOT),
            entry("blockDeviceRefs.2", None, EXTRA),
        ],
    ),
    "boot order": (
        {},
        {"blockDeviceRefs": [ROOT, DATA | {"bootOrder": 1}]},
        [entry("blockDeviceRefs.1.bootOrder", None, 1)],
    ),
    "seed added": ({}, {"provisioning": FROM_SECRET}, [entry("provisioning", None, FROM_SECRET)]),
    "seed removed": ({"provisioning": FROM_SECRET}, {}, [entry("provisioning", FROM_SECRET)]),
    "seed renamed": (
        {"provisioning": FROM_SECRET},
        {"provisioning": {**FROM_SECRET, "userDataRef": {"name": "b"}}},
        [entry("provisioning.userDataRef.name", "a", "b")],
    ),
    "seed of another type": (
        {"provisioning": FROM_SECRET},
        {"provisioning": SYSPREP},
        [entry("provisioning", "UserDataRef", "SysprepRef")],
    ),
    "graphics in another order": (
        {"gpus": [{"gpuClassName": "a"}, {"gpuClassName": "b"}]},
        {"gpus": [{"gpuClassName": "b"}, {"gpuClassName": "a"}]},
        [],
    ),
    "graphics once more": (
        {"gpus": [{"gpuClassName": "a"}]},
        {"gpus": [{"gpuClassName": "a"}, {"gpuClassName": "a"}]},
        [entry("gpus", [{"gpuClassName": "a"}], [{"gpuClassName": "a"}] * 2)],
    ),
}


@pytest.mark.parametrize(("old", "new", "expected"), EXAMPLES.values(), ids=EXAMPLES)
def test_waits_as_specified(old: Json, new: Json, expected: list[Entry]) -> None:
    found = waiting(machine(**old), machine(**new), OFF)
    assert found == expected
    assert all(list(item) == sorted(item) for item in found)


def test_entry_as_the_guide_prints_it() -> None:
    found = waiting(machine(), machine(cpu={"cores": 2}), OFF)
    assert json.dumps(found) == '[{"currentValue": 1, "desiredValue": 2, "operation": "replace", "path": "cpu.cores"}]'


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [((), (ROOT, DATA), entry("blockDeviceRefs", None, [ROOT, DATA])), ((ROOT,), (), entry("blockDeviceRefs", [ROOT]))],
)
def test_list_that_was_or_becomes_empty_is_one_entry(
    old: tuple[Json, ...], new: tuple[Json, ...], expected: Json
) -> None:
    before, after = (
        machine().model_copy(update={"block_device_refs": tuple(BlockDeviceRef(**ref) for ref in refs)})
        for refs in (old, new)
    )
    assert waiting(before, after, OFF) == [expected]


# ---- what changes cost -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "verb"),
    [
        ({}, {"cpu": {"cores": 2}}, "set_cores"),
        ({}, {"memory": {"size": "2Gi"}}, "set_memory"),
        ({"memory": {"size": "2Gi"}}, {}, "set_memory"),
        ({}, {"cpu": {"cores": 1, "coreFraction": "10%"}}, "set_core_fraction"),
        ({}, {"blockDeviceRefs": [ROOT, DATA, EXTRA]}, "plug_disk"),
        ({}, {"blockDeviceRefs": [ROOT]}, "unplug_disk"),
        ({"provisioning": FROM_SECRET}, {}, "unplug_seed"),
    ],
)
def test_gate_makes_it_live_and_is_named(old: Json, new: Json, verb: str) -> None:
    (change,) = diff(machine(**old), machine(**new))
    closed, opened = judge(change, OFF).verdict, judge(change, ON).verdict
    assert (closed.effect, opened.effect, opened.verb) == (Effect.RESTART, Effect.LIVE, verb)
    assert change.policy.change.gate in (HOTPLUG_BLOCK_DEVICES, HOTPLUG_CPU_AND_MEMORY)
    assert change.policy.change.gate in closed.reason
    assert change.policy.change.gate in opened.reason


@pytest.mark.parametrize(
    ("old", "new", "facts", "reason"),
    [
        ({"cpu": {"cores": 4}}, {"cpu": {"cores": 2}}, ON, "guests give cores back"),
        ({}, {"cpu": {"cores": 2}}, replace(ON, os_type="Legacy"), "osType other than Legacy"),
        ({}, {"blockDeviceRefs": [ROOT]}, replace(ON, paravirtualized=False), "paravirtualization"),
        ({"provisioning": SYSPREP}, {}, ON, "cloud-init seed"),
        ({}, {"blockDeviceRefs": [DATA, ROOT]}, ON, "order"),
    ],
)
def test_waits_even_with_the_gate(old: Json, new: Json, facts: Facts, reason: str) -> None:
    judged = [judge(change, facts).verdict for change in diff(machine(**old), machine(**new))]
    assert judged
    assert all(verdict.effect is Effect.RESTART and reason in verdict.reason for verdict in judged)
    without = [judge(change, replace(facts, gates=frozenset())) for change in diff(machine(**old), machine(**new))]
    assert not any("gate" in item.verdict.reason for item in without), "a gate is named only where it would help"


def test_waiting_change_holds_back_no_live_one_and_order_is_that_of_declarations() -> None:
    desired = machine(
        osType="Windows", cpu={"cores": 2, "coreFraction": "10%"}, blockDeviceRefs=disks("data", "root", "extra")
    )
    result = weigh(machine(), machine(), desired, ON)
    assert [(dotted(step.change.path), step.verdict.verb) for step in result.live] == [
        ("cpu.cores", "set_cores"),
        ("cpu.coreFraction", "set_core_fraction"),
        ("blockDeviceRefs.2", "plug_disk"),
    ]
    assert [dotted(item.change.path) for item in result.waiting] == ["osType", "blockDeviceRefs.0", "blockDeviceRefs.1"]


def test_half_of_a_group_that_is_done_live_leaves_the_other_half_waiting() -> None:
    found = waiting(machine(cpu={"cores": 4}), machine(cpu={"cores": 2, "coreFraction": "10%"}), ON)
    assert found == [entry("cpu.cores", 4, 2)]


def test_what_the_host_refuses_waits_for_its_reason() -> None:
    facts = replace(ON, host_refused={"memory.size": "the guest kept its memory"})
    result = weigh(machine(), machine(), machine(memory={"size": "512Mi"}, cpu={"cores": 2}), facts)
    assert [step.verdict.verb for step in result.live] == ["set_cores"]
    assert [item.verdict.reason for item in result.waiting] == ["the guest kept its memory"]


def test_machine_that_is_off_awaits_nothing() -> None:
    result = weigh(None, machine(), machine(cpu={"cores": 2}), ON)
    assert [dotted(change.path) for change in result.define] == ["cpu.cores"]
    assert (result.live, result.waiting, waiting(None, machine(), OFF)) == ((), (), [])


def test_disk_grows_and_never_shrinks() -> None:
    grown = weigh(disk("1Gi"), disk("1Gi"), disk("1.5Gi"), OFF)
    shrunk = weigh(disk("1Gi"), disk("1Gi"), disk("500M"), OFF)
    assert [step.verdict.verb for step in grown.live] == ["resize"]
    assert grown.refused == ()
    assert (shrunk.define, shrunk.live, shrunk.waiting) == ((), (), ())
    assert "never shrinks" in shrunk.refused[0].verdict.reason
    assert list(diff(disk("1Gi"), disk(None))) == [], "a size that nobody asks for is what it is"


def test_before_it_is_ready_a_disk_starts_over() -> None:
    web: Json = {"dataSource": {"type": "HTTP", "http": {"url": "https://example.com/a"}}}
    other: Json = {"dataSource": {"type": "HTTP", "http": {"url": "https://example.com/b"}}}
    old, new = VirtualDiskSpec.model_validate(web), VirtualDiskSpec.model_validate(other)
    (change,) = diff(old, new)
    assert dotted(change.path) == "dataSource.http.url"
    assert judge(change, OFF).verdict.effect is Effect.REFUSE
    assert judge(change, replace(OFF, settled=False)).verdict.effect is Effect.NONE


def test_secrets_are_shown_and_compared_as_keyed_hashes_only() -> None:
    old, new = (
        machine(provisioning={"type": "UserData", "userData": f"#cloud-config {word}"}) for word in ("abc", "xyz")
    )
    (change,) = waiting(old, new, OFF)
    assert change["path"] == "provisioning.userData"
    assert str(change["currentValue"]).startswith("hmac:")
    (whole,) = waiting(machine(), new, OFF)
    shown = f"{change} {whole} {weigh(old, old, new, OFF)} {weigh(machine(), old, new, ON)}"
    assert "hmac:" in str(whole)
    assert "cloud-config" not in shown + str(entries(diff(old, new)))
    observed = sealed(new, OFF.hash_key)  # all that the metadata of a running machine holds
    assert waiting(observed, new, OFF) == []
    assert waiting(observed, new, Facts(b"another key")) != []


def test_data_of_a_secret_is_never_shown() -> None:
    old, new = (
        Secret.model_validate(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"password": word}}
        )
        for word in ("word-one", "word-two")
    )
    (change,) = diff(old, new)
    assert dotted(change.path) == "stringData"
    assert "word-" not in f"{entries([change])} {change}"
    assert waiting(sealed(old, b"k"), old, Facts(b"k")) == []
    assert "word-" not in str(entries(diff(sealed(old, b"k"), sealed(new, b"k"))))


def test_labels_cost_nothing_and_what_the_server_sets_is_no_difference() -> None:
    def read(**meta: object) -> Secret:
        return Secret.model_validate({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", **meta}})

    (change,) = diff(read(uid="1", generation=3), read(labels={"a": "b"}))
    assert dotted(change.path) == "metadata.labels"
    assert judge(change, OFF).verdict.effect is Effect.NONE


# ---- laws ------------------------------------------------------------------------------------------------

refs = st.lists(
    st.builds(
        BlockDeviceRef,
        kind=st.sampled_from(["VirtualDisk", "VirtualImage"]),
        name=st.sampled_from("abc"),
        boot_order=st.none() | st.integers(1, 3),
    ),
    unique_by=lambda ref: (ref.kind, ref.name),
    max_size=5,
)
secret_refs = st.builds(SecretRef, name=st.sampled_from("ab"))
seeds = st.none() | st.one_of(
    st.builds(Provisioning, type=st.just("UserData"), user_data=st.sampled_from("xy").map(SecretStr)),
    st.builds(Provisioning, type=st.just("UserDataRef"), user_data_ref=secret_refs),
    st.builds(Provisioning, type=st.just("SysprepRef"), sysprep_ref=secret_refs),
)
machines = st.builds(
    VirtualMachineSpec.model_construct,
    provisioning=seeds,
    run_policy=st.sampled_from(["AlwaysOn", "Manual"]),
    affinity=st.sampled_from([None, Affinity(node_affinity=NodeAffinity())]),
    node_selector=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")).map(Labels),
    disruptions=st.builds(Disruptions, restart_approval_mode=st.sampled_from(["Manual", "Automatic"])),
    termination_grace_period_seconds=st.integers(0, 2),
    enable_paravirtualization=st.booleans(),
    os_type=st.sampled_from(["Windows", "Generic", "Legacy"]),
    bootloader=st.sampled_from(["BIOS", "EFI"]),
    virtual_machine_class_name=st.sampled_from(["host", "generic"]),
    block_device_refs=refs.map(tuple),
    cpu=st.builds(Cpu, cores=st.integers(1, 4), core_fraction=st.sampled_from(["10%", "100%"])),
    memory=st.builds(Memory, size=st.sampled_from(["512Mi", "1Gi", "2Gi"])),
)
facts_of = st.builds(
    Facts,
    hash_key=st.just(b"k"),
    gates=st.frozensets(st.sampled_from(FEATURE_GATES)),
    os_type=st.sampled_from(["Generic", "Legacy"]),
    paravirtualized=st.booleans(),
)
junk = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("1G%é٣ \0", max_size=3)
    | st.lists(st.integers(), max_size=1)
)


def anything(kind: type[Spec]) -> st.SearchStrategy[Any]:
    """What an observation may hold: any scalar, any missing field or group, lists with odd and repeated items."""

    def of(slot: Any) -> st.SearchStrategy[Any]:
        inner = st.one_of([anything(group) for group in slot.kinds]) if slot.kinds else junk
        return junk | (st.lists(inner | junk, max_size=3) if slot.policy and slot.policy.key else inner)

    return st.fixed_dictionaries({}, optional={slot.name: of(slot) for slot in kind.slots}).map(
        lambda fields: kind.model_construct(None, **fields)
    )


def carry_out(old: SpecT, changes: Iterable[Change]) -> SpecT:
    """Carry changes out on a value, knowing nothing but their paths and values."""
    by_slot: dict[str, list[Change]] = {}
    for change in changes:
        by_slot.setdefault(str(change.path[0]), []).append(replace(change, path=change.path[1:]))
    fields: dict[str, object] = {}
    for slot in old.slots:
        mine, value = by_slot.get(slot.alias, []), getattr(old, slot.name)
        if mine and isinstance(mine[0].path[0] if mine[0].path else None, int):
            value = carry_out_in_list(value, mine)
        elif mine:
            value = mine[0].new if not mine[0].path else carry_out(value, mine)
        fields[slot.name] = value
    return old.model_copy(update=fields)


def carry_out_in_list(old: tuple[BlockDeviceRef, ...], changes: list[Change]) -> tuple[BlockDeviceRef, ...]:
    """Put each new item at its index; those that nothing was said about fill the other places in their old order."""
    own = [change for change in changes if len(change.path) == 1]
    inner = [change for change in changes if len(change.path) > 1]
    placed = {change.path[0]: cast("BlockDeviceRef", change.new) for change in own if change.new}
    touched = {
        (ref.kind, ref.name) for change in own for ref in (change.old, change.new) if isinstance(ref, BlockDeviceRef)
    }
    rest = iter([ref for ref in old if (ref.kind, ref.name) not in touched])
    count = len(placed) + sum((ref.kind, ref.name) not in touched for ref in old)
    items = [placed[index] if index in placed else next(rest) for index in range(count)]
    return tuple(
        carry_out(item, [replace(change, path=change.path[1:]) for change in inner if change.path[0] == index])
        for index, item in enumerate(items)
    )


def places(changes: Iterable[Change], *, mirrored: bool = False) -> set[tuple[object, object, object]]:
    """Changes without the indexes of lists, which belong to one side only."""
    names = [
        (tuple(part for part in change.path if isinstance(part, str)), change.old, change.new) for change in changes
    ]
    return {(path, new, old) if mirrored else (path, old, new) for path, old, new in names}


def effect(old: VirtualMachineSpec, new: VirtualMachineSpec, facts: Facts) -> Effect:
    return max((judge(change, facts).verdict.effect for change in diff(old, new)), default=Effect.NONE)


@given(machines)
def test_nothing_differs_from_itself(x: VirtualMachineSpec) -> None:
    assert not list(diff(x, x))


@given(machines, machines)
def test_diff_mirrors(x: VirtualMachineSpec, y: VirtualMachineSpec) -> None:
    assert places(diff(x, y)) == places(diff(y, x), mirrored=True)


@given(machines, machines)
def test_carrying_out_the_changes_gives_the_new_value(x: VirtualMachineSpec, y: VirtualMachineSpec) -> None:
    changes = list(diff(x, y))
    assert carry_out(x, changes) == y
    assert bool(changes) == (x != y)
    assert not any(change.path[-1] in ("kind", "name") and "blockDeviceRefs" in change.path for change in changes)


@given(machines, machines, facts_of)
def test_pass_then_restart_leaves_nothing(x: VirtualMachineSpec, y: VirtualMachineSpec, facts: Facts) -> None:
    before = sealed(x, facts.hash_key)
    first = weigh(before, before, y, facts)
    defined = carry_out(before, first.define)
    running = carry_out(before, (step.change for step in first.live))
    second = weigh(running, defined, y, facts)
    assert (second.define, second.live) == ((), ()), "what was done needs no doing again"
    assert entries(item.change for item in second.waiting) == entries(item.change for item in first.waiting)
    assert waiting(defined, y, facts) == [], "a cold start runs what was defined"


@given(machines, machines)
def test_reverting_the_manifest_empties_what_waits(x: VirtualMachineSpec, y: VirtualMachineSpec) -> None:
    before = sealed(x, OFF.hash_key)
    defined = carry_out(before, weigh(before, before, y, OFF).define)
    reverted = weigh(before, defined, x, OFF)
    assert reverted.waiting == ()
    assert carry_out(defined, reverted.define) == before


@given(machines, machines, facts_of, st.frozensets(st.sampled_from(sorted(VirtualMachineSpec.model_fields))))
def test_more_changes_never_cost_less(
    x: VirtualMachineSpec, y: VirtualMachineSpec, facts: Facts, some: frozenset[str]
) -> None:
    partly = x.model_copy(update={name: getattr(y, name) for name in some})
    assert effect(x, partly, facts) <= effect(x, y, facts)
    assert effect(x, y, ON) <= effect(x, y, OFF), "a gate only ever makes a change cheaper"


@settings(max_examples=300)
@given(anything(VirtualMachineSpec), anything(VirtualMachineSpec) | machines, facts_of)
def test_observations_may_be_anything(x: VirtualMachineSpec, y: VirtualMachineSpec, facts: Facts) -> None:
    json.dumps(entries(diff(x, y)))
    weigh(x, x, y, facts)


def test_every_place_of_a_machine_can_be_reached() -> None:
    assert {
        "provisioning.sysprepRef.name",
        "blockDeviceRefs.*.bootOrder",
        "disruptions",
        "cpu.cores",
        "virtualMachineIPAddressName",
    } <= set(walk(VirtualMachineSpec))
