"""Plain tables as kubectl prints them: three blanks between columns, upper-case headings, no blanks at line ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.cli.output import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP = "   "


class Table:
    """Lays out rows that arrive in portions: columns only ever grow, so that what follows stays under its heading."""

    def __init__(self, headings: Sequence[str], *, show_headings: bool = True) -> None:
        self._headings = tuple(headings)
        self._widths = [len(heading) for heading in headings] if show_headings else [0] * len(headings)
        self._heading_due = show_headings

    def lines(self, rows: Iterable[Sequence[str]]) -> list[str]:
        """The lines for these rows, the heading in front of the first portion."""
        cells = [[cell(text) for text in row] for row in rows]
        for row in cells:
            self._widths = [max(width, len(text)) for width, text in zip(self._widths, row, strict=True)]
        if self._heading_due:
            cells.insert(0, list(self._headings))
            self._heading_due = False
        return [GAP.join(map(str.ljust, row, self._widths)).rstrip() for row in cells]


def cell(text: str) -> str:
    """One line that cannot steer a terminal; what follows a line end is cut and shows as dots."""
    first, end, _ = text.partition("\n")
    return printable(first.rstrip("\r")) + ("..." if end else "")


def render(headings: Sequence[str], rows: Iterable[Sequence[str]], *, show_headings: bool = True) -> str:
    """A whole table as text, with its final line end."""
    return "".join(line + "\n" for line in Table(headings, show_headings=show_headings).lines(rows))
