"""--sort-by: numbers and quantities by size, everything else as text in which numbers count as numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmctl.cli.jsonpaths import Expression, printed

if TYPE_CHECKING:
    from collections.abc import Sequence

Document = dict[str, object]

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?)(m|k|[KMGTPE]i?|%)?")
_SIZES = {"": 1.0, "m": 0.001, "%": 1.0, "k": 1e3}
_SIZES |= {letter: 1000.0**power for power, letter in enumerate("KMGTPE", 1)}
_SIZES |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", 1)}
_DIGITS = re.compile(r"(\d+)")


def ordered(documents: Sequence[Document], expression: str) -> tuple[Document, ...]:
    """Sorted by what a path finds; objects where it finds nothing come first."""
    path = Expression(expression)
    return tuple(sorted(documents, key=lambda document: _rank(path.find(document))))


def _rank(found: list[object]) -> tuple[int, float, list[tuple[int, str]]]:
    """Nothing, then numbers, then texts."""
    if not found:
        return (0, 0.0, [])
    value = found[0]
    if isinstance(value, (int, float)):
        return (1, float(value), [])
    if isinstance(value, str) and (match := _QUANTITY.fullmatch(value)):
        return (1, float(match[1]) * _SIZES[match[2] or ""], [])
    return (2, 0.0, _natural(printed(value)))


def _natural(text: str) -> list[tuple[int, str]]:
    """`web-2` before `web-10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(text) if part]
