"""One file's bytes become everything that is known about it: objects, remarks, mistakes, each with its line.

The result holds no file name, so that it can be kept and used again for the same bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vmctl.errors import Problem
from vmctl.manifests import json_reading
from vmctl.manifests.documents import Document, digest
from vmctl.manifests.places import Node, Path, Place, locate, nodes
from vmctl.manifests.texts import Flaw, decode, flaws, lines_of
from vmctl.resources.secrecy import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmctl.manifests.findings import Finding
    from vmctl.manifests.judging import Judgement
    from vmctl.resources.keys import Key

VALUE = re.compile(r"^(\s*(?:- +)*(?:[^\s:'\"]+|'[^']*'|\"[^\"]*\")\s*:\s+|\s*- +|\s*)\S.*$")
SECRET = re.compile(r"""(?m)(?:^[ \t]*(?:- )?|[{,][ \t]*)["']?kind["']?:[ \t]*["']?Secret\b""")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a file."""

    key: Key
    line: int
    generate_name: str
    digest: str
    acts: bool
    document: Document


@dataclass(slots=True)
class Reading:
    """All that one file says; the `file` of its problems is empty."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    not_acting: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Value:
    value: Any
    line: int
    flawed: bool = False  # it declares nothing
    sound: bool = True  # but it is complete enough to be judged


def read(data: bytes, *, is_json: bool, namespace: str) -> Reading:
    """Parse and judge a whole file."""
    text = decode(data)
    if isinstance(text, Flaw):
        shown = _Shown(data.decode("utf-8", "replace"), as_json=False)
        return Reading(problems=[shown.flaw(text)])
    if unusable := flaws(text):
        shown = _Shown(text, as_json=False)
        return Reading(problems=[shown.flaw(flaw) for flaw in unusable])
    values, flawed, as_json = _parse(text, is_json=is_json)
    shown = _Shown(text, as_json=as_json)
    reading = Reading(problems=[shown.flaw(flaw) for flaw in flawed])
    from vmctl.manifests.judging import judge  # pydantic: only once there is something to judge

    for nth, value in _numbered(values):
        if value.sound:
            judgement = judge(value.value, namespace)
            if value.flawed:
                judgement.objects.clear()
            _add(reading, judgement, shown, value.line, nth)
    return reading


def values(text: str, *, is_json: bool) -> tuple[list[Any], bool] | None:
    """What each document of a text says, before anything judges it, and whether the text is JSON; None for flaws."""
    found, flawed, as_json = _parse(text, is_json=is_json) if not flaws(text) else ([], [Flaw(1, 1, "")], False)
    return None if flawed else ([each.value for each in found], as_json)


def place(data: bytes, *, is_json: bool, line: int, path: Path) -> tuple[int, int, str]:
    """Line, column and text of a field of the object that begins in `line`; of the object where the field is not."""
    text = decode(data)
    if isinstance(text, Flaw):  # the file has changed since it was read
        return line, 0, ""
    shown = _Shown(text, as_json=_as_json(text, is_json=is_json))
    node = next((node for node in _objects(shown.all_nodes()) if node.line == line), None)
    found = locate(node, path) if node else Place(line, 0)
    return found.line, found.column, shown.line(found.line)


def _objects(roots: Iterable[Node]) -> Iterator[Node]:
    """The documents, and the items of those that are Lists."""
    for node in roots:
        yield node
        if "items" in node.inside:
            yield from _objects(item for _, _, item in node.inside["items"][2].inside.values())


def _as_json(text: str, *, is_json: bool) -> bool:
    """What others print as JSON arrives on stdin without a name."""
    return is_json or (text.lstrip().startswith("{") and json_reading.values(text) is not None)


def _parse(text: str, *, is_json: bool) -> tuple[list[_Value], list[Flaw], bool]:
    if _as_json(text, is_json=is_json):
        found = json_reading.values(text)
        if found is None:
            return [], json_reading.flaws(text), True
        return [_Value(value, line) for value, line in found], [], True
    from vmctl.manifests import yaml_parts, yaml_values

    values: list[_Value] = []
    flawed: list[Flaw] = []
    for part in yaml_parts.parts(text, yaml_values.build):
        if isinstance(part, Flaw):
            flawed.append(part)
        else:
            flawed += part.built.flaws
            values.append(_Value(part.built.value, part.line, bool(part.built.flaws), part.built.sound))
    return values, flawed, False


def _numbered(values: list[_Value]) -> Iterator[tuple[int, _Value]]:
    """Count the documents that begin in one and the same line, as JSON's may."""
    counts: Counter[int] = Counter()
    for value in values:
        yield counts[value.line], value
        counts[value.line] += 1


def _add(reading: Reading, judgement: Judgement, shown: _Shown, line: int, nth: int) -> None:
    for item in judgement.objects:
        at = shown.find(line, nth, item.path)[0] if item.path else line
        reading.entries.append(Entry(item.key, at, item.generate_name, digest(item.document), item.acts, item.document))
    reading.problems += (shown.finding(finding, line, nth) for finding in judgement.wrong)
    reading.warnings += (shown.finding(finding, line, nth, warning=True) for finding in judgement.warnings)
    reading.not_acting += (shown.finding(finding, line, nth) for finding in judgement.not_acting)


class _Shown:
    """A file's text, for showing places in it; parsed for positions when the first one is asked for."""

    def __init__(self, text: str, *, as_json: bool) -> None:
        self._text = text
        self._as_json = as_json
        self._lines: list[str] | None = None
        self._nodes: dict[tuple[int, int], Node] | None = None
        self._secret = bool(SECRET.search(text))

    def line(self, number: int) -> str:
        """The text of a line, from 1."""
        if self._lines is None:
            self._lines = lines_of(self._text)
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def flaw(self, flaw: Flaw) -> Problem:
        """The problem of a text that cannot be read; values are hidden where the file holds secrets."""
        text = self.line(flaw.line)
        return Problem("", flaw.line, flaw.column, flaw.what, flaw.remedy, _masked(text) if self._secret else text)

    def finding(self, finding: Finding, line: int, nth: int, *, warning: bool = False) -> Problem:
        """The problem of a document, at the place where the field is, or the one it is missing from."""
        at, column = self.find(line, nth, finding.path, key=finding.aim == "key")
        text = _masked(self.line(at)) if finding.secret else self.line(at)
        path = ".".join(map(str, finding.path))
        return Problem("", at, column, finding.sentence, finding.remedy, text, path, warning)

    def find(self, line: int, nth: int, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a field of the nth document that begins in `line`."""
        if self._nodes is None:
            counts: Counter[int] = Counter()
            self._nodes = {}
            for root in self.all_nodes():
                self._nodes[root.line, counts[root.line]] = root
                counts[root.line] += 1
        node = self._nodes.get((line, nth))
        if node is None:  # cannot be, as places are built like values; a line is still better than nothing
            return line, 1
        found = locate(node, path, "key" if key else "value")
        return found.line, found.column

    def all_nodes(self) -> list[Node]:
        """The places of every document."""
        return nodes(self._text, as_json=self._as_json)


def _masked(line: str) -> str:
    """A line without its value: whoever has the file can look, a log or a terminal need not show it."""
    return VALUE.sub(rf"\g<1>{HIDDEN}", line)
