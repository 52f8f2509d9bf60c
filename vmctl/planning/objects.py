"""Objects as planning sees them: immutable, found by key, by owner and by who refers to them. A value; nothing is
fetched here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from vmctl.resources import registry
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from vmctl.resources.declaring import Resource

Json = Mapping[str, Any]
ModelT = TypeVar("ModelT", bound="Resource")


@dataclass(frozen=True, eq=False)
class Object:
    """One object of the store. `document` is the normalised manifest; `created` and `deleted` are epoch seconds."""

    key: Key
    uid: str
    generation: int
    document: Json
    status: Json
    created: float = 0.0
    deleted: float | None = None
    version: int = 0

    @cached_property
    def model(self) -> Resource:
        """The typed manifest, parsed once. The store holds only what was validated, so this does not fail on user
        input.
        """
        return registry.BY_NAME[self.key.kind].model().model_validate(self.document)

    def typed(self, kind: type[ModelT]) -> ModelT:
        """The manifest as the model of its kind, which the caller knows. Raises TypeError for another."""
        if not isinstance(self.model, kind):
            raise TypeError(f"{self.key.short} is no {kind.__name__}")
        return self.model

    @property
    def metadata(self) -> Json:
        return cast("Json", self.document.get("metadata") or {})

    @property
    def labels(self) -> Mapping[str, str]:
        return self.metadata.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.metadata.get("annotations") or {}

    @property
    def finalizers(self) -> tuple[str, ...]:
        return tuple(self.metadata.get("finalizers") or ())

    @property
    def owners(self) -> tuple[str, ...]:
        """The uids of its owners."""
        return tuple(str(owner.get("uid", "")) for owner in self.metadata.get("ownerReferences") or ())

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def terminating(self) -> bool:
        return self.deleted is not None


@dataclass(frozen=True)
class Objects:
    """All objects at one moment."""

    by_key: Mapping[Key, Object] = field(default_factory=dict[Key, Object])

    def get(self, key: Key) -> Object | None:
        return self.by_key.get(key)

    def of_kind(self, kind: str, namespace: str | None = None) -> Iterator[Object]:
        """Those of one kind, in the order they were made."""
        return (
            item for item in self.by_key.values() if item.key.kind == kind and namespace in (None, item.key.namespace)
        )

    def names(self, kind: str, namespace: str = "") -> list[str]:
        """Known names, for messages about a name that is not known."""
        return sorted(item.key.name for item in self.of_kind(kind, namespace or None))

    def with_changes(self, changed: Iterable[Object]) -> Objects:
        """The same with some objects replaced or added: what the world would be."""
        return Objects({**self.by_key, **{item.key: item for item in changed}})
