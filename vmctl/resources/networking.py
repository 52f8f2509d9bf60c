"""Networks beside the managed one, as a namespace (Network) or all of them (ClusterNetwork) may use them."""

from __future__ import annotations

from operator import not_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vmctl.resources.checking import Fault
from vmctl.resources.fields import Managed, Spec
from vmctl.resources.placing import NodeSelector
from vmctl.resources.policies import refuse, restart
from vmctl.resources.units import Int, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

WIRED = restart("interfaces are connected at start")


def wired(doc: str) -> Managed:
    """The policy of a field that decides what interfaces are connected to."""
    return Managed(doc, WIRED, seen_at="store:spec")


class Vlan(Spec):
    """A virtual network inside a physical one."""

    id: Annotated[Int, Field(ge=1, le=4094), wired("Its number.")]


class ParentInterfaces(Spec):
    """Interfaces of the host that the network goes out through."""

    label_selector: Annotated[NodeSelector | None, wired("Interfaces by their labels.")] = None


def number_fits_type(spec: NetworkSpec) -> Iterator[Fault]:
    """A VLAN has a number, and nothing else has."""
    if spec.type == "VLAN" and spec.vlan is None:
        yield Fault(("vlan",), "is missing; type VLAN needs its number")
    elif spec.type == "Access" and spec.vlan is not None:
        yield Fault(("vlan",), "does not belong to type Access; remove it, or set type to VLAN")


class NetworkSpec(Spec):
    """What the network is."""

    tag = "type"
    checks = (number_fits_type,)

    type: Annotated[
        Literal["Access", "VLAN"],
        Managed(
            "Access: the interface as it is. VLAN: a virtual network inside it.",
            refuse("machines are connected to it; make another network"),
            seen_at="store:spec",
        ),
    ]
    vlan: Annotated[Vlan | None, wired("The number of type VLAN.")] = None
    parent_node_network_interfaces: Annotated[
        ParentInterfaces | None, wired("Interfaces of the host that the network goes out through.")
    ] = None
    network_class: Annotated[Name | None, wired("The class that a cluster takes numbers from.")] = None
    allowed_namespaces: Annotated[
        tuple[Name, ...], Field(exclude_if=not_), wired("Namespaces that may use it; all, if left out.")
    ] = ()
