"""JSON texts: one value, or several one after another as kubectl takes them, read with the standard library.

What it would let pass (a key twice, NaN, numbers without end) is left to the slow scanner, which also knows the place.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmctl.manifests.texts import Flaw

SPACE = re.compile(r"[ \t\r\n]*")


class DoubtfulError(ValueError):
    """The quick reader met something that needs a closer look."""


def values(text: str) -> list[tuple[Any, int]] | None:
    """Read all values with the line each begins in; None when anything is wrong."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refused)
    found: list[tuple[Any, int]] = []
    line, seen, at = 1, 0, _skip(text, 0)
    try:
        while at < len(text):
            line += text.count("\n", seen, at)
            seen = at
            value, at = decoder.raw_decode(text, at)
            found.append((value, line))
            at = _skip(text, at)
    except (ValueError, RecursionError):
        return None
    return found


def flaws(text: str) -> list[Flaw]:
    """Say what is wrong with a text that `values` did not take."""
    from vmctl.manifests import json_places

    return json_places.scan(text).flaws


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise DoubtfulError
    return built


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise DoubtfulError
    return value


def _refused(text: str) -> None:
    raise DoubtfulError(text)
