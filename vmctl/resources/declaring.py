"""How a kind is declared: the envelope that all kinds share, and all that a kind's module needs to say its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from vmctl.resources import known_annotations
from vmctl.resources.checking import Check, Fault
from vmctl.resources.fields import Ignored, Managed, Remark, Slot, Spec, Value
from vmctl.resources.metadata import ObjectMeta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

__all__ = ["Fault", "Managed", "ObjectMeta", "Remark", "Resource", "Slot", "Spec", "Value"]

_ENVELOPE = ("api_version", "kind", "status")


def name_is_given(resource: Resource) -> Iterator[Fault]:
    """An object has a name, or asks for one to be made."""
    meta = resource.metadata
    if not meta.name and not meta.generate_name:
        yield Fault(("metadata", "name"), "is missing; every object needs a name")


def name_is_legal(resource: Resource) -> Iterator[Fault]:
    """A name keeps to its kind's limit, and has no dot where the kind forbids it."""
    meta, kind = resource.metadata, type(resource)
    field, name = ("name", meta.name) if meta.name else ("generateName", meta.generate_name)
    limit = kind.longest_name if meta.name else kind.longest_name - 5
    if len(name) > limit:
        yield Fault(("metadata", field), f"has {len(name)} characters; {kind.__name__} allows at most {limit}")
    if "." in name and not kind.dots_in_name:
        yield Fault(("metadata", field), f"contains a dot, which {kind.__name__} does not allow; use a dash instead")


def namespace_fits(resource: Resource) -> Iterator[Fault]:
    """What belongs to the whole installation is in no namespace."""
    if resource.metadata.namespace and not resource.namespaced:
        yield Fault(("metadata", "namespace"), f"{type(resource).__name__} is in no namespace; remove this line")


def our_annotations_are_known(resource: Resource) -> Iterator[Fault]:
    """An annotation that vmctl reads is one of those it knows: a misspelt one would be ignored without a word."""
    for name, what, remedy in known_annotations.problems(resource.metadata.annotations):
        yield Fault(("metadata", "annotations", name), f"{what}; {remedy}" if remedy else what)


class Resource(Spec):
    """An object of any kind. Kinds declare `api_version`, `kind` and their own fields, `spec` in most of them."""

    longest_name: ClassVar[int] = 253
    dots_in_name: ClassVar[bool] = True
    namespaced: ClassVar[bool] = True
    checks: ClassVar[tuple[Check, ...]] = (name_is_given, name_is_legal, namespace_fits, our_annotations_are_known)

    api_version: str
    kind: str
    metadata: ObjectMeta
    status: Annotated[Ignored, Field(description="What vmctl reports; accepted in a manifest and ignored.")] = None

    @classmethod
    def walked_fields(cls) -> Iterator[tuple[str, FieldInfo]]:
        """All but the envelope; metadata is walked as well."""
        return ((name, info) for name, info in cls.model_fields.items() if name not in _ENVELOPE)

    def cautions(self) -> Iterator[tuple[str, str]]:
        """Warnings that need more than one field to see: (dotted path, sentence)."""
        return iter(())
