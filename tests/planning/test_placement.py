"""Selectors and affinity as Kubernetes reads them, on a host that is the only one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.planning.samples import having, machine, objects
from tests.planning.worlds import declared
from vmctl.planning.placement import matches, objections

if TYPE_CHECKING:
    from vmctl.planning.objects import Object

Json = dict[str, Any]
LABELS = {"zone": "a", "rank": "10", "empty": ""}
NODE = declared({"kind": "Node", "metadata": {"name": "host1", "labels": LABELS}})


def one(key: str, operator: str, *values: str) -> Json:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({}, True),
        ({"matchLabels": {"zone": "a"}}, True),
        ({"matchLabels": {"zone": "b"}}, False),
        ({"matchLabels": {"zone": "a", "other": "a"}}, False),
        ({"matchLabels": {"empty": ""}}, True),
        ({"matchLabels": {"other": ""}}, False),
        (one("zone", "In", "a", "b"), True),
        (one("zone", "In", "b"), False),
        (one("other", "In", "a"), False),
        (one("zone", "NotIn", "b"), True),
        (one("zone", "NotIn", "a"), False),
        (one("other", "NotIn", "a"), True),  # what is not there is not in
        (one("zone", "Exists"), True),
        (one("empty", "Exists"), True),
        (one("other", "Exists"), False),
        (one("zone", "DoesNotExist"), False),
        (one("other", "DoesNotExist"), True),
        (one("rank", "Gt", "9"), True),
        (one("rank", "Gt", "10"), False),
        (one("rank", "Gt", "-11"), True),
        (one("rank", "Lt", "11"), True),
        (one("rank", "Lt", "10"), False),
        (one("zone", "Gt", "1"), False),  # no number
        (one("other", "Lt", "1"), False),
        (one("rank", "Gt", "--5"), False),
        (one("rank", "Gt", "²"), False),
        ({"matchLabels": {"zone": "a"}, **one("rank", "Gt", "10")}, False),  # all must hold
        ({"matchLabels": {"zone": "a"}, **one("rank", "Gt", "9")}, True),
    ],
)
def test_selectors(selector: Json, fits: bool) -> None:
    assert matches(selector, LABELS) is fits


def terms(*found: Json) -> Json:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(found)}}
    return {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, ""),
        ({"nodeSelector": {"zone": "a"}}, ""),
        ({"nodeSelector": {"zone": "b", "rank": "10"}}, "nodeSelector zone=b is not a label of host1"),
        (terms(one("zone", "In", "a")), ""),
        (terms(one("zone", "In", "b"), one("rank", "Gt", "9")), ""),  # one of them is enough
        (terms(one("zone", "In", "b")), "requires zone In (b), which host1 does not have"),
        (terms({}), "requires a term that is empty"),  # such a term suits no node
        (terms({}, one("zone", "Exists")), ""),
        (terms({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["host1"]}]}), ""),
        (
            terms({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["host2"]}]}),
            "requires metadata.name In (host2)",
        ),
        (
            {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": one("zone", "In", "b")}]}}},
            "",
        ),  # what is preferred has no meaning on one host
    ],
)  # fmt: skip
def test_the_node(spec: Json, says: str) -> None:
    item = machine("web", spec=spec)
    found = objections(item, NODE, None, objects(item, NODE))
    assert len(found) == bool(says)
    assert says in "".join(found)


@pytest.mark.parametrize(("zone", "fits"), [("a", True), ("b", False)])
def test_the_class(zone: str, fits: bool) -> None:
    selector = {"matchLabels": {"zone": zone}}
    spec = {"cpu": {"type": "Host"}, "nodeSelector": selector}
    klass = declared({"kind": "VirtualMachineClass", "metadata": {"name": "mine"}, "spec": spec})
    item = machine("web")
    found = objections(item, NODE, klass, objects(item, NODE, klass))
    assert found == ([] if fits else ["the nodeSelector of class mine does not match host1"])


def near(**term: Any) -> Json:
    return affinity("virtualMachineAndPodAffinity", **term)


def apart(**term: Any) -> Json:
    return affinity("virtualMachineAndPodAntiAffinity", **term)


def affinity(name: str, **term: Any) -> Json:
    required = [{"topologyKey": "kubernetes.io/hostname", **term}]
    return {"affinity": {name: {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


SHOP = {"labelSelector": {"matchLabels": {"app": "shop"}}}
RUNNING: Json = {"phase": "Running", "status": having("other")}


def told(item: Object, *others: Object) -> str:
    return "; ".join(objections(item, NODE, None, objects(item, NODE, *others)))


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        (RUNNING, True),
        ({"phase": "Starting"}, True),
        ({"phase": "Stopped"}, False),
        ({"phase": "Pending"}, False),
        ({"phase": "Starting", "status": {"conditions": [{"type": "Running", "reason": "PodNotStarted"}]}}, False),
        ({"phase": "Terminating", "status": having("other")}, True),
    ],
)
def test_only_machines_that_are_here_count(state: Json, counts: bool) -> None:
    other = machine("other", "other", labels={"app": "shop"}, **state)
    assert ("keeps it away from other" in told(machine("web", spec=apart(**SHOP)), other)) is counts
    assert ("none here" not in told(machine("web", spec=near(**SHOP)), other)) is counts


def test_the_first_of_a_group_may_start() -> None:
    assert not told(machine("web", labels={"app": "shop"}, spec=near(**SHOP)))
    assert told(machine("web", spec=near(**SHOP)))


def test_a_machine_is_not_kept_away_by_itself() -> None:
    assert not told(machine("web", labels={"app": "shop"}, spec=apart(**SHOP), **{**RUNNING, "status": having("root")}))


def test_who_runs_here_may_keep_others_away() -> None:
    other = machine("other", "other", spec=apart(**SHOP), **RUNNING)
    assert (
        told(machine("web", labels={"app": "shop"}), other)
        == "the anti-affinity of other, which runs here, keeps it away"
    )
    assert not told(machine("web"), other)


@pytest.mark.parametrize(
    ("term", "meant"),
    [
        ({}, False),  # no selector means nobody
        ({"labelSelector": {}}, True),  # an empty one everybody
        (SHOP, True),
        ({**SHOP, "namespaces": ["lab"]}, False),
        ({**SHOP, "namespaces": ["lab", "default"]}, True),
        ({**SHOP, "namespaceSelector": {}}, True),
        ({**SHOP, "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "lab"}}}, False),
        ({**SHOP, "matchLabelKeys": ["version"]}, True),
        ({**SHOP, "matchLabelKeys": ["colour"]}, False),
        ({**SHOP, "matchLabelKeys": ["nothing"]}, True),  # what the machine does not have is left out
        ({**SHOP, "mismatchLabelKeys": ["version"]}, False),
        ({**SHOP, "mismatchLabelKeys": ["colour"]}, True),
    ],
)
def test_whom_a_term_means(term: Json, meant: bool) -> None:
    other = machine("other", "other", labels={"app": "shop", "version": "1", "colour": "red"}, **RUNNING)
    mine = {"version": "1", "colour": "blue"}
    assert bool(told(machine("web", labels=mine, spec=apart(**term)), other)) is meant


def test_other_namespaces_are_selected_by_their_labels() -> None:
    space = declared({"kind": "Namespace", "metadata": {"name": "lab", "labels": {"tier": "test"}}})
    other = machine("other", "other", labels={"app": "shop"}, namespace="lab", **RUNNING)
    term = {**SHOP, "namespaceSelector": {"matchLabels": {"tier": "test"}}}
    assert told(machine("web", spec=apart(**term)), other, space)
    assert not told(machine("web", spec=apart(**SHOP)), other, space)
