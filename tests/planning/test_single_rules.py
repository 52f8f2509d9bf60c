"""Small rules one by one: conditions, goals, guards, who holds a disk, what the host has promised, storage classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory_driver import HOST
from tests.planning.samples import disk, having, machine, objects
from tests.planning.worlds import PLACE, declared
from vmctl.planning import admission, conditions, goals, guards, module_settings, storage_classes, usage
from vmctl.planning.conditions import Condition, Truth, seconds, timestamp, written
from vmctl.planning.networks import network_of
from vmctl.planning.observed import NatNetwork
from vmctl.planning.storage_classes import Home, Missing
from vmctl.resources.annotations import DEFAULT_STORAGE_CLASS
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.objects import Object

Json = dict[str, Any]
NO_ROOM: Json = {
    "conditions": [{"type": "Running", "status": "False", "reason": "PodNotStarted", "message": "no room"}]
}


# ---- conditions ------------------------------------------------------------------------------------------

TRUTHS: tuple[Truth, ...] = ("True", "False", "Unknown")


@given(st.lists(st.sampled_from(TRUTHS), min_size=1, max_size=8))
def test_a_transition_is_dated_when_the_status_moves_and_only_then(history: list[Truth]) -> None:
    status: Json = {}
    since, before = 0, None
    for now, truth in enumerate(history):
        status = {"conditions": written([Condition("Ready", truth, "Because", str(now))], status, now, float(now))}
        since = now if truth != before else since
        before = truth
        found = conditions.find(status, "Ready")
        assert found == {
            "type": "Ready",
            "status": truth,
            "reason": "Because",
            "message": str(now),
            "lastTransitionTime": timestamp(since),
            "observedGeneration": now,
        }
        assert not conditions.check(status, now)
        assert conditions.holds(status, "Ready") == (truth == "True")


@given(st.integers(0, 4_000_000_000))
def test_a_timestamp_is_read_as_it_was_written(now: int) -> None:
    assert seconds(timestamp(now)) == now


SANE: Json = {
    "type": "Ready",
    "status": "True",
    "reason": "Ready",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
    "observedGeneration": 3,
}


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, ""),
        ({"status": "Yes"}, "status is 'Yes'"),
        ({"status": "False"}, "does not say why"),
        ({"reason": ""}, "is not a word"),
        ({"reason": "two words"}, "is not a word"),
        ({"observedGeneration": 2}, "observed generation 2 of 3"),
    ],
)
def test_what_is_wrong_with_a_status(changed: Json, wrong: str) -> None:
    found = conditions.check({"phase": "Ready", "conditions": [{**SANE, **changed}]}, 3)
    assert len(found) == bool(wrong)
    assert wrong in "".join(found)


def test_a_status_is_complete_and_says_a_thing_once() -> None:
    assert conditions.check({"conditions": [SANE, SANE]}, 3) == ["a condition stands twice"]
    assert conditions.check({"phase": ""}, 3) == ["the phase is empty"]
    assert conditions.check({"phase": "Resting"}, 3, "VirtualMachine") == ["VirtualMachine has no phase Resting"]
    bare = {name: value for name, value in SANE.items() if name not in ("message", "lastTransitionTime")}
    assert len(conditions.check({"conditions": [bare]}, 3)) == 2


# ---- goals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "waits"),
    [
        (disk(phase="Ready"), ""),
        (disk(phase="WaitForFirstConsumer"), ""),
        (disk(), "it is not begun"),
        (disk(phase="Provisioning"), "it is Provisioning"),
        (machine(phase="Running"), ""),
        (machine(phase="Stopped"), ""),
        (machine(phase="Starting", status=NO_ROOM), "no room"),
        (machine(phase="Pending", status={"conditions": [
            {"type": "BlockDevicesReady", "status": "False", "message": "0 of 1"},
            {"type": "Migratable", "status": "False", "message": "one host"},
            {"type": "Running", "status": "False", "reason": "NotRunning", "message": "it waits"}]}), "0 of 1"),
        (machine(phase="Running", spec={"runPolicy": "AlwaysOff"}), "it is Running"),
        (machine(phase="Stopped", spec={"runPolicy": "AlwaysOff"}), ""),
        (machine(phase="Stopped", spec={"runPolicy": "AlwaysOn"}), "it is Stopped"),
        (machine(phase="Stopped", spec={"runPolicy": "Manual"}), ""),
        (disk(phase="Ready", deleted=1), "it is being deleted"),
        (disk(phase="Terminating", deleted=1, status={"conditions": [
            {"type": "Ready", "status": "False", "message": "attached to web"}]}), "attached to web"),
    ],
)  # fmt: skip
def test_what_an_object_still_waits_for(item: Object, waits: str) -> None:
    assert goals.missing(item) == waits


@pytest.mark.parametrize(
    ("phase", "ended"), [("Failed", True), ("PVCLost", True), ("Pending", False), ("Ready", False)]
)
def test_what_has_failed(phase: str, ended: bool) -> None:
    assert goals.failed(disk(phase=phase)) is ended


# ---- guards ----------------------------------------------------------------------------------------------

HTTP: Json = {"type": "HTTP", "http": {"url": "http://images.example/a"}}
OTHER: Json = {"type": "HTTP", "http": {"url": "http://images.example/b"}}
LIES = {"storageClassName": "local", "capacity": "2Gi"}


def image(source: Json = HTTP, kind: str = "VirtualImage", **beside: Any) -> Object:
    storage = {"storage": "ContainerRegistry"} if kind == "VirtualImage" else {}
    return declared({"kind": kind, "metadata": {"name": "x"}, "spec": {**storage, "dataSource": source}, **beside})


def http_disk(claim: Json | None, source: Json = HTTP, **beside: Any) -> Object:
    spec = {"dataSource": source, **({"persistentVolumeClaim": claim} if claim else {})}
    return declared({"kind": "VirtualDisk", "metadata": {"name": "x"}, "spec": spec, **beside})


def klass(cpu: Json, **spec: Any) -> Object:
    return declared({"kind": "VirtualMachineClass", "metadata": {"name": "x"}, "spec": {"cpu": cpu, **spec}})


def storage(path: str, **fields: Any) -> Object:
    body = {"provisioner": "vmctl.dev/directory", "parameters": {"path": path}, **fields}
    return declared({"kind": "StorageClass", "metadata": {"name": "x"}, **body})


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        # an image is frozen once it is there
        (image(phase="Ready"), image(), []),
        (image(phase="Ready"), image(OTHER), ["spec.dataSource.http.url"]),
        (image(phase="ImageLost"), image(OTHER), ["spec.dataSource.http.url"]),
        (image(phase="Provisioning"), image(OTHER), []),
        (image(phase="Failed"), image(OTHER), []),
        (image(kind="ClusterVirtualImage", phase="Ready"), image(OTHER, "ClusterVirtualImage"),
         ["spec.dataSource.http.url"]),
        # a disk grows, and stays where it is
        (disk(phase="Ready"), disk(claim={"size": "2Gi"}), []),
        (disk(claim={"size": "2Gi"}, phase="Ready"), disk(), ["spec.persistentVolumeClaim.size"]),
        (disk(claim={"size": "2Gi"}, phase="Resizing"), disk(), ["spec.persistentVolumeClaim.size"]),
        (disk(claim={"size": "2Gi"}, phase="Pending"), disk(), []),
        (disk(phase="Ready"), disk(claim={"size": "1024Mi"}), []),  # the same, said differently
        (http_disk({"size": "2Gi"}, phase="Ready"), http_disk(None), []),  # what is left out stays
        (http_disk(None, phase="Ready", status=LIES), http_disk({"size": "3Gi"}), []),
        (http_disk(None, phase="Ready", status=LIES), http_disk({"size": "1Gi"}), ["spec.persistentVolumeClaim.size"]),
        (http_disk(None, phase="Ready"), http_disk(None, OTHER), ["spec.dataSource.http.url"]),
        (disk(phase="Ready", status=LIES), disk(claim={"size": "1Gi", "storageClassName": "local"}), []),
        (disk(phase="Ready", status=LIES), disk(claim={"size": "1Gi", "storageClassName": "fast"}),
         ["spec.persistentVolumeClaim.storageClassName"]),
        (disk(claim={"size": "1Gi", "storageClassName": "local"}, phase="Ready", status=LIES), disk(), []),
        (http_disk(None, phase="Ready", status=LIES), http_disk({"storageClassName": "fast"}),
         ["spec.persistentVolumeClaim.storageClassName"]),
        (http_disk(None, phase="Ready", status=LIES), http_disk({"storageClassName": "local"}), []),
        (disk(phase="WaitForFirstConsumer", status=LIES), disk(claim={"size": "1Gi", "storageClassName": "fast"}), []),
        # classes and the rest
        (klass({"type": "Host"}), klass({"type": "Host"}, nodeSelector={"matchLabels": {"a": "b"}}), []),
        (klass({"type": "Host"}), klass({"type": "HostPassthrough"}), ["spec.cpu.type"]),
        (klass({"type": "Host"}), klass({"type": "Model", "model": "Nehalem"}), ["spec.cpu.type", "spec.cpu.model"]),
        (storage("/a"), storage("/a", allowVolumeExpansion=False), []),
        (storage("/a"), storage("/b"), ["parameters.path"]),
        (machine(phase="Running"), machine(spec={"cpu": {"cores": 4}, "osType": "Windows"}), []),
        # what is being deleted is not changed
        (disk(phase="Ready", deleted=1), disk(phase="Ready", deleted=1), []),
        (disk(phase="Ready", deleted=1), disk(claim={"size": "2Gi"}), ["metadata.name"]),
    ],
)  # fmt: skip
def test_what_is_refused_before_anything_happens(old: Object, new: Object, refused: list[str]) -> None:
    found = list(guards.refusals(old, new.document))
    assert [path for path, _ in found] == refused
    assert all(why for _, why in found)


# ---- who has a disk --------------------------------------------------------------------------------------

ROOT = disk(phase="Ready")


@pytest.mark.parametrize(
    ("machines", "holder"),
    [
        ([], None),
        ([machine("a", phase="Stopped")], None),  # its guest switched it off
        ([machine("a", spec={"runPolicy": "Manual"}), machine("b", created=5)], "b"),
        ([machine("a", spec={"runPolicy": "AlwaysOff"}), machine("b", created=5)], "b"),
        ([machine("a"), machine("b", created=5)], "a"),  # the older
        ([machine("a", created=5), machine("b", created=5)], "a"),  # of the same age: by name
        ([machine("a", phase="Pending"), machine("b", created=5, phase="Running")], "b"),  # who runs with it
        ([machine("a", phase="Stopped", spec={"runPolicy": "AlwaysOn"}), machine("b", created=5)], "a"),
        ([machine("a", "other", created=5, phase="Running", status=having("root")), machine("b")], "a"),  # has it still
        ([machine("a", phase="Running", deleted=1), machine("b", created=5)], "a"),  # until it is off
        ([machine("a", phase="Terminating", deleted=1), machine("b", created=5)], "b"),
        ([machine("a", namespace="lab", phase="Running"), machine("b", created=5)], "b"),  # another disk of that name
    ],
)
def test_one_machine_has_a_disk(machines: list[Object], holder: str | None) -> None:
    found = usage.holder(ROOT, objects(ROOT, *machines))
    assert (found.key.name if found else None) == holder
    again = usage.holder(ROOT, objects(*reversed(machines), ROOT))
    assert again is found, "whoever asks gets one answer"


UNLESS = "AlwaysOnUnlessStoppedManually"
WANT_ON = {
    "AlwaysOn": {"", "Pending", "Starting", "Running", "Pause", "Stopping", "Stopped"},
    UNLESS: {"", "Pending", "Starting", "Running", "Pause", "Stopping"},
    "Manual": {"Pending", "Starting"},
    "AlwaysOff": set[str](),
}


@pytest.mark.parametrize("phase", sorted(WANT_ON["AlwaysOn"]))
@pytest.mark.parametrize("policy", WANT_ON)
def test_who_wants_to_be_on_as_far_as_policy_and_phase_tell(policy: str, phase: str) -> None:
    spec = {"runPolicy": policy}
    found = machine(spec=spec, phase=phase) if phase else machine(spec=spec)
    assert usage.wants_on(found) == (phase in WANT_ON[policy])


# ---- what the host has promised --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "fraction", "promised"), [(1, 100, 1000), (4, 10, 400), (1, 1, 10), (3, 33, 990), (1, 15, 150)]
)
def test_guaranteed_shares(cores: int, fraction: int, promised: int) -> None:
    assert admission.millicores(cores, fraction) == promised


@given(
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from(["Running", "Starting", "Stopped", "Pending"])), max_size=6)
)
def test_memory_is_promised_once(others: list[tuple[int, str]]) -> None:
    """A machine starts where what runs and itself fit into the host, and not where they do not."""
    items = [
        machine(f"m{index}", f"d{index}", spec={"memory": {"size": f"{size}Gi"}}, phase=phase)
        for index, (size, phase) in enumerate(others)
    ]
    asked = 8
    taken = sum(size for size, phase in others if phase in ("Running", "Starting"))
    room = HOST.memory_kib // (1 << 20)
    found = list(admission.objections(machine("web"), 0, asked << 30, objects(*items), HOST, PLACE))
    assert bool(found) == (taken + asked > room)


def test_what_runs_counts_not_what_its_manifest_says() -> None:
    resources = {"cpu": {"cores": 2, "coreFraction": "50%"}, "memory": {"size": "3Gi"}}
    item = machine("a", spec={"cpu": {"cores": 16}, "memory": {"size": "64Gi"}}, status={"resources": resources})
    assert admission.promised_memory(item) == 3 << 30
    assert admission.promised_millicores(item) == 1000
    assert admission.promised_millicores(machine("b", spec={"cpu": {"cores": 4}})) == 4000


# ---- storage classes and networks ------------------------------------------------------------------------


def named_class(name: str, *, default: str = "", **fields: Any) -> Object:
    marks: Mapping[str, str] = {DEFAULT_STORAGE_CLASS: default} if default else {}
    body = {"provisioner": "vmctl.dev/directory", "parameters": {"path": f"/{name}"}, **fields}
    return declared({"kind": "StorageClass", "metadata": {"name": name, "annotations": dict(marks)}, **body})


LOCAL = named_class("local", default="true")


@pytest.mark.parametrize(
    ("known", "wanted", "preferred", "chosen"),
    [
        ([LOCAL], None, None, "local"),
        ([LOCAL, named_class("fast")], None, None, "local"),
        ([LOCAL, named_class("fast")], "fast", "local", "fast"),
        ([LOCAL, named_class("fast")], None, "fast", "fast"),
        ([LOCAL, named_class("fast", default="true")], None, None, "fast"),  # a user's before the built-in one
        ([LOCAL], "fast", None, "StorageClass fast does not exist; known: local"),
        ([named_class("fast")], None, None, "no StorageClass is marked as default; name one of: fast"),
        ([named_class("fast", default="false")], None, None, "no StorageClass is marked as default; name one of: fast"),
    ],
)
def test_the_class_that_is_chosen(known: list[Object], wanted: str | None, preferred: str | None, chosen: str) -> None:
    found = storage_classes.choose(objects(*known), wanted, preferred)
    assert (found.name if isinstance(found, Home) else found.message) == chosen


def test_a_class_says_how_its_disks_are_made() -> None:
    found = storage_classes.home(named_class("x", volumeBindingMode="WaitForFirstConsumer", allowVolumeExpansion=False))
    assert found == Home("x", "/x", waits_for_consumer=True, expands=False)
    assert storage_classes.home(LOCAL) == Home("local", "/local")


def test_a_class_that_is_being_deleted_takes_nothing_new() -> None:
    leaving = declared({**LOCAL.document, "metadata": {"name": "fast"}, "deleted": 1})
    assert isinstance(storage_classes.choose(objects(LOCAL, leaving), "fast"), Missing)


def test_an_address_is_in_the_network_of_its_range() -> None:
    one, two = (
        NatNetwork(name, name, name, cidr, "", "") for name, cidr in (("a", "10.1.0.0/16"), ("b", "10.2.0.0/24"))
    )
    assert network_of("10.2.0.9", (one, two)) is two
    assert network_of("10.2.1.9", (one, two)) is None
    assert network_of("", (one, two)) is None


def test_the_default_class_of_disks_and_images_is_a_setting() -> None:
    settings = {"virtualDisks": {"defaultStorageClassName": "fast"}}
    config = declared(
        {"kind": "ModuleConfig", "metadata": {"name": "virtualization"}, "spec": {"version": 1, "settings": settings}}
    )
    assert config.key == Key("ModuleConfig", "", "virtualization")
    assert module_settings.default_storage_class(objects(config), "virtualDisks") == "fast"
    assert module_settings.default_storage_class(objects(config), "virtualImages") is None
    assert module_settings.default_storage_class(objects(), "virtualDisks") is None
