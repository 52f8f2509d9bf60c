"""Node: the host. A manifest adds labels to it."""

from __future__ import annotations

from operator import not_
from typing import Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Managed, Remark, Resource, Spec, Value
from vmctl.resources.policies import at_once
from vmctl.resources.units import Flag, Name

IGNORED = Remark("has no meaning on one host; it is kept, and ignored")


class Taint(Value):
    """What keeps machines away from a node."""

    key: Annotated[Name, Field(description="The key.")]
    value: Annotated[str | None, Field(description="The value.")] = None
    effect: Annotated[Literal["NoSchedule", "PreferNoSchedule", "NoExecute"], Field(description="What it does.")]
    time_added: Annotated[str | None, Field(description="When it was added.")] = None


class NodeSpec(Spec):
    """What a cluster says about a node."""

    unschedulable: Annotated[
        Flag | None,
        Managed(
            "Whether new machines are kept away.",
            at_once(),
            seen_at="store:spec",
            unset="keep",
            caution=Remark(IGNORED.text, bool),
        ),
    ] = None
    taints: Annotated[
        tuple[Taint, ...],
        Field(exclude_if=not_),
        Managed("What keeps machines away.", at_once(), seen_at="store:spec", caution=IGNORED),
    ] = ()
    pod_cidr: Annotated[
        str | None, Field(alias="podCIDR"), Managed("Kept, and ignored.", at_once(), seen_at="store:spec", unset="keep")
    ] = None
    pod_cidrs: Annotated[
        tuple[str, ...],
        Field(alias="podCIDRs", exclude_if=not_),
        Managed("Kept, and ignored.", at_once(), seen_at="store:spec", unset="keep"),
    ] = ()
    provider_id: Annotated[
        str | None,
        Field(alias="providerID"),
        Managed("Kept, and ignored.", at_once(), seen_at="store:spec", unset="keep"),
    ] = None


class Node(Resource):
    """The host: its name and labels. It is there without being declared."""

    namespaced = False

    api_version: Literal["v1"]
    kind: Literal["Node"]
    spec: Annotated[
        NodeSpec | None, Managed("What a cluster says about a node.", at_once(), seen_at="store:spec", unset="keep")
    ] = None
