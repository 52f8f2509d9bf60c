"""A problem as text: where it is, the line with a caret under the place, and what to do. No colour, no printing.

Lines come from files that anyone may have written, so control characters are made visible before they reach a terminal.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmctl.errors import Problem

WIDTH = 100  # columns of a shown line
BEFORE = 60  # columns of it that stand before the caret where a line is cut
TAB = "→   "


def render(problem: Problem) -> str:
    """Show one problem in up to four lines, the first of which editors understand as file:line:column."""
    place = ":".join(str(part) for part in (printable(problem.file), problem.line, problem.column) if part)
    said = "warning: " if problem.warning else ""
    lines = [f"{place}: {said}{printable(problem.what)}"]
    if problem.line and problem.text.strip():
        lines += _pointed_at(problem)
    if problem.remedy:
        lines.append(f"    {printable(problem.remedy)}")
    return "\n".join(lines)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by file, line and column, and say nothing twice."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda item: (item.file, item.line, item.column, item.what)))


def printable(text: str) -> str:
    """Replace what a terminal would act upon, or could not show, by a visible escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(char) for char in text)


def _visible(char: str) -> str:
    if unicodedata.category(char)[0] in "LMNPS" or char == " ":
        return char
    return TAB if char == "\t" else char.encode("unicode_escape", "surrogatepass").decode("ascii")


def _pointed_at(problem: Problem) -> list[str]:
    """The line with its number, and under it the caret; long lines are cut around the place."""
    inside = problem.column - 1 <= len(problem.text)  # not so where a secret was taken out of the line
    at = max(problem.column - 1, 0) if inside else 0
    begin = max(at - WIDTH, 0)  # a line may be the whole of a large file
    left, right = printable(problem.text[begin:at]), printable(problem.text[at : at + WIDTH + 1]).rstrip()
    if begin or (len(left) > BEFORE and len(left) + len(right) > WIDTH):
        left = "…" + left[1 - BEFORE :]
    if len(left) + len(right) > WIDTH:
        right = right[: max(WIDTH - len(left) - 1, 1)] + "…"
    shown = [f"{problem.line:>5} | {left}{right}"]
    if problem.column and inside:
        shown.append(" " * 5 + " | " + " " * _cells(left) + "^")
    return shown


def _cells(text: str) -> int:
    """Columns of a terminal: East Asian wide characters take two, combining marks none."""
    wide = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
    return wide - sum(1 for char in text if unicodedata.combining(char))
