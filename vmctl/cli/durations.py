"""Lengths of time on the command line, in Go's notation: `30s`, `5m`, `1h30m`, `500ms`; a bare number means seconds."""

from __future__ import annotations

import re

import click

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def seconds(text: str) -> float | None:
    """The seconds that a text means; None when it means none."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text)
    if re.fullmatch(r"\d+(\.\d+)?", rest):
        return sign * float(rest)
    if not rest or re.fullmatch(rf"(?:{_PART.pattern})+", rest) is None:
        return None
    return sign * sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(rest))


class Duration(click.ParamType[float]):
    """An option's value in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds as a number."""
        if isinstance(value, (int, float)):
            return float(value)
        found = seconds(str(value))
        if found is None:
            self.fail(f'"{value}" is no length of time; write for example 30s, 5m or 1h30m', param, ctx)
        return found


DURATION = Duration()
