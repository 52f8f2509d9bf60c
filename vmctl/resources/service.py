"""Service: a port of the host that leads to machines."""

from __future__ import annotations

import re
from collections import Counter
from operator import not_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from vmctl.resources.declaring import Fault, Managed, Remark, Resource, Spec, Value
from vmctl.resources.metadata import Labels
from vmctl.resources.policies import at_once
from vmctl.resources.units import LABEL, Int, Label, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

Port = Annotated[Int, Field(ge=1, le=65535)]
IGNORED = Remark("belongs to a cluster; it is kept, and ignored on one host")


def _is_port(value: object) -> object:
    number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535
    if number or (isinstance(value, str) and len(value) <= 63 and re.fullmatch(LABEL[1:-1], value)):
        return value
    raise PydanticCustomError("text", "is no port; write a number from 1 to 65535, or the name of a port")


TargetPort = Annotated[
    int | str,
    PlainValidator(_is_port),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 1, "maximum": 65535, "pattern": LABEL}),
]


def served(doc: str, caution: Remark | None = None) -> Managed:
    """The policy of a field of a service: published anew at once."""
    return Managed(doc, at_once(), seen_at="store:spec", caution=caution)


class ServicePort(Value):
    """One port that is published."""

    name: Annotated[Label | None, Field(description="What the port is called; needed where there are several.")] = None
    protocol: Annotated[Literal["TCP", "UDP", "SCTP"], Field(description="The protocol.")] = "TCP"
    app_protocol: Annotated[str | None, Field(description="A hint about what is spoken; kept, and ignored.")] = None
    port: Annotated[Port, Field(description="The port of the service.")]
    target_port: Annotated[
        TargetPort | None, Field(description="The port of the machine, by number or name; the same if left out.")
    ] = None
    node_port: Annotated[
        Annotated[Int, Field(ge=1, le=65535)] | None,
        Field(description="The port of the host, for types NodePort and LoadBalancer; chosen if left out."),
    ] = None


def ports_differ(spec: ServiceSpec) -> Iterator[Fault]:
    """A port is published once, and has a name where there are several."""
    counts = Counter((port.protocol, port.port) for port in spec.ports)
    for index, port in enumerate(spec.ports):
        if counts[port.protocol, port.port] > 1:
            yield Fault(("ports", index, "port"), f"{port.port}/{port.protocol} is published more than once")
        if len(spec.ports) > 1 and port.name is None:
            yield Fault(("ports", index, "name"), "is missing; each of several ports needs a name")
        if port.node_port is not None and spec.type == "ClusterIP":
            yield Fault(("ports", index, "nodePort"), "does not belong to type ClusterIP; set type to NodePort")


class ServiceSpec(Spec):
    """Which ports lead to which machines."""

    checks = (ports_differ,)

    type: Annotated[
        Literal["ClusterIP", "NodePort", "LoadBalancer"],
        served("Who can reach it: machines and the host itself, or everybody who reaches the host."),
    ] = "ClusterIP"
    selector: Annotated[Labels, Field(exclude_if=not_), served("Labels of the machines it leads to.")] = Labels()
    ports: Annotated[tuple[ServicePort, ...], Field(min_length=1), served("The ports that are published.")]
    cluster_ip: Annotated[str | None, Field(alias="clusterIP"), served("An address of a cluster.", IGNORED)] = None
    load_balancer_ip: Annotated[
        str | None, Field(alias="loadBalancerIP"), served("The address of the host to listen on, for LoadBalancer.")
    ] = None
    external_traffic_policy: Annotated[
        Literal["Cluster", "Local"] | None, served("Where a cluster answers.", IGNORED)
    ] = None
    internal_traffic_policy: Annotated[
        Literal["Cluster", "Local"] | None, served("Where a cluster answers.", IGNORED)
    ] = None
    session_affinity: Annotated[
        Literal["None", "ClientIP"] | None, served("Whether a client stays with one machine.")
    ] = None
    load_balancer_class: Annotated[Name | None, served("Who balances on a cluster.", IGNORED)] = None


class Service(Resource):
    """Ports that lead to machines."""

    longest_name = 63
    dots_in_name = False

    api_version: Literal["v1"]
    kind: Literal["Service"]
    spec: ServiceSpec
