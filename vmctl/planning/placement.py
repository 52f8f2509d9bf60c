"""Placement on a host that is the only one: what is required is evaluated against it, what is preferred has no meaning.

Labels of the host are those of its Node. The sentences say which term is not met, so that a label or the term can be
changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vmctl.planning.usage import takes_room
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from vmctl.planning.objects import Object, Objects

Json = Mapping[str, Any]
WHOLE = re.compile(r"-?[0-9]+")


def objections(machine: Object, node: Object | None, klass: Object | None, objects: Objects) -> list[str]:
    """Why this host does not suit the machine; empty when it does."""
    labels: Mapping[str, str] = node.labels if node is not None else {}
    name = node.key.name if node is not None else "this host"
    found: list[str] = []
    for place, selector in (("nodeSelector", machine.document["spec"].get("nodeSelector")),):
        found += [
            f"{place} {key}={value} is not a label of {name}"
            for key, value in (selector or {}).items()
            if labels.get(key) != value
        ]
    if klass is not None:
        selector = klass.document["spec"].get("nodeSelector")
        if selector and not matches(selector, labels):
            found.append(f"the nodeSelector of class {klass.key.name} does not match {name}")
    affinity = machine.document["spec"].get("affinity") or {}
    found += _node_affinity(affinity.get("nodeAffinity") or {}, labels, name)
    found += _company(machine, objects)
    return found


def _node_affinity(affinity: Json, labels: Mapping[str, str], name: str) -> Iterator[str]:
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return
    terms = required.get("nodeSelectorTerms") or ()
    fields = {"metadata.name": name}
    for term in terms:
        on_labels, on_fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
        empty = not (on_labels or on_fields)  # such a term suits no node, as Kubernetes has it
        if not empty and _expressions(on_labels, labels) and _expressions(on_fields, fields):
            return
    shown = "; ".join(
        _shown(expression)
        for term in terms
        for expression in (*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ()))
    )
    yield f"affinity.nodeAffinity requires {shown or 'a term that is empty'}, which {name} does not have"


def _required(machine: Object, name: str) -> Iterable[Json]:
    affinity = (machine.document["spec"].get("affinity") or {}).get(name) or {}
    terms: Iterable[Json] = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return terms


def _company(machine: Object, objects: Objects) -> Iterator[str]:
    """Terms about machines beside this one, and theirs about it; with one host every topology key is this host."""
    others = [other for other in objects.of_kind("VirtualMachine") if other.uid != machine.uid and takes_room(other)]
    for term in _required(machine, "virtualMachineAndPodAffinity"):
        near = any(_means(term, machine, other, objects) for other in others)
        if not near and not _means(term, machine, machine, objects):  # the first of a group may start
            yield f"affinity requires a running machine with {_selector(term)}, and there is none here"
    for term in _required(machine, "virtualMachineAndPodAntiAffinity"):
        names = ", ".join(sorted(other.key.name for other in others if _means(term, machine, other, objects)))
        if names:
            yield f"anti-affinity keeps it away from {names}, which run here ({_selector(term)})"
    for other in others:
        if any(_means(term, other, machine, objects) for term in _required(other, "virtualMachineAndPodAntiAffinity")):
            yield f"the anti-affinity of {other.key.name}, which runs here, keeps it away"


def _means(term: Json, owner: Object, other: Object, objects: Objects) -> bool:
    """Whether a term in the manifest of `owner` is about `other`: its namespace and its labels are meant."""
    selector = term.get("labelSelector")
    if selector is None or not _in_reach(term, owner, other.key.namespace, objects):
        return False
    same, differs = (
        [key for key in term.get(name) or () if key in owner.labels] for name in ("matchLabelKeys", "mismatchLabelKeys")
    )
    return (
        matches(selector, other.labels)
        and all(other.labels.get(key) == owner.labels[key] for key in same)
        and all(other.labels.get(key) != owner.labels[key] for key in differs)
    )


def _in_reach(term: Json, owner: Object, namespace: str, objects: Objects) -> bool:
    names, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    if selector is None and not names:
        return namespace == owner.key.namespace
    declared = objects.get(Key("Namespace", "", namespace))
    labels = {**(declared.labels if declared is not None else {}), "kubernetes.io/metadata.name": namespace}
    return namespace in names or (selector is not None and matches(selector, labels))


def matches(selector: Json, labels: Mapping[str, str]) -> bool:
    """A label selector as Kubernetes reads it; the empty one matches everything."""
    exact = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return exact and _expressions(selector.get("matchExpressions") or (), labels)


def _expressions(expressions: Iterable[Json], labels: Mapping[str, str]) -> bool:
    return all(_holds(item, labels) for item in expressions)


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    key: str = expression["key"]
    values: list[str] = list(expression.get("values") or ())
    value = labels.get(key)
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            has, bound = _number(value), _number(values[0] if values else None)
            return has is not None and bound is not None and (has > bound if operator == "Gt" else has < bound)
        case _:
            return False


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and WHOLE.fullmatch(text) else None


def _shown(expression: Json) -> str:
    values = ", ".join(map(str, expression.get("values") or ()))
    return f"{expression['key']} {expression['operator']}" + (f" ({values})" if values else "")


def _selector(term: Json) -> str:
    selector: Json = term.get("labelSelector") or {}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ", ".join([*parts, *(_shown(item) for item in selector.get("matchExpressions") or ())]) or "any label"
