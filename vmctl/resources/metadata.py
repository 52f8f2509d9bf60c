"""metadata: names, labels, annotations, owners; and our own fields, which readers paste back from `get -o yaml`."""

from __future__ import annotations

from operator import not_
from typing import Annotated

from pydantic import Field
from pydantic_core import CoreSchema, core_schema

from vmctl.resources.fields import Ignored, Managed, Spec, Value
from vmctl.resources.policies import at_once, refuse
from vmctl.resources.texts import Texts
from vmctl.resources.units import SUBDOMAIN, Flag, Int, Label, Name, Subdomain

LABEL_KEY = rf"^({SUBDOMAIN[1:-1]}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"

_WRONG_KEY = (
    "is no legal key; write NAME or PREFIX/NAME, NAME with at most 63 letters, digits, dashes, dots and underscores"
)
_WRONG_VALUE = (
    "is no legal label value; write at most 63 letters, digits, dashes, dots and underscores, in quotes if it is "
    "a number or a truth value"
)
_WRONG_TEXT = "is no string; put it in quotes"


def _text(pattern: str | None, wrong: str, max_length: int | None = None) -> CoreSchema:
    inner = core_schema.str_schema(pattern=pattern, max_length=max_length)
    return core_schema.custom_error_schema(inner, "text", custom_error_message=wrong)


class Labels(Texts):
    """Labels, and selectors made of them."""

    __slots__ = ()

    @classmethod
    def items_schema(cls) -> CoreSchema:
        """Keys and values as Kubernetes bounds them."""
        return core_schema.dict_schema(_text(LABEL_KEY, _WRONG_KEY, 317), _text(LABEL_VALUE, _WRONG_VALUE))


class Annotations(Texts):
    """Annotations: keys as for labels, values are any text."""

    __slots__ = ()

    @classmethod
    def items_schema(cls) -> CoreSchema:
        """Keys as Kubernetes bounds them."""
        return core_schema.dict_schema(_text(LABEL_KEY, _WRONG_KEY, 317), _text(None, _WRONG_TEXT))


class OwnerReference(Value):
    """An object whose deletion takes this one along."""

    api_version: Annotated[Name, Field(description="The owner's group and version.")]
    kind: Annotated[Name, Field(description="The owner's kind.")]
    name: Annotated[Name, Field(description="The owner's name.")]
    uid: Annotated[str, Field(description="The owner's uid; found by kind and name where it is left out.")] = ""
    controller: Annotated[Flag | None, Field(description="Whether the owner is the one that manages this object.")] = (
        None
    )
    block_owner_deletion: Annotated[
        Flag | None, Field(description="Whether the owner waits in Terminating until this object is gone.")
    ] = None


def server_set(doc: str) -> Managed:
    """The policy of a field that vmctl writes and a manifest cannot change: never a difference."""
    return Managed(doc, at_once(), seen_at="store:metadata", unset="keep", measure=lambda _: None)


class ObjectMeta(Spec):
    """Who an object is, and what people attach to it."""

    name: Annotated[
        Subdomain,
        Field(exclude_if=not_),
        Managed(
            "The name, unique among objects of one kind in one namespace.",
            refuse("another name is another object"),
            seen_at="store:metadata",
        ),
    ] = ""
    generate_name: Annotated[
        str,
        Field(exclude_if=not_, max_length=253, pattern=r"^([a-z0-9][-a-z0-9.]*)?$"),
        server_set("A prefix for a name that `vmctl create` makes; `apply` and `run` refuse it."),
    ] = ""
    namespace: Annotated[
        Label,
        Field(exclude_if=not_),
        Managed(
            "The namespace; `default` where nothing else is said. Namespaces need no declaring.",
            refuse("another namespace is another object"),
            seen_at="store:metadata",
            unset="keep",
        ),
    ] = ""
    labels: Annotated[
        Labels,
        Field(exclude_if=not_),
        Managed("Labels, for selecting objects.", at_once(), seen_at="store:metadata"),
    ] = Labels()
    annotations: Annotated[
        Annotations,
        Field(exclude_if=not_),
        Managed("Annotations: notes of any form, for people and tools.", at_once(), seen_at="store:metadata"),
    ] = Annotations()
    owner_references: Annotated[
        tuple[OwnerReference, ...],
        Field(exclude_if=not_),
        Managed("Objects whose deletion takes this one along.", at_once(), seen_at="store:metadata", unset="keep"),
    ] = ()
    finalizers: Annotated[
        tuple[Name, ...],
        Field(exclude_if=not_),
        Managed(
            "Names that hold a deleted object in Terminating until each is removed.",
            at_once(),
            seen_at="store:metadata",
            unset="keep",
        ),
    ] = ()
    uid: Annotated[str | None, server_set("The identity of this very object, given when it is made.")] = None
    resource_version: Annotated[str | None, server_set("Counts every write of the object.")] = None
    generation: Annotated[Int | None, server_set("Counts changes of the spec.")] = None
    creation_timestamp: Annotated[str | None, server_set("When the object was made.")] = None
    deletion_timestamp: Annotated[str | None, server_set("When its deletion was asked for.")] = None
    deletion_grace_period_seconds: Annotated[Int | None, server_set("How long the deletion may take, in seconds.")] = (
        None
    )
    self_link: Annotated[Ignored, server_set("An address that Kubernetes used to set; accepted and ignored.")] = None
    managed_fields: Annotated[
        Ignored, server_set("Who wrote which field on a Kubernetes cluster; accepted and ignored.")
    ] = None
