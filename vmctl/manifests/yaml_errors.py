"""A parser's complaint in words of the person who wrote the file, and the place where they have to look.

libyaml and ruamel.yaml word the same mistake differently; both wordings are matched. What is not listed is passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmctl.manifests.texts import Flaw, lines_of

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

QUOTE = "put the text in quotes"
ALIGN = "align it with its neighbours"


@dataclass(frozen=True, slots=True)
class _Saying:
    pattern: re.Pattern[str]  # searched in «context: problem»
    what: str
    remedy: str = ""
    at_context: bool = False  # the cause is where the construct began, not where the parser noticed


def _saying(pattern: str, what: str, remedy: str = "", *, at_context: bool = False) -> _Saying:
    return _Saying(re.compile(pattern), what, remedy, at_context)


SAYINGS = (
    _saying(
        "quoted scalar: found unexpected (end of stream|document)",
        "the quotation mark that opens here is never closed",
        "close it",
        at_context=True,
    ),
    _saying(
        r"flow sequence: .*expected ',' or '\]'",
        "the list that opens here with [ is not closed, or lacks a comma",
        "close it with ], and put commas between its items",
        at_context=True,
    ),
    _saying(
        "flow mapping: .*expected ',' or '}'",
        "the object that opens here with { is not closed, or lacks a comma",
        "close it with }, and put commas between its fields",
        at_context=True,
    ),
    _saying(
        "mapping values are not allowed",
        "a second `key: value` begins inside a value",
        f"indent the line like its neighbours, or {QUOTE} when `: ` belongs to it",
    ),
    _saying(
        "simple key: could not find expected ':'",
        "this line has neither a colon nor a dash",
        "write `key: value`, or indent it under the text that it continues",
        at_context=True,
    ),
    _saying(
        "block mapping: (did not find expected key|expected <block end>)",
        "this fits neither the fields above nor a value",
        f"{ALIGN}; when it belongs to a value, {QUOTE}",
    ),
    _saying(
        "block collection: (did not find expected '-'|expected <block end>)",
        "a list goes on here, but there is no dash",
        "begin the item with `- `, or indent the line like the list's own parent",
    ),
    _saying(
        "block sequence entries are not allowed|sequence entries are not allowed",
        "a list cannot begin here",
        "put `- ` on a line of its own, below the key",
    ),
    _saying("(mapping|block mapping) keys are not allowed", "a field cannot begin here", ALIGN),
    _saying(
        "unknown escape character",
        "this escape is unknown in double quotes",
        "double the backslash, or use single quotes",
    ),
    _saying(
        "hexdecimal number|hexadecimal|Unicode character escape",
        "this is not a Unicode escape",
        r"write \xXX, \uXXXX or \UXXXXXXXX",
    ),
    _saying(
        "block scalar: (did not find expected comment|expected chomping)",
        "something follows the sign that opens a block of text",
        "begin the text in the next line, indented",
    ),
    _saying(
        "leading space.*block scalar|found a tab|violates in[td]endation|where an in[td]entation space",
        "a tab indents this line",
        "YAML is indented with spaces only",
    ),
    _saying("node content", "a value is expected here", QUOTE),
    _saying("document start>", "something follows the end of the document", "begin another document with a line `---`"),
    _saying(
        "incompatible YAML document|directive",
        "this line, which begins with %, is no directive that YAML knows",
        f"remove it, or {QUOTE}",
    ),
    _saying("undefined tag handle|scanning a tag|parsing a tag", "this is no tag that YAML knows", QUOTE),
    _saying("scanning an (alias|anchor)", "& and * name parts of a document, and no name follows", QUOTE),
    _saying("unexpected ':'", "a colon cannot stand here", QUOTE),
)


def explained(error: MarkedYAMLError, text: str, base: int) -> Flaw:
    """Translate a parser's error about `text`, which begins after `base` lines of its file."""
    lines = lines_of(text)
    said = f"{error.context or ''}: {error.problem or ''}"
    mark = error.problem_mark or error.context_mark
    if "cannot start any token" in said:
        return _no_token(mark, lines, base)
    for saying in SAYINGS:
        if saying.pattern.search(said):
            return _flaw(_noticed(error, saying.at_context, lines), lines, base, saying.what, saying.remedy)
    return _flaw(mark, lines, base, f"this is not YAML: {error.problem}")


def _no_token(mark: Any, lines: list[str], base: int) -> Flaw:
    line = lines[mark.line] if mark.line < len(lines) else ""
    char = line[mark.column : mark.column + 1]
    if char == "\t":
        indents = not line[: mark.column].strip()
        what = "a tab indents this line" if indents else "a tab cannot stand here"
        more = sum(1 for other in lines[mark.line + 1 :] if other.lstrip(" ").startswith("\t"))
        remedy = "YAML is indented with spaces only" + (f"; {more} more below" if more else "")
        return _flaw(mark, lines, base, what, remedy)
    return _flaw(mark, lines, base, f"a value cannot begin with {char}", QUOTE)


def _noticed(error: MarkedYAMLError, at_context: bool, lines: list[str]) -> Any:
    """The mark to show: where the construct began, when that is the cause or when the text has simply ended."""
    mark = error.problem_mark
    ended = mark is not None and not "".join(lines[mark.line :])[mark.column :].strip()
    return error.context_mark if error.context_mark and (at_context or ended or mark is None) else mark


def _flaw(mark: Any, lines: list[str], base: int, what: str, remedy: str = "") -> Flaw:
    if mark is None:
        return Flaw(base + 1, 1, what, remedy)
    line = min(mark.line, len(lines) - 1)
    while line and not lines[line].strip():  # the parser noticed at the end; there is nothing to show
        line -= 1
    column = mark.column if line == mark.line else len(lines[line])
    return Flaw(base + line + 1, column + 1, what, remedy)
