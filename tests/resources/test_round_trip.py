"""The law of the store: what was dumped validates to the same object, whatever a manifest says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.resources.manifests import GROUP, dump, read
from vmctl.resources import topology

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
TEXTS = st.dictionaries(NAMES, NAMES, max_size=2)
SIZES = st.builds("{}{}".format, st.integers(1, 4096), st.sampled_from(["Mi", "Gi", "M", "G"])) | st.integers(1, 2**40)
ANNOTATIONS = st.dictionaries(NAMES, st.text(max_size=20), max_size=2)
SELECTORS = st.fixed_dictionaries({}, optional={"matchLabels": TEXTS})
PAYLOADS = st.one_of(
    st.fixed_dictionaries({"type": st.just("UserData"), "userData": st.text(max_size=500)}),
    st.fixed_dictionaries({"type": st.just("UserDataRef"), "userDataRef": st.fixed_dictionaries({"name": NAMES})}),
    st.fixed_dictionaries({"type": st.just("SysprepRef"), "sysprepRef": st.fixed_dictionaries({"name": NAMES})}),
)
DEVICES = st.lists(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["VirtualDisk", "VirtualImage", "ClusterVirtualImage"]), "name": NAMES}
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda ref: (ref["kind"], ref["name"]),
)
TERMS = st.fixed_dictionaries({"topologyKey": NAMES}, optional={"labelSelector": SELECTORS})
MACHINES = st.fixed_dictionaries(
    {
        "virtualMachineClassName": NAMES,
        "cpu": st.fixed_dictionaries(
            {"cores": st.integers(1, topology.MOST_CORES).filter(topology.legal)},
            optional={"coreFraction": st.integers(1, 100).map("{}%".format) | st.just("Auto")},
        ),
        "memory": st.fixed_dictionaries({"size": SIZES}),
        "blockDeviceRefs": DEVICES,
    },
    optional={
        "provisioning": PAYLOADS,
        "runPolicy": st.sampled_from(["AlwaysOn", "AlwaysOff", "Manual", "AlwaysOnUnlessStoppedManually"]),
        "osType": st.sampled_from(["Windows", "Generic"]),
        "nodeSelector": TEXTS,
        "tolerations": st.lists(st.fixed_dictionaries({"key": NAMES}, optional={"value": NAMES}), max_size=2),
        "affinity": st.fixed_dictionaries(
            {},
            optional={
                "virtualMachineAndPodAntiAffinity": st.fixed_dictionaries(
                    {"requiredDuringSchedulingIgnoredDuringExecution": st.lists(TERMS, max_size=2)}
                )
            },
        ),
        "terminationGracePeriodSeconds": st.integers(0, 600),
        "disruptions": st.just({}) | st.just({"restartApprovalMode": "Automatic"}),
    },
)
METADATA = st.fixed_dictionaries(
    {"name": NAMES},
    optional={"labels": TEXTS, "annotations": ANNOTATIONS, "namespace": NAMES, "uid": st.text(max_size=3)},
)
SECRETS = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.just("Secret"), "metadata": METADATA, "stringData": ANNOTATIONS}
)
DOCUMENTS = SECRETS | st.fixed_dictionaries(
    {"apiVersion": st.just(GROUP), "kind": st.just("VirtualMachine"), "metadata": METADATA, "spec": MACHINES}
)


@given(DOCUMENTS)
def test_what_was_dumped_validates_to_the_same(document: dict[str, Any]) -> None:
    resource = read(document)
    stored = json.loads(json.dumps(dump(resource)))
    assert read(stored) == resource
    assert dump(read(stored)) == stored


@given(DOCUMENTS)
def test_everything_a_manifest_says_is_kept(document: dict[str, Any]) -> None:
    stored = dump(read(document))
    assert stored["metadata"]["name"] == document["metadata"]["name"]
    for part in ("labels", "annotations"):
        assert stored["metadata"].get(part, {}) == document["metadata"].get(part, {})
    for name, value in document.get("spec", {}).items():
        if isinstance(value, str | int):
            assert stored["spec"][name] == value
    assert stored.get("stringData", {}) == document.get("stringData", {})
