"""Placement on a host that is the only one: what is required is evaluated against it, what is preferred has no meaning.

Labels of the host are those of its Node. The sentences say which term is not met, so that a label or the term can be
changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vmctl.planning.usage import is_on

if TYPE_CHECKING:
    from vmctl.planning.objects import Object, Objects

Json = Mapping[str, Any]


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
    found += _neighbours(affinity.get("virtualMachineAndPodAffinity") or {}, machine, objects, wanted=True)
    found += _neighbours(affinity.get("virtualMachineAndPodAntiAffinity") or {}, machine, objects, wanted=False)
    return found


def _node_affinity(affinity: Json, labels: Mapping[str, str], name: str) -> Iterator[str]:
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return
    terms = required.get("nodeSelectorTerms") or ()
    for term in terms:
        fields = {"metadata.name": name}
        if _expressions(term.get("matchExpressions") or (), labels) and _expressions(
            term.get("matchFields") or (), fields
        ):
            return
    shown = "; ".join(
        _shown(expression)
        for term in terms
        for expression in term.get("matchExpressions") or term.get("matchFields") or ()
    )
    yield f"affinity.nodeAffinity requires {shown or 'a term'}, which {name} does not have"


def _neighbours(affinity: Json, machine: Object, objects: Objects, *, wanted: bool) -> Iterator[str]:
    """Terms about machines beside this one; with one host every topology key is this host."""
    for item in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
        term = item.get("virtualMachineAndPodAffinityTerm") or item.get("podAffinityTerm") or item
        selector = term.get("labelSelector") or {}
        spaces = term.get("namespaces") or [machine.key.namespace]
        others = [
            other.key.name
            for other in objects.of_kind("VirtualMachine")
            if other.uid != machine.uid
            and is_on(other)
            and other.key.namespace in spaces
            and matches(selector, other.labels)
        ]
        itself = matches(selector, machine.labels) and machine.key.namespace in spaces
        if wanted and not others and not itself:  # the first of a group that wants to be together may start
            yield f"affinity requires a running machine with {_selector(selector)}, and there is none here"
        if not wanted and others:
            names = ", ".join(sorted(others))
            yield f"anti-affinity keeps it away from {names}, which run here ({_selector(selector)})"


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
        case "Gt":
            return value is not None and value.lstrip("-").isdigit() and int(value) > int(values[0])
        case "Lt":
            return value is not None and value.lstrip("-").isdigit() and int(value) < int(values[0])
        case _:
            return False


def _shown(expression: Json) -> str:
    values = ", ".join(map(str, expression.get("values") or ()))
    return f"{expression['key']} {expression['operator']}" + (f" ({values})" if values else "")


def _selector(selector: Json) -> str:
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ", ".join([*parts, *(_shown(item) for item in selector.get("matchExpressions") or ())]) or "any label"
