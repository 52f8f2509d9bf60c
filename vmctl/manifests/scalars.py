"""What a plain scalar means in YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema).

`No`, `on`, `52:54:00:12:34:56` and `12:30` are text here, where YAML 1.1 makes them a boolean or a number. Octal is
`0o17`; `017` is seventeen. What JSON cannot hold (infinity, not a number) has no value.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
NUMERIC = frozenset("+-.0123456789")  # what a number can begin with; everything else is settled by one look
INTEGER = re.compile(r"[-+]?[0-9]+\Z")
BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
NO_NUMBER = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
LONGEST = 4000  # digits; beyond, Python itself refuses to convert (sys.int_info.default_max_str_digits is 4300)


def resolve(text: str) -> Scalar:
    """Read a plain scalar; raises ValueError for a number that JSON cannot hold."""
    if text in WORDS:
        return WORDS[text]
    return number(text) if text[0] in NUMERIC else text


def number(text: str) -> Scalar:
    """Read what begins like a number; the text itself when it is none. Raises ValueError as `resolve` does."""
    integer, based = INTEGER.match(text), BASED.match(text)
    if (integer or based) and len(text) > LONGEST:
        raise ValueError("a number of so many digits cannot be held")
    if integer:
        return int(text)
    if based:
        return int(text, 0)
    if FLOAT.match(text):
        value = float(text)
        if math.isinf(value):
            raise ValueError("the number is too large")
        return value
    if NO_NUMBER.match(text):
        raise ValueError("infinity and not-a-number have no place in a manifest")
    return text
