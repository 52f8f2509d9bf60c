"""Objects as planning sees them: immutable, found by key, by owner and by who refers to them. A value; nothing is
fetched here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from vmctl.planning.graph import mentions
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

    @cached_property
    def mentions(self) -> tuple[Key, ...]:
        """Whose change may concern this object."""
        return mentions(self)

    @cached_property
    def fingerprint(self) -> str:
        """The digest of all that is stored of it; made once, for a resync compares thousands of objects that rest."""
        stored = json.dumps([self.uid, self.generation, self.deleted, self.document, self.status], sort_keys=True)
        return hashlib.blake2b(stored.encode(), digest_size=16).hexdigest()

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
    """All objects at one moment. Who is of a kind and who mentions whom is indexed when first asked for; a successor
    made by `with_changes` brings the indexes along.
    """

    by_key: Mapping[Key, Object] = field(default_factory=dict[Key, Object])

    def get(self, key: Key) -> Object | None:
        return self.by_key.get(key)

    def of_kind(self, kind: str, namespace: str | None = None) -> Iterator[Object]:
        """Those of one kind, in the order they were made."""
        found = self._kinds.get(kind, {}).values()
        return (item for item in found if namespace in (None, item.key.namespace))

    def mentioning(self, key: Key) -> Iterable[Key]:
        """Who names an object or has it, in no order that means anything."""
        return self._mentioned.get(key, {})

    def names(self, kind: str, namespace: str = "") -> list[str]:
        """Known names, for messages about a name that is not known."""
        return sorted(item.key.name for item in self.of_kind(kind, namespace or None))

    def with_changes(self, changed: Iterable[Object], gone: Iterable[Key] = ()) -> Objects:
        """The same with some objects replaced, added or taken away: what the world would be, or has become."""
        news: dict[Key, Object | None] = {item.key: item for item in changed}
        news |= dict.fromkeys(gone)
        after = Objects(_updated(self.by_key, news))
        if "_kinds" in self.__dict__:
            after.__dict__["_kinds"] = self._kinds_with(news)
        if "_mentioned" in self.__dict__:
            after.__dict__["_mentioned"] = self._mentioned_with(news)
        return after

    @cached_property
    def _kinds(self) -> Mapping[str, Mapping[Key, Object]]:
        found: dict[str, dict[Key, Object]] = {}
        for key, item in self.by_key.items():
            found.setdefault(key.kind, {})[key] = item
        return found

    @cached_property
    def _mentioned(self) -> Mapping[Key, Mapping[Key, None]]:
        found: dict[Key, dict[Key, None]] = {}
        for key, item in self.by_key.items():
            for other in item.mentions:
                found.setdefault(other, {})[key] = None
        return found

    def _kinds_with(self, news: Mapping[Key, Object | None]) -> Mapping[str, Mapping[Key, Object]]:
        kinds = dict(self._kinds)
        for kind in {key.kind for key in news}:
            kinds[kind] = _updated(kinds.get(kind, {}), {key: item for key, item in news.items() if key.kind == kind})
        return kinds

    def _mentioned_with(self, news: Mapping[Key, Object | None]) -> Mapping[Key, Mapping[Key, None]]:
        """The index after some changes; the same one when nobody mentions other objects than before, as is usual."""
        moved = []
        for key, item in news.items():
            old = self.by_key.get(key)
            before, after = (old.mentions if old is not None else ()), (item.mentions if item is not None else ())
            moved += [(key, other, False) for other in before if other not in after]
            moved += [(key, other, True) for other in after if other not in before]
        if not moved:
            return self._mentioned
        mentioned = dict(self._mentioned)
        for key, other, there in moved:
            who = dict(mentioned.get(other, {}))
            who.pop(key, None)
            mentioned[other] = {**who, key: None} if there else who
        return mentioned


def _updated(before: Mapping[Key, Object], news: Mapping[Key, Object | None]) -> dict[Key, Object]:
    after = dict(before)
    for key, item in news.items():
        if item is None:
            after.pop(key, None)
        else:
            after[key] = item
    return after
