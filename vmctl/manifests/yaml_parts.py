"""A YAML text, document by document: the parser's events go to a builder; one bad document does not hide the next.

libyaml's C parser is fast, but it knows YAML 1.1's grammar only: `[52:54:00:12:34:56]` is an error to it. What it
rejects is tried again, that document alone, with ruamel.yaml's own 1.2 parser, which is forty times slower; hence the
allowance. Events are pulled one by one, so that a builder can give up on a bomb before all of it has been read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # imported there from whichever C module is installed
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import StreamEndEvent

from vmctl.manifests.texts import BREAK, Flaw
from vmctl.manifests.yaml_errors import explained

T = TypeVar("T")
Event = Any  # the C parser's module carries no types
Following = Callable[[], Event]
Build = Callable[
    [Event, Following, int], T
]  # the root's event, where the rest comes from, the lines before this stretch

EXACT_ALLOWANCE = 256 * 1024  # characters of one text that the slow parser may read: about a second
MARKER = re.compile(r"---(?:\s|\Z)")
SEPARATORS = ("\u2028", "\u2029")  # they end a line in YAML 1.1, and are ordinary characters in 1.2


class Abandoned(Exception):  # never shown: it carries a builder's flaw past the parser
    """A builder gives up on the document in hand."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.what)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What a builder made of one document, and the line, from 1, in which its content begins."""

    built: T
    line: int


@dataclass(slots=True)
class _Attempt(Generic[T]):
    """How far one parser came in one stretch."""

    parts: list[Part[T]] = field(default_factory=list)
    error: YAMLError | None = None
    flaw: Flaw | None = None  # a builder gave up; another parser would not change that

    def outcome(self, stretch: str, base: int) -> Iterator[Part[T] | Flaw]:
        yield from self.parts
        if isinstance(self.error, MarkedYAMLError):
            yield explained(self.error, stretch, base)
        elif self.error is not None:
            yield Flaw(base + 1, 1, f"this is not YAML: {self.error}")
        if self.flaw is not None:
            yield self.flaw


def parts(text: str, build: Build[T]) -> Iterator[Part[T] | Flaw]:
    """Hand every document of `text` to `build`; what cannot be parsed comes out as a flaw in its place."""
    done = 0  # lines that the quick pass has settled
    if not _misread(text):
        events = _quick(text)
        try:
            while type(events()) is not StreamEndEvent:
                part, done = _part(build, events, 0)
                yield part
        except (YAMLError, Abandoned):
            pass  # from here on every document is taken alone
        else:
            return
    allowance = EXACT_ALLOWANCE
    for stretch, base in _stretches(text, done):
        attempt = None if _misread(stretch) else _attempt(_quick, stretch, build, base)
        if (attempt is None or attempt.error is not None) and allowance >= len(stretch):
            allowance -= len(stretch)
            again = _attempt(_exact, stretch, build, base)
            if attempt is None or again.error is None or "unexpected ':'" in str(attempt.error):
                attempt = again
        yield from (attempt or _attempt(_quick, stretch, build, base)).outcome(stretch, base)


def _misread(text: str) -> bool:
    """Whether the quick parser would count lines wrongly, or end a comment or a text too early, without a complaint."""
    return any(separator in text for separator in SEPARATORS)


def _part(build: Build[T], events: Following, base: int) -> tuple[Part[T], int]:
    """Build one document, whose start has been taken, to its end; say in which line, from 0, the next may begin."""
    first = events()
    part = Part(build(first, events, base), base + first.start_mark.line + 1)
    end = events()
    return part, end.end_mark.line + (1 if end.explicit else 0)


def _attempt(parser: Callable[[str], Following], stretch: str, build: Build[T], base: int) -> _Attempt[T]:
    attempt: _Attempt[T] = _Attempt()
    try:
        events = parser(stretch)
        while type(events()) is not StreamEndEvent:
            attempt.parts.append(_part(build, events, base)[0])
    except YAMLError as error:
        attempt.error = error
    except Abandoned as given_up:
        attempt.flaw = given_up.flaw
    return attempt


def _quick(text: str) -> Following:
    """Events of the C parser, after the start of the stream."""
    events: Following = CParser(text).get_event
    events()
    return events


def _exact(text: str) -> Following:
    """Events of ruamel.yaml's own parser, after the start of the stream."""
    events = iter(YAML(typ="safe", pure=True).parse(text))
    next(events)
    following: Following = events.__next__
    return following


def _stretches(text: str, line: int) -> Iterator[tuple[str, int]]:
    """Cut `text`, from a line counted from 0 on, where a `---` or the directives above it begin a document."""
    ends = [0, *(mark.end() for mark in BREAK.finditer(text)), len(text)]
    begin = line
    for at in range(line + 1, len(ends) - 1):
        if text.startswith("---", ends[at]) and MARKER.match(text, ends[at]):
            cut = at
            while cut > begin + 1 and text.startswith("%", ends[cut - 1]):
                cut -= 1
            yield text[ends[begin] : ends[cut]], begin
            begin = cut
    if begin < len(ends) - 1:
        yield text[ends[begin] :], begin
