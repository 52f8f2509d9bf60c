"""The cells of a listing: what each kind shows, taken from the registry's columns and the object's document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vmctl.cli.ages import age
from vmctl.cli.paths import look
from vmctl.resources.annotations import DEFAULT_STORAGE_CLASS
from vmctl.resources.registry import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_EVENT = (
    Column("LAST SEEN", "lastTimestamp", "age"),
    Column("TYPE", "type"),
    Column("REASON", "reason"),
    Column("OBJECT", "involvedObject", "object"),
    Column("COUNT", "count", wide=True),
    Column("FIRST SEEN", "firstTimestamp", "age", wide=True),
    Column("MESSAGE", "message"),
)


def columns_of(kind: Kind, *, wide: bool = False) -> tuple[Column, ...]:
    """The columns of a kind after its name, in printing order."""
    known = _EVENT if kind.name == "Event" else kind.columns
    return tuple(column for column in known if wide or not column.wide)


def named(kind: Kind) -> bool:
    """Objects of this kind are listed by name (events are not: theirs say nothing)."""
    return kind.name != "Event"


def show(column: Column, document: Mapping[str, object], now: float) -> str:
    """One cell; blank where there is nothing to show."""
    value = look(document, column.path)
    if value is None and column.path.startswith("spec."):
        value = look(
            document, column.path.replace("spec.", "status.resources.", 1)
        )  # left to its default: what came of it
    match column.form:
        case "age":
            return age(value, now)
        case "condition":
            return "True" if isinstance(value, dict) and value.get("status") == "True" else "False"
        case "flag":
            return "true" if value is True or value == "true" else "false"
        case "count":
            return str(len(value)) if isinstance(value, (dict, list)) else "0"
        case "object":
            return _involved(value)
        case "json":
            return "" if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        case _:
            return text(value)


def text(value: object) -> str:
    """A value as a cell: texts as they are, truth as YAML says it, structures as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def display_name(kind: Kind, document: Mapping[str, object]) -> str:
    """The name in a table; the default StorageClass carries a mark."""
    name = text(look(document, "metadata.name"))
    if kind.name == "StorageClass":
        annotations = look(document, "metadata.annotations")
        if isinstance(annotations, dict) and annotations.get(DEFAULT_STORAGE_CLASS) == "true":
            return f"{name} (default)"
    return name


def labels_text(document: Mapping[str, object], none: str = "<none>") -> str:
    """`a=b,c=d`, sorted, as --show-labels prints them."""
    labels = look(document, "metadata.labels")
    pairs = sorted(labels.items()) if isinstance(labels, dict) else ()
    return ",".join(f"{key}={value}" for key, value in pairs) or none


def label_cells(document: Mapping[str, object], keys: Sequence[str]) -> list[str]:
    """One cell per asked label (-L)."""
    labels = look(document, "metadata.labels")
    known = labels if isinstance(labels, dict) else {}
    return [str(known.get(key, "")) for key in keys]


def _involved(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    return f"{str(value.get('kind', '')).lower()}/{value.get('name', '')}"
