"""A document leaves its file: the other documents and their comments stay byte for byte, an empty file goes.

A document is what stands between two marks, with the comments in there. What stands above the first document and is
set off by an empty line is about the file, and stays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vmctl.manifests import reading, writing
from vmctl.manifests.spans import Lines
from vmctl.manifests.splicing import Entangled, same, splice
from vmctl.manifests.yaml_parts import MARKER

if TYPE_CHECKING:
    from vmctl.manifests.holding import Held

EMPTY_LINE = re.compile(r"(?m)^[ \t]*\r?\n")
ELSE = "it cannot be removed without changing more than it"


def removed(home: Held) -> str:
    """The text of the file without the object; empty when nothing else is declared there.

    Raises ChangeRefused, with the place, where that cannot be said.
    """
    values = [value for number, value in enumerate(home.values) if number != home.number]
    if home.path and len(_items(home)) > 1:
        text, values = _without_item(home), [*home.values]
        values[home.number] = _smaller(home)
    else:
        text = _without_document(home)
    read = reading.values(text, is_json=home.is_json)
    if read is None or not same(_declared(read[0]), _declared(values)):
        raise writing.refused(home, home.line, ELSE)
    return text if _declared(values) else ""


def remove(home: Held, text: str) -> None:
    """Write the file without the object, or remove it when nothing is left.

    Raises ChangeRefused when somebody has changed the file since it was read, or when it cannot be written.
    """
    if text:
        writing.write(home, text)
        return
    writing.erase(home)


def _without_document(home: Held) -> str:
    """The text without all that stands from the mark above a document to the one below it."""
    root, text = home.written.roots[home.number], home.text
    if home.as_json:
        return text[: root.start] + text[root.end :].removeprefix("\n")
    lines = Lines(text)
    first, last = lines.line(root.start) - 1, lines.line(root.end) - 1
    while first > 0 and not MARKER.match(text, lines.begins[first]):
        first -= 1
    while last < len(lines.begins) and (
        last == first or lines.begins[last] <= root.start or not _ends(lines, last, text)
    ):
        last += 1
    start, end = lines.begins[first], lines.begins[last] if last < len(lines.begins) else len(text)
    if text.startswith("...", end):
        end = lines.begins[last + 1] if last + 1 < len(lines.begins) else len(text)
    if not MARKER.match(text, start):  # the first document, unmarked: what is set off above it stays
        heads = [line.end() for line in EMPTY_LINE.finditer(text, 0, root.start)]
        start = heads[-1] if heads else start
    return text[:start] + text[end:]


def _ends(lines: Lines, number: int, text: str) -> bool:
    begin = lines.begins[number]
    return bool(MARKER.match(text, begin)) or text.startswith("...", begin)


def _without_item(home: Held) -> str:
    """The text with one item of a List less."""
    root = home.written.roots[home.number]
    shared = home.written.shared[home.number]
    try:
        return splice(home.text, root, home.values[home.number], _smaller(home), as_json=home.as_json, shared=shared)
    except Entangled as error:
        raise writing.refused(home, error.line, error.why) from error


def _items(home: Held) -> list[Any]:
    """The List that the object is an item of."""
    value = home.values[home.number]
    for step in home.path[:-1]:
        value = value[step]
    return value if isinstance(value, list) else []


def _smaller(home: Held) -> Any:
    """The document without the item."""
    return _dropped(home.values[home.number], home.path)


def _dropped(value: Any, path: tuple[str | int, ...]) -> Any:
    step, *rest = path
    if not rest:
        return [item for number, item in enumerate(value) if number != step]
    if isinstance(value, dict):
        return {**value, step: _dropped(value[step], tuple(rest))}
    return [_dropped(item, tuple(rest)) if number == step else item for number, item in enumerate(value)]


def _declared(values: list[Any]) -> list[Any]:
    """The documents that say something."""
    return [value for value in values if value is not None]
