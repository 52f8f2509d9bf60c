"""What may stand at a place of a manifest: the fields of the models that can lie there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, SecretBytes, SecretStr

from vmctl.resources.secrecy import SECRET_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET_MAPS = frozenset(("Secret", name) for name in SECRET_DATA)


@dataclass(frozen=True)
class Shape:
    """The annotations of one place; several where a field takes alternatives."""

    annotations: tuple[object, ...]
    secret: bool = False  # what is written here may not be shown

    @classmethod
    def of(cls, model: type[BaseModel]) -> Shape:
        """The shape of a whole document."""
        return cls((model,))

    @cached_property
    def models(self) -> tuple[type[BaseModel], ...]:
        """The groups that may lie here, or in a list here."""
        found = (part for annotation in self.annotations for part in _parts(annotation))
        return tuple(part for part in found if isinstance(part, type) and issubclass(part, BaseModel))

    @cached_property
    def names(self) -> frozenset[str]:
        """The fields of those groups, as manifests spell them."""
        return frozenset(info.alias or name for model in self.models for name, info in model.model_fields.items())

    def into(self, step: str | int) -> Shape:
        """The shape one step further; a list's items have the shape of the list."""
        if isinstance(step, int):
            return self
        annotations: list[object] = []
        hidden = self.secret
        for model in self.models:
            hidden = hidden or (model.__name__, step) in SECRET_MAPS
            annotations += (
                info.annotation for name, info in model.model_fields.items() if (info.alias or name) == step
            )
        parts = {part for annotation in annotations for part in _parts(annotation) if isinstance(part, type)}
        return Shape(tuple(annotations), hidden or bool(parts & {SecretStr, SecretBytes}))


def _parts(annotation: object) -> Iterator[object]:
    yield annotation
    for argument in get_args(annotation):
        yield from _parts(argument)
