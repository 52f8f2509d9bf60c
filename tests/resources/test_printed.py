"""What guides print is what users paste: it validates, and comes back from the store as it went in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.resources.manifests import documents, dump, printed, read
from vmctl.resources import registry
from vmctl.resources.remarks import not_acting, warnings
from vmctl.resources.schema import all_schema, kind_schema

CASES = printed()
OLDER_SPELLING = {"required machines in the older form", "preferred machines in the older spelling"}


@pytest.mark.parametrize("document", [document for _, document in CASES], ids=[name for name, _ in CASES])
def test_validates_and_survives_the_store(document: dict[str, Any]) -> None:
    resource = read(document)
    stored = dump(resource)
    assert read(json.loads(json.dumps(stored))) == resource
    assert dump(read(stored)) == stored
    assert "status" not in stored
    assert stored["apiVersion"] == registry.BY_NAME[stored["kind"]].api_version


@pytest.mark.parametrize(
    "document",
    [document for name, document in CASES if name not in OLDER_SPELLING],
    ids=[name for name, _ in CASES if name not in OLDER_SPELLING],
)
def test_json_schema_accepts_it(document: dict[str, Any]) -> None:
    kind = registry.BY_NAME[document["kind"]]
    Draft202012Validator(kind_schema(kind)).validate(document)
    Draft202012Validator(kind_schema(kind)).validate(dump(read(document)))


def test_schema_of_all_kinds_accepts_documents_and_lists() -> None:
    validator = Draft202012Validator(all_schema())
    items = [document for _, document in documents("seeds")]
    for item in items:
        validator.validate(item)
    validator.validate({"apiVersion": "v1", "kind": "List", "items": items})
    broken = {**items[0], "spec": {"nonsense": 1}}
    assert not validator.is_valid(broken)
    assert not validator.is_valid({"apiVersion": "v1", "kind": "List", "items": [broken]})
    assert not validator.is_valid({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}})


def test_every_kind_is_printed_somewhere() -> None:
    assert {document["kind"] for _, document in CASES} == {kind.name for kind in registry.KINDS}


def test_older_spellings_come_out_as_the_new_one() -> None:
    found = {name: dump(read(document))["spec"]["affinity"] for name, document in CASES if name in OLDER_SPELLING}
    newer = {name: dump(read(document))["spec"]["affinity"] for name, document in CASES if name == "preferred machines"}
    assert found["preferred machines in the older spelling"] == newer["preferred machines"]
    (term,) = found["required machines in the older form"]["virtualMachineAndPodAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term == {
        "labelSelector": {"matchLabels": {"server": "database"}},
        "topologyKey": "kubernetes.io/hostname",
    }


def test_older_class_comes_out_as_the_new_version() -> None:
    older = next(document for _, document in CASES if document["metadata"].get("name") == "generic-sized")
    stored = dump(read(older))
    assert older["apiVersion"].endswith("/v1alpha2")
    assert stored["apiVersion"].endswith("/v1alpha3")
    assert stored["spec"]["sizingPolicies"][0]["coreFractions"] == ["5%", "10%", "20%", "50%", "100%"]
    assert stored["spec"]["sizingPolicies"][0]["defaultCoreFraction"] == "10%"


def test_full_machine_names_each_field_that_does_not_act_or_means_nothing_here() -> None:
    machine = read(next(document for _, document in CASES if document["metadata"].get("name") == "frontend-0"))
    assert [path for path, _ in not_acting(machine)] == ["spec.networks", "spec.usbDevices", "spec.gpus"]
    assert [path for path, _ in warnings(machine)] == [
        "spec.affinity",
        "spec.tolerations",
        "spec.topologySpreadConstraints",
        "spec.priorityClassName",
        "spec.liveMigrationPolicy",
    ]


def test_quick_start_has_nothing_to_remark() -> None:
    quick_start = {"virtualimage-ubuntu-0", "virtualdisk-linux-disk-0", "virtualmachine-linux-vm-2-0"}
    objects = [read(document) for name, document in CASES if name in quick_start]
    assert len(objects) == len(quick_start)
    assert [note for item in objects for note in (*warnings(item), *not_acting(item))] == []
