"""How a manifest that is applied meets the object that is there: pure functions on dictionaries.

The manifest is the whole truth for everything outside metadata. Of metadata it decides only what it says or said the
last time it was applied, so that a label set by hand, a finalizer of the engine and an owner reference survive (a
three-way merge).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.state.stored import Document, encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.resources.keys import Key

_MAPS = ("labels", "annotations")
_LISTS = ("finalizers", "ownerReferences")
# The store gives these itself; a manifest has them when it was copied from `get -o yaml`.
_GIVEN = frozenset(
    {
        "uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        "managedFields", "selfLink",
    }
)  # fmt: skip


def normalised(key: Key, document: Mapping[str, Any]) -> Document:
    """What is kept of a document: no status, no metadata that the store gives itself, the key's name and namespace."""
    asked: Mapping[str, Any] = document.get("metadata") or {}
    metadata: Document = {"name": key.name}
    if key.namespace:
        metadata["namespace"] = key.namespace
    for name, value in asked.items():
        if name not in _GIVEN and name not in metadata and name != "namespace" and value not in (None, {}, []):
            metadata[name] = value
    kept = {name: value for name, value in document.items() if name not in ("status", "metadata")}
    return {**kept, "kind": key.kind, "metadata": metadata}


def applied_meta(document: Document) -> Document:
    """The part of a document's metadata that the next merge must know was asked for."""
    metadata = document["metadata"]
    return {name: metadata[name] for name in (*_MAPS, *_LISTS) if name in metadata}


def merged(live: Document, last: Document, wanted: Document) -> Document:
    """The wanted document with metadata merged: `last` is what the previous apply asked for, `live` what is there."""
    there: Document = live["metadata"]
    metadata: Document = {name: value for name, value in wanted["metadata"].items() if name not in (*_MAPS, *_LISTS)}
    for name in _MAPS:
        asked: Document = wanted["metadata"].get(name, {})
        gone = last.get(name, {}).keys() - asked.keys()
        metadata[name] = {**{word: text for word, text in there.get(name, {}).items() if word not in gone}, **asked}
    for name in _LISTS:
        metadata[name] = _merged_list(there.get(name, []), last.get(name, []), wanted["metadata"].get(name, []))
    return {**wanted, "metadata": {name: value for name, value in metadata.items() if value not in ({}, [])}}


def _merged_list(live: list[Any], last: list[Any], wanted: list[Any]) -> list[Any]:
    """Merge by what items name: an owner reference by its uid or else kind and name, a finalizer by itself."""
    asked = {_identity(item): item for item in wanted}
    gone = {_identity(item) for item in last} - asked.keys()
    kept = {_identity(item): item for item in live if _identity(item) not in gone}
    return list({**kept, **asked}.values())


def _identity(item: Any) -> str:
    if isinstance(item, dict):
        return str(item.get("uid")) if item.get("uid") else f"{item.get('kind')}/{item.get('name')}"
    return str(item)


def same_intent(one: Document, other: Document) -> bool:
    """Whether two documents ask for the same thing: all but metadata and the version they are written in is equal."""
    return encoded(_intent(one)) == encoded(_intent(other))


def _intent(document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in ("metadata", "apiVersion", "kind")}
