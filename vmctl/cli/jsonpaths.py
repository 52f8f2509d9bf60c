r"""kubectl's jsonpath templates: `{.a.b}`, `{range .items[*]}…{end}`, `{"\n"}`, text, filters, escaped dots.

A template is cut into pieces here; its paths are rewritten to RFC 9535 and evaluated by python-jsonpath. What is
missing prints nothing, several results are joined by blanks, structures print as JSON.
https://kubernetes.io/docs/reference/kubectl/jsonpath/
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from vmctl.cli.rfc_paths import rewritten
from vmctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonpath import CompoundJSONPath, JSONPath

_ACTION = re.compile(r"""\{((?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^{}"'])*)\}""", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Text:
    """Printed as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Path:
    """Evaluated on the current object, or on the whole document when it began with `$`."""

    path: str
    from_root: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Repeated for everything its path finds."""

    over: Path
    body: tuple[Piece, ...]


Piece = Text | Path | Range


class Template:
    """A template ready for use on any number of documents; raises UsageError when it cannot be read."""

    def __init__(self, template: str) -> None:
        source = template if "{" in template or not template.startswith((".", "$", "[")) else f"{{{template}}}"
        pieces = _tokens(source)
        self._pieces = _sequence(pieces, source, nested=False)
        for path in _paths(self._pieces):
            _compiled(path.path)  # a path that cannot be read is an error even where nothing is evaluated

    def render(self, document: object) -> str:
        """The text for one document."""
        return "".join(_rendered(self._pieces, document, document))


class Expression:
    """A single path, with or without braces and leading dot: custom columns, --sort-by, wait."""

    def __init__(self, expression: str) -> None:
        inner = expression.strip()
        if inner.startswith("{") and inner.endswith("}"):
            inner = inner[1:-1].strip()
        if not inner.startswith((".", "$", "[", "@")):
            inner = f".{inner}"
        self._path = rewritten(inner)
        _compiled(self._path)

    def find(self, document: object) -> list[object]:
        """Everything the path finds, in order."""
        return _found(self._path, document)


def printed(value: object) -> str:
    """One result as text: texts as they are, everything else as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _tokens(template: str) -> Iterator[Text | Path | str]:
    """Texts, paths, and the words `range …` and `end` still as text."""
    place = 0
    for match in _ACTION.finditer(template):
        if match.start() > place:
            yield _plain(template[place : match.start()], template)
        yield from _action(match[1].strip())
        place = match.end()
    if place < len(template):
        yield _plain(template[place:], template)


def _plain(text: str, template: str) -> Text:
    if "{" in text or "}" in text:
        raise UsageError(f"the jsonpath template {template} has a brace or a quote that is not closed")
    return Text(text)


def _action(inner: str) -> Iterator[Text | Path | str]:
    if inner == "end" or inner.startswith("range ") or inner == "range":
        yield inner
        return
    place = 0
    for match in _QUOTED.finditer(inner):
        if inner[: match.start()].count("[") != inner[: match.start()].count("]"):
            continue  # a text inside a filter or a subscript belongs to the path
        yield from _path(inner[place : match.start()])
        yield Text(_unquoted(match[0]))
        place = match.end()
    yield from _path(inner[place:])


def _path(text: str) -> Iterator[Path]:
    stripped = text.strip()
    if stripped:
        yield Path(rewritten(stripped), from_root=stripped.startswith("$"))


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)


def _sequence(tokens: Iterator[Text | Path | str], template: str, *, nested: bool) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for word in tokens:
        if not isinstance(word, str):
            pieces.append(word)
        elif word == "end":
            if not nested:
                raise UsageError(f"the jsonpath template {template} has an {{end}} without its {{range}}")
            return tuple(pieces)
        else:
            over = next(_path(word.removeprefix("range")), None)
            if over is None:
                raise UsageError(f"the jsonpath template {template} has a {{range}} without a path")
            pieces.append(Range(over, _sequence(tokens, template, nested=True)))
    if nested:
        raise UsageError(f"the jsonpath template {template} has a {{range}} without its {{end}}")
    return tuple(pieces)


def _paths(pieces: tuple[Piece, ...]) -> Iterator[Path]:
    for piece in pieces:
        if isinstance(piece, Path):
            yield piece
        elif isinstance(piece, Range):
            yield piece.over
            yield from _paths(piece.body)


def _rendered(pieces: tuple[Piece, ...], here: object, root: object) -> Iterator[str]:
    for piece in pieces:
        match piece:
            case Text(text):
                yield text
            case Path(path, from_root):
                yield " ".join(printed(value) for value in _found(path, root if from_root else here))
            case Range(over, body):
                for item in _found(over.path, root if over.from_root else here):
                    yield from _rendered(body, item, root)


def _found(path: str, document: object) -> list[object]:
    if not isinstance(document, (dict, list)):
        return [document] if path == "$" else []
    return list(_compiled(path).findall(document))


@cache
def _compiled(path: str) -> JSONPath | CompoundJSONPath:
    import jsonpath

    try:
        return jsonpath.compile(path)
    except jsonpath.JSONPathError as error:
        raise UsageError(
            f"the path cannot be read: {error}", remedy="for example  {.status.conditions[?(@.type=='Running')].status}"
        ) from error
