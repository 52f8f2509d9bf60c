"""Ingress: web addresses that lead to services."""

from __future__ import annotations

from operator import not_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Fault, Managed, Resource, Spec, Value
from vmctl.resources.policies import at_once
from vmctl.resources.units import Int, Label, Name, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

Host = Annotated[
    str,
    Text(
        r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "is no host name; write it in lower case, such as web.example.com",
        max_length=253,
    ),
]


def served(doc: str) -> Managed:
    """The policy of a field of an ingress: published anew at once."""
    return Managed(doc, at_once(), seen_at="store:spec")


def port_is_named_once(port: BackendPort) -> Iterator[Fault]:
    """A port has a number or a name."""
    if (port.number is None) == (port.name is None):
        yield Fault(("number",), "or name: exactly one of the two says which port is meant")


class BackendPort(Value):
    """A port of a service."""

    checks = (port_is_named_once,)
    number: Annotated[Int | None, Field(ge=1, le=65535, description="Its number.")] = None
    name: Annotated[Label | None, Field(description="Its name.")] = None


class BackendService(Value):
    """A port of a service."""

    name: Annotated[Name, Field(description="The Service.")]
    port: Annotated[BackendPort, Field(description="Its port.")]


class Backend(Value):
    """What a path leads to."""

    service: Annotated[BackendService, Field(description="The Service and its port.")]


class HttpPath(Value):
    """A path and what it leads to."""

    path: Annotated[str | None, Field(description="The path; all, if left out.", pattern=r"^/")] = None
    path_type: Annotated[
        Literal["Exact", "Prefix", "ImplementationSpecific"], Field(description="How paths are compared.")
    ]
    backend: Annotated[Backend, Field(description="What it leads to.")]


class HttpRule(Value):
    """Paths of a host."""

    paths: Annotated[tuple[HttpPath, ...], Field(min_length=1, description="Paths and what they lead to.")]


class IngressRule(Value):
    """A host and its paths."""

    host: Annotated[Host | None, Field(description="The host name; any, if left out.")] = None
    http: Annotated[HttpRule | None, Field(description="Its paths.")] = None


class IngressTls(Value):
    """A certificate for hosts."""

    hosts: Annotated[tuple[Host, ...], Field(exclude_if=not_, description="Host names it is for.")] = ()
    secret_name: Annotated[Name | None, Field(description="The Secret that holds it.")] = None


def leads_somewhere(spec: IngressSpec) -> Iterator[Fault]:
    """An ingress has rules or a default."""
    if not spec.rules and spec.default_backend is None:
        yield Fault(("rules",), "is missing; without rules and defaultBackend it leads nowhere")


class IngressSpec(Spec):
    """Which web addresses lead where."""

    checks = (leads_somewhere,)

    ingress_class_name: Annotated[Name | None, served("Which proxy serves it on a cluster; here there is one.")] = None
    default_backend: Annotated[Backend | None, served("What everything leads to that no rule is for.")] = None
    rules: Annotated[tuple[IngressRule, ...], Field(exclude_if=not_), served("Hosts and paths.")] = ()
    tls: Annotated[tuple[IngressTls, ...], Field(exclude_if=not_), served("Certificates.")] = ()


class Ingress(Resource):
    """Web addresses that lead to services."""

    api_version: Literal["networking.k8s.io/v1"]
    kind: Literal["Ingress"]
    spec: IngressSpec
