"""VirtualMachineClass: what machines of one sort have in common: CPU model, sizes, placement.

Stored and printed as v1alpha3; v1alpha2 differs only in writing shares as bare numbers, which are rewritten.
"""

from __future__ import annotations

from operator import not_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from vmctl.resources.annotations import DEFAULT_MACHINE_CLASS
from vmctl.resources.declaring import Fault, Managed, Remark, Resource, Spec, Value
from vmctl.resources.placing import NodeSelector, Toleration
from vmctl.resources.policies import at_once, refuse
from vmctl.resources.units import CoreFraction, Flag, Int, Name, Percent, Size, percent, quantity_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

STORED = "virtualization.deckhouse.io/v1alpha3"
OLDER = "virtualization.deckhouse.io/v1alpha2"
Items = Field(exclude_if=not_)
CPU = Managed(
    "", refuse("machines were sized and placed by it; make another class"), seen_at="store:spec"
)  # the sentence of each field is its own


def cpu(doc: str) -> Managed:
    """The policy of a field of the processor model, which never changes."""
    return Managed(doc, CPU.change, seen_at=CPU.seen_at)


def _as_percent(value: Any) -> Any:
    """25 and '25' as v1alpha2 writes them, 25% as v1alpha3 does."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return f"{value}%" if whole or (isinstance(value, str) and value.isdigit()) else value


def _newer(value: Any) -> Any:
    return STORED if value == OLDER else value


def _share(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "integer"], "pattern": pattern, "minimum": 1, "maximum": 100})


Share = Annotated[Percent, BeforeValidator(_as_percent), _share("^(100|[1-9][0-9]?)%?$")]
DefaultShare = Annotated[CoreFraction, BeforeValidator(_as_percent), _share("^(Auto|(100|[1-9][0-9]?)%?)$")]


class Discovery(Spec):
    """Which nodes the common features are looked for on."""

    node_selector: Annotated[NodeSelector | None, cpu("Nodes by their labels; on one host, this one or none.")] = None


def fields_fit_type(model: CpuModel) -> Iterator[Fault]:
    """Model needs a model, Features needs features, and neither belongs anywhere else."""
    allowed = {"Model": "model", "Features": "features", "Discovery": "discovery"}.get(model.type)
    for name in ("model", "features", "discovery"):
        given = bool(getattr(model, name)) if name != "discovery" else model.discovery is not None
        if given and name != allowed:
            yield Fault((name,), f"does not belong to type {model.type}; remove it")
        elif not given and name == allowed != "discovery":
            yield Fault((name,), f"is missing; type {model.type} needs it")


class CpuModel(Spec):
    """The processor that guests see."""

    tag = "type"
    checks = (fields_fit_type,)

    type: Annotated[
        Literal["Host", "HostPassthrough", "Discovery", "Model", "Features"],
        cpu(
            "Host: close to the host's own. HostPassthrough: exactly the host's. Model: a named one. Features: named "
            "features. Discovery: what the nodes have in common."
        ),
    ]
    model: Annotated[Name | None, cpu("The model of type Model, such as IvyBridge.")] = None
    features: Annotated[tuple[Name, ...], Items, cpu("The features of type Features, such as vmx.")] = ()
    discovery: Annotated[Discovery | None, cpu("Where type Discovery looks.")] = None


def cores_are_in_order(cores: CoreRange) -> Iterator[Fault]:
    """A range goes up, and its step fits in."""
    if cores.max <= cores.min:
        yield Fault(("max",), f"must be more than min, {cores.min}")
    if cores.step is not None and cores.max <= cores.step:
        yield Fault(("step",), f"must be less than max, {cores.max}")


class CoreRange(Value):
    """Numbers of cores that a policy is for."""

    checks = (cores_are_in_order,)
    min: Annotated[Int, Field(ge=1, description="The least number of cores.")]
    max: Annotated[Int, Field(ge=1, le=1024, description="The greatest number of cores.")]
    step: Annotated[
        Int | None, Field(ge=1, description="Only min, min + step, min + 2 steps … and max are allowed.")
    ] = None


def sizes_are_in_order(sizes: SizeRange) -> Iterator[Fault]:
    """A range goes up."""
    if sizes.min is not None and sizes.max is not None and quantity_bytes(sizes.max) < quantity_bytes(sizes.min):
        yield Fault(("max",), f"must not be less than min, {sizes.min}")


class SizeRange(Value):
    """A range of memory."""

    checks = (sizes_are_in_order,)
    min: Annotated[Size | None, Field(description="The least.")] = None
    max: Annotated[Size | None, Field(description="The most.")] = None


class MemoryRange(SizeRange):
    """How much memory machines may have."""

    step: Annotated[
        Size | None, Field(description="Only min, min + step … and max are allowed; counts where max is given.")
    ] = None
    per_core: Annotated[SizeRange | None, Field(description="The same for each core.")] = None


def default_is_allowed(policy: SizingPolicy) -> Iterator[Fault]:
    """The default share is one of those that are allowed."""
    default, allowed = policy.default_core_fraction, policy.core_fractions
    if default not in (None, "Auto") and allowed and default not in allowed:
        yield Fault(("defaultCoreFraction",), f"{default} is not in coreFractions: {', '.join(allowed)}")


class SizingPolicy(Value):
    """What machines with so many cores may look like."""

    checks = (default_is_allowed,)
    cores: Annotated[CoreRange, Field(description="The numbers of cores that this policy is for.")]
    memory: Annotated[MemoryRange | None, Field(description="How much memory they may have.")] = None
    core_fractions: Annotated[
        tuple[Share, ...], Items, Field(description="Guaranteed shares of a core that they may ask for.")
    ] = ()
    default_core_fraction: Annotated[
        DefaultShare | None, Field(description="The share of those that ask for none; 100% if left out.")
    ] = None
    dedicated_cores: Annotated[
        tuple[Flag, ...], Items, Field(description="Whether cores may be dedicated; kept, and not enforced.")
    ] = ()

    def shares_percent(self) -> tuple[int, ...]:
        """The allowed shares as numbers."""
        return tuple(percent(share) for share in self.core_fractions)


def ranges_do_not_overlap(spec: VirtualMachineClassSpec) -> Iterator[Fault]:
    """For a number of cores there is one policy at most."""
    for index, policy in enumerate(spec.sizing_policies):
        for before, other in enumerate(spec.sizing_policies[:index]):
            if policy.cores.min <= other.cores.max and other.cores.min <= policy.cores.max:
                yield Fault(
                    ("sizingPolicies", index, "cores"),
                    f"{policy.cores.min} to {policy.cores.max} overlaps with item {before}, "
                    f"{other.cores.min} to {other.cores.max}",
                )


class VirtualMachineClassSpec(Spec):
    """What machines of one sort have in common."""

    checks = (ranges_do_not_overlap,)

    cpu: CpuModel
    node_selector: Annotated[
        NodeSelector | None,
        Managed("Nodes that machines of this class may run on, by their labels.", at_once(), seen_at="store:spec"),
    ] = None
    tolerations: Annotated[
        tuple[Toleration, ...],
        Items,
        Managed(
            "Taints that machines of this class put up with.",
            at_once(),
            seen_at="store:spec",
            caution=Remark("has no meaning on one host; it is kept, and ignored"),
        ),
    ] = ()
    sizing_policies: Annotated[
        tuple[SizingPolicy, ...],
        Field(max_length=16, exclude_if=not_),
        Managed(
            "Which sizes machines may have; the first policy whose range has their number of cores counts. Running "
            "machines are left alone.",
            at_once(),
            seen_at="store:spec",
        ),
    ] = ()


def default_is_true(kind: VirtualMachineClass) -> Iterator[Fault]:
    """The annotation that makes a class the default one knows one value."""
    value = kind.metadata.annotations.get(DEFAULT_MACHINE_CLASS, "true")
    if value != "true":
        yield Fault(
            ("metadata", "annotations", DEFAULT_MACHINE_CLASS), 'can only be "true"; remove the annotation instead'
        )


class VirtualMachineClass(Resource):
    """What machines of one sort have in common. `host` and `generic` are there without being declared."""

    namespaced = False
    checks = (*Resource.checks, default_is_true)

    api_version: Annotated[
        Literal["virtualization.deckhouse.io/v1alpha3"],
        BeforeValidator(_newer),
        WithJsonSchema({"enum": [STORED, OLDER], "type": "string"}),
    ]
    kind: Literal["VirtualMachineClass"]
    spec: VirtualMachineClassSpec
