"""Quantities, percentages, durations and names as manifests write them, and the exact numbers they stand for.

Text types are checked by patterns in pydantic's core, with messages that say what to write instead. A manifest's own
spelling is kept; `1024Mi` and `1Gi` are told equal by what they measure, not by how they are stored.
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue

QUANTITY = r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$"
LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"

_SCALES: dict[str, Fraction] = {
    **{
        unit: Fraction(1000) ** power
        for power, unit in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), start=-3)
    },
    **{unit: Fraction(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}
_BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")
_SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?")
_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


@dataclass(frozen=True, slots=True)
class Text:
    """A string bounded by a pattern, with a sentence of our own where it does not fit; `numbers` are taken as text."""

    pattern: str
    wrong: str
    numbers: bool = False
    max_length: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = core_schema.str_schema(
            pattern=self.pattern, max_length=self.max_length, coerce_numbers_to_str=self.numbers or None
        )
        return core_schema.custom_error_schema(inner, "text", custom_error_message=self.wrong)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        return {**schema, "type": ["string", "number"]} if self.numbers else schema


def quantity(text: str | float) -> Fraction:
    """The exact number in `1Gi`, `500M`, `1.5Gi`, `0.5`, `100m`, `1e3`; raises ValueError for anything else."""
    found = _PARTS.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity; write a number with an optional unit, such as 512Mi, 10Gi or 500M")
    number, unit, exponent = found.groups()
    return Fraction(number) * (Fraction(10) ** int(exponent) if exponent else _SCALES[unit or ""])


def quantity_bytes(text: str | float) -> int:
    """The bytes in a quantity, rounded up to whole ones as Kubernetes does; raises ValueError."""
    return math.ceil(quantity(text))


def measured_bytes(value: object) -> object:
    """The bytes in a quantity; what is none stays itself and equals nothing else. Total, for comparing observations."""
    try:
        return quantity_bytes(value) if isinstance(value, str | int | float) else value
    except ValueError:
        return value


def shown_quantity(size_bytes: int) -> str:
    """A size as exactly as Kubernetes writes it, in the largest binary unit without a fraction: `2590Mi`, `10Gi`."""
    for unit in _BINARY:
        scale = int(_SCALES[unit])
        if size_bytes and size_bytes % scale == 0:
            return f"{size_bytes // scale}{unit}"
    return str(size_bytes)


def shown_size(size_bytes: int) -> str:
    """A size for people, one decimal where it says something: `285.9Mi`, `2.5Gi`, `300Mi`, `512`."""
    for unit in _BINARY:
        scale = int(_SCALES[unit])
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f}".removesuffix(".0") + unit
    return str(size_bytes)


def percent(text: str) -> int:
    """The whole number in `25%`; raises ValueError."""
    if not re.fullmatch(r"(100|[1-9]?[0-9])%", text):
        raise ValueError(f"{text!r} is no percentage; write a whole number from 0 to 100 and a percent sign: 25%")
    return int(text[:-1])


def measured_percent(value: object) -> object:
    """The whole number in a percentage; what is none stays itself. Total, for comparing observations."""
    try:
        return percent(value) if isinstance(value, str) else value
    except ValueError:
        return value


def duration_s(text: str) -> float:
    """The seconds in `10m`, `1h30m`, `90s`, `1.5h`; raises ValueError."""
    if not re.fullmatch(DURATION[1:-1], text):
        raise ValueError(f"{text!r} is no duration; write numbers with h, m, s or ms, such as 10m or 1h30m")
    return float(sum((Fraction(number) * _SECONDS[unit] for number, unit in _TERM.findall(text)), Fraction(0)))


Int = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Name = Annotated[str, Field(min_length=1)]
Quantity = Annotated[
    str,
    Text(
        QUANTITY, "is no quantity; write a number with an optional unit, such as 512Mi, 10Gi, 500M or 0.5", numbers=True
    ),
]


def _is_size(text: str) -> str:
    if text[-1] in "num":
        raise PydanticCustomError(
            "text",
            "means less than one byte; write {bigger} for millions of bytes",
            {"bigger": f"{text[:-1]}M or {text[:-1]}Mi"},
        )
    number = _PARTS.fullmatch(text)
    if number and not number[1].strip("0."):
        raise PydanticCustomError("text", "is no size; it must be more than zero")
    return text


Size = Annotated[Quantity, AfterValidator(_is_size)]
Percent = Annotated[
    str,
    Text(
        r"^(100|[1-9][0-9]?)%$", "is no percentage; write a whole number from 1 to 100 and a percent sign, such as 25%"
    ),
]
CoreFraction = Annotated[
    str,
    Text(r"^(Auto|(100|[1-9][0-9]?)%)$", "is no share of a core; write 1% to 100%, such as 25%, or Auto"),
]


def _is_base64(text: str) -> str:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise PydanticCustomError("text", "is not base64; encode it, for example with `base64 -w0`") from None
    return text


Base64 = Annotated[str, AfterValidator(_is_base64)]
Duration = Annotated[str, Text(DURATION, "is no duration; write numbers with h, m, s or ms, such as 10m or 1h30m")]
Label = Annotated[
    str,
    Text(
        LABEL,
        "is no legal name; use at most 63 lower-case letters, digits and dashes, with a letter or digit first and last",
        max_length=63,
    ),
]
Subdomain = Annotated[
    str,
    Text(
        SUBDOMAIN,
        "is no legal name; use at most 253 lower-case letters, digits, dashes and dots, not a dash first or last",
        max_length=253,
    ),
]
