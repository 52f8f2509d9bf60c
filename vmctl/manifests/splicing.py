"""A changed value goes into the text of its document: only the lines that say something new are touched.

Comments, order, quotes, indentation and line ends of everything else stay, because they are never written again. What
cannot be said in place (an alias, what others share) is an `Entangled`; whoever calls proves the result by reading it.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vmctl.manifests import rendering
from vmctl.manifests.spans import MERGE, Entry, Lines, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


INDENTED = re.compile(r"(?m)^( +)\S")


class Entangled(Exception):  # never shown as it is: whoever writes adds the file
    """A place that cannot be changed without changing another; `line` from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.why = why


def same(one: object, other: object) -> bool:
    """Whether two values are equal to whoever reads the manifest: 1, 1.0 and true are three values."""
    return encoded(one) == encoded(other)


def encoded(value: object) -> str:
    """A text that equal values share, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True)


def splice(text: str, root: Span, old: object, new: object, *, as_json: bool, shared: frozenset[str]) -> str:
    """The text in which the value at `root`, now `old`, is `new`. Raises Entangled."""
    splicer = _Splicer(text, as_json, shared)
    splicer.change(root, old, new, head=root.start, column=0)
    if any(end == len(text) and "\n" in put for _, end, put in splicer.edits) and not text.endswith(("\n", "\r")):
        text += splicer.newline  # without it a block of text that comes last would lose its own
    # from the end of the text; of two at one place the inner one was noted first, and has to stand first
    numbered = [(start, end, number, put) for number, (start, end, put) in enumerate(splicer.edits)]
    for start, end, _, put in sorted(numbered, reverse=True):
        text = text[:start] + put + text[end:]
    return text


@dataclass(slots=True)
class _Splicer:
    text: str
    as_json: bool
    shared: frozenset[str]
    edits: list[tuple[int, int, str]] = field(default_factory=list)
    lines: Lines = field(init=False)
    newline: str = field(init=False)
    step: int = field(init=False)  # columns by which JSON is indented

    def __post_init__(self) -> None:
        self.lines = Lines(self.text)
        self.newline = "\r\n" if "\r\n" in self.text else "\n"
        indented = INDENTED.search(self.text)
        self.step = len(indented.group(1)) if indented else 2

    def change(self, span: Span, old: object, new: object, *, head: int, column: int) -> None:
        """Note the edits that make `new` of a value; `head` is from where it may be written, `column` that of its
        parent's entries.
        """
        if same(old, new):
            return
        if span.kind == "alias":
            raise Entangled(
                self.lines.line(span.start), f"*{span.anchor} stands here for a value that is written elsewhere"
            )
        if span.anchor in self.shared:
            raise Entangled(self.lines.line(span.start), f"&{span.anchor} is used in other places too")
        if span.kind == "mapping" and isinstance(old, dict) and isinstance(new, dict) and _stays(span, old, new):
            self.mapping(span, old, new)
        elif span.kind == "sequence" and isinstance(old, list) and isinstance(new, list) and new and span.entries:
            self.sequence(span, old, new)
        else:
            self.value(span, new, head, column)

    def mapping(self, span: Span, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change, remove and add fields; what << brings in is overridden, never removed."""
        own = {entry.key: entry for entry in span.entries if entry.key is not None}
        column = self.column(span.entries[0].start)
        for name in old:
            if name not in new and name not in own:
                line = self.lines.line(own[MERGE].start if MERGE in own else span.start)
                raise Entangled(line, f'"{name}" comes from << here, and cannot be removed')
        kept = [entry for entry in span.entries if entry.key is None or entry.key in new or entry.key not in old]
        added = {
            name: value
            for name, value in new.items()
            if name not in own and not (name in old and same(old[name], value))
        }
        for entry in kept:
            if entry.key is not None and entry.key in new and entry.key in old:
                self.change(entry.value, old[entry.key], new[entry.key], head=entry.head, column=column)
        self.remove(span, kept)
        if added:
            self.add_fields(span, kept[-1], added, column)

    def sequence(self, span: Span, old: Sequence[Any], new: Sequence[Any]) -> None:
        """Change, remove and add items, those that stay known by what they say."""
        column = self.column(span.entries[0].start)
        kept: list[Entry] = []
        before: list[tuple[Entry | None, Sequence[Any]]] = []
        for tag, begin, end, first, last in _operations(old, new):
            both = 0 if tag in ("insert", "delete") else min(end - begin, last - first)
            for number in range(both):
                entry = span.entries[begin + number]
                kept.append(entry)
                self.change(entry.value, old[begin + number], new[first + number], head=entry.head, column=column)
            if last - first > both:
                before.append((kept[-1] if kept else None, new[first + both : last]))
        self.remove(span, kept)
        for behind, values in before:
            self.add_items(span, behind, values, column, first=kept[0])

    def remove(self, span: Span, kept: Sequence[Entry]) -> None:
        """Take out the entries that are not kept, one run of neighbours at a time."""
        entries = span.entries
        run: list[Entry] = []
        for number, entry in enumerate(entries):
            if not any(entry is one for one in kept):
                run.append(entry)
                following = entries[number + 1] if number + 1 < len(entries) else None
                if following is None or any(following is one for one in kept):
                    self.remove_run(span, run, following, kept)
                    run = []

    def remove_run(self, span: Span, run: Sequence[Entry], following: Entry | None, kept: Sequence[Entry]) -> None:
        """Take out neighbours: whole lines of a block with the comments on them, up to the next comma in brackets."""
        start, end = run[0].start, self.end(run[-1])
        if span.flow:
            if following is not None:
                self.edits.append((start, following.start, ""))
            elif kept:
                self.edits.append((self.end(kept[-1]), end, ""))
        elif self.begins_line(start):
            self.edits.append((self.line_start(start), self.next_line(end), ""))
        elif following is not None:  # behind the dash of an item: the next field moves up, unless comments are between
            between = self.text[end : following.start]
            if "#" in between:
                self.edits.append((start - 1 if self.text[start - 1] == " " else start, end, ""))
            else:
                self.edits.append((start, following.start, ""))

    def add_fields(self, span: Span, last: Entry, added: Mapping[str, Any], column: int) -> None:
        """Put fields behind the last one that stays."""
        if span.flow:
            self.edits.append((self.end(last), self.end(last), self.flowing(last, added.items())))
            return
        lines = [line for name, value in added.items() for line in rendering.field_lines(name, value)]
        self.edits.append((*self.behind(last), self.block(lines, column)))

    def add_items(self, span: Span, entry: Entry | None, values: Sequence[Any], column: int, *, first: Entry) -> None:
        """Put items behind `entry`, or before the first one that stays."""
        lines = [line for value in values for line in rendering.item_lines(value)]
        if span.flow and entry is not None:
            self.edits.append(
                (self.end(entry), self.end(entry), self.flowing(entry, ((None, each) for each in values)))
            )
        elif span.flow:
            gap = self.gap(first)
            text = "".join(self.brackets(None, value, first) + "," + (gap or " ") for value in values)
            self.edits.append((first.start, first.start, text))
        elif entry is not None:
            self.edits.append((*self.behind(entry), self.block(lines, column)))
        else:
            text = (self.newline + " " * column).join(lines) + self.newline + " " * column
            self.edits.append((first.start, first.start, text))

    def value(self, span: Span, new: object, head: int, column: int) -> None:
        """Write a value anew, in the form of the old one where that can hold it."""
        if self.as_json or span.flow:
            text = self.json(new, span.start) if self.as_json else rendering.in_brackets(new)
            self.edits.append((span.start, span.end, self.spaced(span, head) + (_requoted(span, new) or text)))
            return
        if self.text[head - 1] == "-":  # an item, not a field
            first, *rest = rendering.item_lines(new)
            first = first.removeprefix("-")
        else:
            first, *rest = rendering.after_colon(new)
        if rest and self.rest_of_line(span.end).strip():  # a comment would become part of a text, or hang in the air
            first, rest = " " + rendering.in_brackets(new), []
        if not rest and span.kind == "scalar" and span.style not in ("|", ">") and self.on_line_of(head, span):
            text = _requoted(span, new) or first.strip()
            self.edits.append((span.start, span.end, self.spaced(span, head) + text))
            return
        text = self.newline.join([first, *(" " * column + line if line else "" for line in rest)])
        self.edits.append((head, span.end, text))

    def json(self, new: object, at: int) -> str:
        """JSON, over several lines where the file is written so."""
        begin = self.line_start(at)
        line = self.text[begin:at]
        margin = line[: len(line) - len(line.lstrip())]
        if not isinstance(new, dict | list) or not new or "\n" not in self.text.strip():
            return rendering.as_json(new)
        return rendering.as_json(new, indent=self.step).replace("\n", self.newline + margin)

    def flowing(self, entry: Entry, added: Iterable[tuple[str | None, Any]]) -> str:
        """Entries behind another one inside brackets, each on a line of its own if that one is."""
        gap = self.gap(entry) or " "
        return "".join("," + gap + self.brackets(name, value, entry) for name, value in added)

    def brackets(self, name: str | None, value: object, beside: Entry) -> str:
        if not self.as_json:
            return rendering.in_brackets(value) if name is None else rendering.field_in_brackets(name, value)
        text = self.json(value, beside.start)
        return text if name is None else f"{rendering.as_json(name)}: {text}"

    def gap(self, entry: Entry) -> str:
        """What stands before an entry inside brackets that begins its line."""
        if not self.begins_line(entry.start):
            return ""
        return self.newline + self.text[self.line_start(entry.start) : entry.start]

    def block(self, lines: Sequence[str], column: int) -> str:
        return "".join(self.newline + (" " * column + line if line else "") for line in lines)

    def behind(self, entry: Entry) -> tuple[int, int]:
        """The end of the line on which an entry ends, comment included."""
        end = self.end(entry) + len(self.rest_of_line(self.end(entry)))
        return end, end

    def spaced(self, span: Span, head: int) -> str:
        """A space where nothing is written yet behind a colon or a dash."""
        return " " if span.start == span.end == head else ""

    def end(self, entry: Entry) -> int:
        return max(entry.value.end, entry.head)

    def column(self, offset: int) -> int:
        return offset - self.line_start(offset)

    def line_start(self, offset: int) -> int:
        return self.lines.begins[self.lines.line(offset) - 1]

    def next_line(self, offset: int) -> int:
        line = self.lines.line(offset)
        return self.lines.begins[line] if line < len(self.lines.begins) else len(self.text)

    def rest_of_line(self, offset: int) -> str:
        return self.text[offset : self.next_line(offset)].rstrip("\r\n")

    def begins_line(self, offset: int) -> bool:
        return not self.text[self.line_start(offset) : offset].strip()

    def on_line_of(self, head: int, span: Span) -> bool:
        return self.lines.line(head) == self.lines.line(span.start)


def _stays(span: Span, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether anything that is written in a mapping stays in it."""
    return bool(new) and any(entry.key is None or entry.key in new or entry.key not in old for entry in span.entries)


def _requoted(span: Span, new: object) -> str | None:
    """A text in the quotes that the old one had."""
    return rendering.quoted(new, span.style) if isinstance(new, str) and span.style in ("'", '"') else None


def _operations(old: Sequence[Any], new: Sequence[Any]) -> list[tuple[str, int, int, int, int]]:
    """How one list becomes the other, in the words of difflib."""
    before, after = [encoded(item) for item in old], [encoded(item) for item in new]
    return list(difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes())
