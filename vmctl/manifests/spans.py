"""Where the parts of a document stand in its text, for replacing one without touching another.

Built like `yaml_places`, from the same parser's events, but with ends as well as beginnings, and with the keys as
they were written. JSON gets the same tree, so that who writes knows one form.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from json import JSONDecoder
from typing import TYPE_CHECKING, Literal

from vmctl.manifests.texts import BREAK, Flaw

if TYPE_CHECKING:
    from vmctl.manifests.places import Node
    from vmctl.manifests.yaml_parts import Event, Following

Kind = Literal["scalar", "mapping", "sequence", "alias"]
MERGE = "<<"


@dataclass(slots=True)
class Entry:
    """A field of a mapping, or an item of a sequence: where it begins, with its key or the dash of a block, and from
    where its value may be written (after the colon, after the dash).
    """

    key: str | None  # None for an item, and for a key that is no text
    start: int
    head: int
    value: Span


@dataclass(slots=True)
class Span:
    """A value as it is written. Offsets are characters of the whole text; `start` includes an anchor or a tag, `end`
    is behind the last character that is no space.
    """

    kind: Kind
    start: int
    end: int
    flow: bool = False  # in brackets, or inside of such
    style: str = ""  # of a scalar: "", ' or ", | or >
    anchor: str = ""  # what an alias names, or how the value is named for aliases
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Written:
    """The documents of a text, as they are written; `shared` are the anchors that aliases name, for each document."""

    text: str
    roots: list[Span]
    shared: list[frozenset[str]]


class Lines:
    """Offsets to lines and back, as YAML 1.2 counts them."""

    def __init__(self, text: str) -> None:
        self.begins = [0, *(mark.end() for mark in BREAK.finditer(text))]

    def offset(self, line: int, column: int) -> int:
        """The offset of a place counted from 0."""
        return self.begins[line] + column

    def line(self, offset: int) -> int:
        """The line of an offset, from 1."""
        return bisect_right(self.begins, offset)


def written(text: str, *, as_json: bool) -> Written:
    """Parse a text that is known to be free of flaws."""
    if as_json:
        from vmctl.manifests import json_places

        lines = Lines(text)
        roots = [_of_json(text, lines, node) for node in json_places.scan(text).roots]
        return Written(text, roots, [frozenset() for _ in roots])
    from vmctl.manifests import yaml_parts

    lines = Lines(text)
    built = [
        part.built
        for part in yaml_parts.parts(text, lambda first, rest, base: _Builder(text, lines, rest, base).document(first))
        if not isinstance(part, Flaw)
    ]
    return Written(text, [root for root, _ in built], [shared for _, shared in built])


def _of_json(text: str, lines: Lines, node: Node) -> Span:
    """The places of a JSON value have no ends; the decoder tells them."""
    start = lines.offset(node.line - 1, node.column - 1)
    _, end = JSONDecoder().raw_decode(text, start)
    kinds: dict[str, Kind] = {"{": "mapping", "[": "sequence"}
    span = Span(kinds.get(text[start], "scalar"), start, end, flow=True, style='"' if text[start] == '"' else "")
    for step, (line, column, inner) in node.inside.items():
        at = lines.offset(line - 1, column - 1)
        value = _of_json(text, lines, inner)
        head = text.rindex(":", at, value.start) + 1 if isinstance(step, str) else value.start
        span.entries.append(Entry(step if isinstance(step, str) else None, at, head, value))
    return span


class _Builder:
    """One document's worth of state."""

    __slots__ = ("aliases", "base", "following", "lines", "text")

    def __init__(self, text: str, lines: Lines, following: Following, base: int) -> None:
        self.text = text
        self.lines = lines
        self.following = following
        self.base = base
        self.aliases: set[str] = set()

    def document(self, first: Event) -> tuple[Span, frozenset[str]]:
        """All of it, and the anchors that aliases in it name."""
        return self.value(first, flow=False), frozenset(self.aliases)

    def value(self, event: Event, *, flow: bool) -> Span:
        """Whatever begins with `event`."""
        kind = type(event).__name__
        start, end = self.offset(event.start_mark), self.offset(event.end_mark)
        if kind == "AliasEvent":
            self.aliases.add(event.anchor)
            return Span("alias", start, end, flow, anchor=event.anchor)
        if kind == "ScalarEvent":
            style = event.style or ""
            if style in ("|", ">"):
                end = self.trimmed(start, end)
            return Span("scalar", start, end, flow, style, event.anchor or "")
        made: Kind = "mapping" if kind == "MappingStartEvent" else "sequence"
        span = Span(made, start, end, flow or bool(event.flow_style), anchor=event.anchor or "")
        last = self.mapping(span) if made == "mapping" else self.sequence(span, end)
        span.end = self.offset(last.end_mark) if span.flow else max(span.entries[-1].value.end, span.entries[-1].head)
        return span

    def mapping(self, span: Span) -> Event:
        """Take the fields up to the end, which is returned."""
        while not _ends(key := self.following()):
            name = self.value(key, flow=span.flow)
            value = self.value(self.following(), flow=span.flow)
            colon = self.text.find(":", name.end, max(value.start, name.end + 1))
            text = key.value if name.kind == "scalar" else None
            head = colon + 1 if colon >= 0 else name.end
            span.entries.append(_entry(text, name.start, head, value))
        return key

    def sequence(self, span: Span, begin: int) -> Event:
        """Take the items up to the end, which is returned; a block's begin with a dash under the first one.

        `begin` is the first dash, or behind it where it stands no deeper than the key of the list.
        """
        if not span.flow and not self.text.startswith("-", begin):
            begin -= 1
        column = begin - self.lines.begins[self.lines.line(begin) - 1]
        at = begin
        while not _ends(event := self.following()):
            value = self.value(event, flow=span.flow)
            start = value.start if span.flow else self.dash(at, value.start, column)
            span.entries.append(_entry(None, start, start if span.flow else start + 1, value))
            at = max(value.end, start + 1)
        return event

    def dash(self, begin: int, end: int, column: int) -> int:
        """The dash of an item, between the end of the one before and its value."""
        for line in range(self.lines.line(begin) - 1, self.lines.line(end)):
            at = self.lines.begins[line] + column
            if begin <= at <= end and self.text.startswith("-", at):
                return at
        return begin

    def offset(self, mark: Event) -> int:
        return self.lines.offset(self.base + mark.line, mark.column)

    def trimmed(self, start: int, end: int) -> int:
        return start + len(self.text[start:end].rstrip())


def _entry(key: str | None, start: int, head: int, value: Span) -> Entry:
    """An entry; a value that is not written at all is placed behind its colon or dash, before any comment."""
    if value.kind == "scalar" and value.start == value.end:
        value.start = value.end = head
    return Entry(key, start, head, value)


def _ends(event: Event) -> bool:
    return type(event).__name__ in ("MappingEndEvent", "SequenceEndEvent")
