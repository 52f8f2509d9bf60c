"""Selectors, affinity, tolerations: where a machine may run. Compared whole; on one host, evaluated by planning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import not_
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vmctl.resources.checking import Fault
from vmctl.resources.fields import Value
from vmctl.resources.metadata import Labels
from vmctl.resources.units import Int, Name

Items = Field(exclude_if=not_)


def values_fit_operator(expression: NodeExpression) -> Iterator[Fault]:
    """In and NotIn compare with values, Exists and DoesNotExist with none, Gt and Lt with one whole number."""
    operator, values = expression.operator, expression.values
    if operator in ("In", "NotIn") and not values:
        yield Fault(("values",), f"is missing; operator {operator} compares with at least one value")
    elif operator in ("Exists", "DoesNotExist") and values:
        yield Fault(("values",), f"does not belong to operator {operator}; remove it")
    elif operator in ("Gt", "Lt") and not (len(values) == 1 and values[0].lstrip("-").isdigit()):
        yield Fault(("values",), f"must be one whole number, in quotes, for operator {operator}")


class NodeExpression(Value):
    """A condition on one label of a node; also greater and less than a number."""

    checks = (values_fit_operator,)
    key: Annotated[Name, Field(description="The key of the label.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
        Field(description="How the label is compared with the values."),
    ]
    values: Annotated[tuple[str, ...], Items, Field(description="What the label is compared with.")] = ()


class Expression(NodeExpression):
    """A condition on one label."""

    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Field(description="How the label is compared with the values."),
    ]


class LabelSelector(Value):
    """Objects by their labels; all conditions must hold, none at all selects everything."""

    match_labels: Annotated[Labels, Items, Field(description="Labels that must be there with these values.")] = Labels()
    match_expressions: Annotated[
        tuple[Expression, ...], Items, Field(description="Conditions on labels that must all hold.")
    ] = ()


class NodeSelector(Value):
    """Nodes by their labels; all conditions must hold, none at all selects every node."""

    match_labels: Annotated[Labels, Items, Field(description="Labels that must be there with these values.")] = Labels()
    match_expressions: Annotated[
        tuple[NodeExpression, ...], Items, Field(description="Conditions on labels that must all hold.")
    ] = ()


class NodeSelectorTerm(Value):
    """One way for a node to fit: all its conditions hold."""

    match_expressions: Annotated[
        tuple[NodeExpression, ...], Items, Field(description="Conditions on labels of the node.")
    ] = ()
    match_fields: Annotated[
        tuple[NodeExpression, ...], Items, Field(description="Conditions on fields of the node, such as metadata.name.")
    ] = ()


class RequiredNodes(Value):
    """Nodes that a machine must run on."""

    node_selector_terms: Annotated[
        tuple[NodeSelectorTerm, ...], Field(min_length=1, description="Ways for a node to fit; one is enough.")
    ]


Weight = Annotated[Int, Field(ge=1, le=100, description="How much the preference counts, 1 to 100.")]


class PreferredNodes(Value):
    """Nodes that a machine would rather run on."""

    weight: Weight
    preference: Annotated[NodeSelectorTerm, Field(description="What makes a node preferred.")]


class NodeAffinity(Value):
    """Which nodes suit a machine."""

    required_during_scheduling_ignored_during_execution: Annotated[
        RequiredNodes | None, Field(description="Nodes the machine must run on, judged when it starts.")
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredNodes, ...], Items, Field(description="Nodes the machine would rather run on.")
    ] = ()


class AffinityTerm(Value):
    """Other machines, and what counts as near them."""

    label_selector: Annotated[LabelSelector | None, Field(description="Which machines are meant, by their labels.")] = (
        None
    )
    namespace_selector: Annotated[
        LabelSelector | None, Field(description="Namespaces to look in, by their labels.")
    ] = None
    namespaces: Annotated[
        tuple[Name, ...], Items, Field(description="Namespaces to look in; the machine's own where none is said.")
    ] = ()
    topology_key: Annotated[
        Name, Field(description="The node label whose equal value makes two nodes near: kubernetes.io/hostname.")
    ]
    match_label_keys: Annotated[
        tuple[Name, ...], Items, Field(description="Label keys whose values are taken from the machine itself.")
    ] = ()
    mismatch_label_keys: Annotated[
        tuple[Name, ...], Items, Field(description="Label keys whose values must differ from the machine's own.")
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _unwrapped(cls, data: Any) -> Any:
        """Accept the form of older documents, where a required term is wrapped like a weighted one."""
        if isinstance(data, Mapping) and set(data) in ({"podAffinityTerm"}, {"podAffinityTerm", "weight"}):
            return data["podAffinityTerm"]
        return data


class WeightedTerm(Value):
    """Other machines that a machine would rather be near, or far from."""

    weight: Weight
    virtual_machine_and_pod_affinity_term: Annotated[AffinityTerm, Field(description="Which machines are meant.")]

    @model_validator(mode="before")
    @classmethod
    def _older_spelling(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "podAffinityTerm" in data:
            return {{"podAffinityTerm": "virtualMachineAndPodAffinityTerm"}.get(key, key): data[key] for key in data}
        return data


class MachineAffinity(Value):
    """How a machine is placed in relation to others."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[AffinityTerm, ...], Items, Field(description="What must hold when the machine starts.")
    ] = ()
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[WeightedTerm, ...], Items, Field(description="What is preferred.")
    ] = ()


class Affinity(Value):
    """Where a machine may and should run."""

    node_affinity: Annotated[NodeAffinity | None, Field(description="Which nodes suit the machine.")] = None
    virtual_machine_and_pod_affinity: Annotated[
        MachineAffinity | None, Field(description="Machines to run on the same host with.")
    ] = None
    virtual_machine_and_pod_anti_affinity: Annotated[
        MachineAffinity | None, Field(description="Machines not to run on the same host with.")
    ] = None

    @property
    def has_preferences(self) -> bool:
        """Whether anything is preferred rather than required, which means nothing where there is one host."""
        parts = (self.node_affinity, self.virtual_machine_and_pod_affinity, self.virtual_machine_and_pod_anti_affinity)
        return any(part is not None and part.preferred_during_scheduling_ignored_during_execution for part in parts)


def toleration_is_whole(toleration: Toleration) -> Iterator[Fault]:
    """Exists takes no value; a key may be left out only with Exists."""
    if toleration.operator == "Exists" and toleration.value:
        yield Fault(("value",), "does not belong to operator Exists; remove it")
    if toleration.operator != "Exists" and not toleration.key:
        yield Fault(("key",), "is missing; only operator Exists does without")


class Toleration(Value):
    """A taint of nodes that is put up with."""

    checks = (toleration_is_whole,)
    key: Annotated[str | None, Field(description="The key of the taint.")] = None
    operator: Annotated[
        Literal["Exists", "Equal"] | None, Field(description="How it is compared; Equal if left out.")
    ] = None
    value: Annotated[str | None, Field(description="The value of the taint.")] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="Which effect; any if left out."),
    ] = None
    toleration_seconds: Annotated[Int | None, Field(description="For how long it is put up with, in seconds.")] = None


class TopologySpreadConstraint(Value):
    """How evenly machines are spread over nodes."""

    max_skew: Annotated[Int, Field(ge=1, description="The largest difference in number between two groups of nodes.")]
    topology_key: Annotated[Name, Field(description="The node label that groups nodes.")]
    when_unsatisfiable: Annotated[
        Literal["DoNotSchedule", "ScheduleAnyway"], Field(description="What to do where it cannot be had.")
    ]
    label_selector: Annotated[LabelSelector | None, Field(description="Which machines are counted.")] = None
    match_label_keys: Annotated[
        tuple[Name, ...], Items, Field(description="Label keys whose values are taken from the machine itself.")
    ] = ()
    min_domains: Annotated[Int | None, Field(ge=1, description="The least number of groups.")] = None
    node_affinity_policy: Annotated[
        Literal["Honor", "Ignore"] | None, Field(description="Whether node affinity is considered in counting.")
    ] = None
    node_taints_policy: Annotated[
        Literal["Honor", "Ignore"] | None, Field(description="Whether taints are considered in counting.")
    ] = None
