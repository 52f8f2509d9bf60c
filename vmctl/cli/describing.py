"""The text of `describe` for one object, laid out as kubectl does: heads, spec and status as trees, two tables.

Secrets are told by their length only, wherever a terminal might be looked at by others.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from vmctl.cli.ages import age, duration, epoch
from vmctl.cli.asking import Document, metadata_of
from vmctl.cli.output import printable
from vmctl.cli.tables import GAP
from vmctl.resources.secrecy import SECRET_DATA, USER_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_INDENT = "  "
_NONE = "<none>"
_SECRET_FIELDS = frozenset(USER_DATA[-1:])
_HEAD_KEYS = ("apiVersion", "kind", "metadata", "status")
_ACRONYMS = re.compile(r"\b(Api|Url|Uid|Guid|Ip|Vm|Os|Uri|Cpu|Id|Ca)\b")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")


def described(
    document: Document, events: Sequence[Document], now: float, *, show_events: bool = True, declared: str = ""
) -> str:
    """The whole text for one object; `now` in epoch seconds, `declared` is the place it was read from."""
    lines = [*_head(document, declared), *_body(document), *_status(document, now)]
    if show_events:
        lines += _events(events, now)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(document: Document, declared: str) -> list[str]:
    metadata = metadata_of(document)
    entries: list[tuple[str, object]] = [
        ("Name", metadata.get("name", "")),
        *([("Namespace", metadata["namespace"])] if metadata.get("namespace") else []),
        ("Labels", _pairs(metadata.get("labels"), "=")),
        ("Annotations", _pairs(metadata.get("annotations"), ": ")),
        ("API Version", document.get("apiVersion", "")),
        ("Kind", document.get("kind", "")),
        *([("Declared In", declared)] if declared else []),
    ]
    width = max(len(name) for name, _ in entries) + 3
    lines: list[str] = []
    for name, value in entries:
        first, *rest = value if isinstance(value, list) else [str(value)]
        lines.append(f"{name}:".ljust(width) + printable(first))
        lines += [" " * width + printable(each) for each in rest]
    shown = {key: value for key, value in metadata.items() if key not in ("name", "namespace", "labels", "annotations")}
    return [*lines, "Metadata:", *_tree(shown, 1)]


def _body(document: Document) -> Iterator[str]:
    """Everything that is neither head nor status: spec, or a Secret's data, a class's parameters."""
    secret = document.get("kind") == "Secret"
    for key, value in document.items():
        if key not in _HEAD_KEYS:
            yield from _tree({key: _masked(key, value) if secret else value}, 0, titles=not secret)


def _masked(key: str, value: object) -> object:
    """A Secret's texts by their length."""
    if key not in SECRET_DATA or not isinstance(value, dict):
        return value
    return {name: _size(text, encoded=key == "data") for name, text in value.items()}


def _status(document: Document, now: float) -> list[str]:
    status = document.get("status")
    if not isinstance(status, dict):
        return []
    conditions = status.get("conditions")
    rest = {key: value for key, value in status.items() if key != "conditions"}
    lines = ["Status:", *_tree(rest, 1)] if rest else []
    if not isinstance(conditions, list) or not conditions:
        return lines
    rows = [
        [str(each.get("type", "")), str(each.get("status", "")), str(each.get("reason", "")),
         age(each.get("lastTransitionTime"), now), _one_line(each.get("message"))]
        for each in conditions if isinstance(each, dict)
    ]  # fmt: skip
    return [*lines, "Conditions:", *_table(("Type", "Status", "Reason", "Since", "Message"), rows)]


def _events(events: Sequence[Document], now: float) -> list[str]:
    if not events:
        return [f"Events:{GAP}{_NONE}"]
    rows = [[str(each["type"]), str(each["reason"]), _often(each, now), _one_line(each["message"])] for each in events]
    return ["Events:", *_table(("Type", "Reason", "Age", "Message"), rows)]


def _often(event: Document, now: float) -> str:
    """`5s`, or `5s (x3 over 10m)` for what was repeated."""
    since = age(event["lastTimestamp"], now)
    if event["count"] == 1:
        return since
    first = epoch(event["firstTimestamp"])
    return f"{since} (x{event['count']} over {duration(now - first) if first is not None else '?'})"


def _table(headings: Sequence[str], rows: list[list[str]]) -> list[str]:
    ruled = [list(headings), ["-" * len(heading) for heading in headings], *rows]
    widths = [max(len(row[column]) for row in ruled) for column in range(len(headings))]
    return [_INDENT + GAP.join(map(str.ljust, row, widths)) for row in ruled]


def _tree(value: Mapping[str, object], depth: int, *, titles: bool = True) -> Iterator[str]:
    """A mapping as indented lines; the values of neighbours stand in one column."""
    labels = {key: title(key) if titles else key for key in value}
    scalars = [len(labels[key]) for key, each in value.items() if not isinstance(each, (dict, list))]
    width = max(scalars, default=0) + 3
    for key in sorted(value):
        shown = _size(value[key], encoded=False) if key in _SECRET_FIELDS else value[key]
        yield from _entry(labels[key], shown, depth, width, titles=titles)


def _entry(label: str, value: object, depth: int, width: int, *, titles: bool) -> Iterator[str]:
    front = _INDENT * depth + f"{label}:"
    if isinstance(value, dict) and value:
        yield front
        # keys of labels and selectors are the user's own words, not names of fields
        yield from _tree(value, depth + 1, titles=titles and not label.endswith(("Labels", "Selector", "Annotations")))
    elif isinstance(value, list) and value:
        yield front
        for item in value:
            yield from _item(item, depth + 1, titles=titles)
    elif isinstance(value, str) and "\n" in value:
        yield front
        yield from (_INDENT * (depth + 1) + printable(line, lines=True) for line in value.rstrip("\n").split("\n"))
    else:
        yield (_INDENT * depth + f"{label}:".ljust(width)) + _scalar(value)


def _item(item: object, depth: int, *, titles: bool) -> Iterator[str]:
    if not isinstance(item, dict) or not item:
        yield _INDENT * depth + "- " + _scalar(item)
        return
    lines = list(_tree(item, depth + 1, titles=titles))
    yield _INDENT * depth + "- " + lines[0].lstrip()
    yield from lines[1:]


def _scalar(value: object) -> str:
    if value is None or value in ({}, []):
        return _NONE
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(str(value))


def title(key: str) -> str:
    """`blockDeviceRefs` as people read it: `Block Device Refs`."""
    words = _WORDS.findall(key)
    if "".join(words) != key:
        return key  # not the name of a field: shown as it is
    return _ACRONYMS.sub(lambda match: match[0].upper(), " ".join(word[:1].upper() + word[1:] for word in words))


def _pairs(value: object, between: str) -> list[str]:
    if not isinstance(value, dict) or not value:
        return [_NONE]
    return [f"{key}{between}{_one_line(text)}" for key, text in sorted(value.items())]


def _size(text: object, *, encoded: bool) -> str:
    """What may be said about a secret."""
    if not isinstance(text, str):
        return _NONE
    try:
        length = len(base64.b64decode(text, validate=True)) if encoded else len(text.encode())
    except binascii.Error:
        return f"{len(text)} characters, not base64"
    return f"{length} byte{'' if length == 1 else 's'}"


def _one_line(value: object) -> str:
    return printable(" ".join(str(value or "").split("\n")))
