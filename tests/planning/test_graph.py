"""Who depends on whom, and in which order things are done."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.planning.worlds import declared, key_of
from vmctl.errors import GraphError
from vmctl.planning.graph import order, references
from vmctl.resources import registry
from vmctl.resources.keys import Key

Json = dict[str, Any]


def image_of(name: str, source: str, kind: str = "VirtualImage", namespace: str = "") -> tuple[Key, Json]:
    ref = {"kind": kind, "name": source, **({"namespace": namespace} if namespace else {})}
    return key_of(f"VirtualImage {name}"), {"spec": {"dataSource": {"type": "ObjectRef", "objectRef": ref}}}


def plain(text: str) -> tuple[Key, Json]:
    return key_of(text), {"spec": {}}


MACHINE = {
    "kind": "VirtualMachine",
    "metadata": {"name": "web", "namespace": "lab"},
    "spec": {
        "virtualMachineClassName": "small",
        "cpu": {"cores": 1},
        "memory": {"size": "1Gi"},
        "blockDeviceRefs": [
            {"kind": "VirtualDisk", "name": "root"},
            {"kind": "VirtualImage", "name": "tools"},
            {"kind": "ClusterVirtualImage", "name": "setup"},
        ],
        "provisioning": {"type": "UserDataRef", "userDataRef": {"kind": "Secret", "name": "seed"}},
    },
}
DISK = {
    "kind": "VirtualDisk",
    "metadata": {"name": "root", "namespace": "lab"},
    "spec": {
        "persistentVolumeClaim": {"storageClassName": "fast"},
        "dataSource": {"type": "ObjectRef", "objectRef": {"kind": "ClusterVirtualImage", "name": "base"}},
    },
}
SYSPREP = {**MACHINE["spec"], "provisioning": {"type": "SysprepRef", "sysprepRef": {"kind": "Secret", "name": "seed"}}}  # type: ignore[dict-item]
LEASE = {"spec": {"virtualMachineIPAddressRef": {"name": "web-ip", "namespace": "lab"}}}


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (
            MACHINE,
            {
                "VirtualMachineClass small",
                "VirtualDisk lab/root",
                "VirtualImage lab/tools",
                "ClusterVirtualImage setup",
                "Secret lab/seed",
            },
        ),
        ({**MACHINE, "spec": SYSPREP}, {"Secret lab/seed"}),
        (DISK, {"StorageClass fast", "ClusterVirtualImage base"}),
        ({"kind": "Secret", "metadata": {"name": "seed"}, "stringData": {"userData": "x"}}, set()),
    ],
)
def test_what_a_manifest_names(said: Json, named: set[str]) -> None:
    item = declared(said)
    found = {f"{key.kind} {key.namespace}/{key.name}".replace(" /", " ") for key in references(item.key, item.document)}
    assert named <= found
    assert named == found or len(named) == 1


def test_a_lease_names_its_address_and_a_cluster_image_the_namespace_it_says() -> None:
    lease = key_of("VirtualMachineIPAddressLease ip-10-66-0-1")
    assert list(references(lease, LEASE)) == [Key("VirtualMachineIPAddress", "lab", "web-ip")]
    _, document = image_of("x", "base", namespace="lab")
    assert list(references(Key("ClusterVirtualImage", "", "x"), document)) == [Key("VirtualImage", "lab", "base")]


CHAIN = dict(
    [
        plain("StorageClass fast"),
        plain("VirtualImage base"),
        image_of("middle", "base"),
        (key_of("VirtualDisk root"), image_of("root", "middle")[1]),
        (
            key_of("VirtualMachine web"),
            {"spec": {"virtualMachineClassName": "", "blockDeviceRefs": [{"kind": "VirtualDisk", "name": "root"}]}},
        ),
    ]
)


@pytest.mark.parametrize("shuffled", list(permutations(CHAIN)))
def test_dependencies_come_first_however_they_are_given(shuffled: tuple[Key, ...]) -> None:
    assert order({key: CHAIN[key] for key in shuffled}) == list(CHAIN)


def test_independents_keep_the_order_of_kinds_and_then_their_own() -> None:
    given_order = ["VirtualDisk b", "VirtualImage z", "VirtualDisk a", "VirtualImage y", "Namespace lab"]
    found = order(dict(map(plain, given_order)))
    assert [key.name for key in found] == ["lab", "z", "y", "b", "a"]


def test_what_is_not_given_does_not_matter() -> None:
    key, document = image_of("x", "elsewhere")
    assert order({key: document}) == [key]


@pytest.mark.parametrize(
    ("edges", "circle"),
    [
        ([("a", "a")], "VirtualImage a → VirtualImage a"),
        ([("a", "b"), ("b", "a")], "VirtualImage b → VirtualImage a"),
        ([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")], "VirtualImage"),
    ],
)
def test_a_circle_is_named(edges: list[tuple[str, str]], circle: str) -> None:
    with pytest.raises(GraphError) as refused:
        order(dict(image_of(name, source) for name, source in edges))
    assert circle in refused.value.message
    members = {name for name, _ in edges if name != "d"}
    assert all(f"VirtualImage {name}" in refused.value.message for name in members)
    assert "VirtualImage d" not in refused.value.message
    assert refused.value.remedy


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=10))
def test_every_order_is_complete_and_has_needs_first(edges: list[tuple[str, str]]) -> None:
    documents = dict(image_of(name, source) for name, source in edges if name > source)
    documents |= {key: doc for key, doc in map(plain, ("VirtualImage a", "VirtualDisk d")) if key not in documents}
    found = order(documents)
    assert sorted(found) == sorted(documents)
    place = {key: index for index, key in enumerate(found)}
    for key, document in documents.items():
        assert all(place[need] < place[key] for need in references(key, document) if need in place)


def test_every_kind_has_its_turn() -> None:
    """Images before disks before machines, and what they stand on before those."""
    turns = {name: kind.priority for name, kind in registry.BY_NAME.items()}
    line = ["Namespace", "StorageClass", "VirtualImage", "VirtualDisk", "VirtualMachine"]
    assert [turns[name] for name in line] == sorted(turns[name] for name in line)
    assert turns["VirtualMachineClass"] < turns["VirtualMachine"] > turns["Secret"]
