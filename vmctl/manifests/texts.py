"""Bytes become text that a parser may see; what cannot be text, or is half a merge, is a flaw with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass

BREAK = re.compile(r"\r\n|\r|\n")  # what ends a line in YAML 1.2, unlike str.splitlines()
CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"
)  # no YAML holds them as they are
CONFLICT = re.compile(r"(?m)^(?:<{7}|>{7}|\|{7})(?: |$)")
BOM = "\ufeff"
OTHER_ENCODINGS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a text, or one document of it, cannot be read; lines and columns count from 1."""

    line: int
    column: int
    what: str
    remedy: str = ""


def decode(data: bytes) -> str | Flaw:
    """Decode UTF-8, with or without a byte order mark."""
    for mark, name in OTHER_ENCODINGS.items():
        if data.startswith(mark):
            return Flaw(1, 1, f"the file is {name}, not UTF-8", f"convert it: iconv -f {name} -t UTF-8")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = position(data[: error.start].decode("utf-8"), error.start)
        what = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        return Flaw(line, column, what, "save the file as UTF-8; binary data goes into a Secret as base64")
    return text.removeprefix(BOM)


def flaws(text: str) -> list[Flaw]:
    """Find what makes a whole text unusable: control characters, and what a merge left behind."""
    if mark := CONTROL.search(text):
        place, code = position(text, mark.start()), ord(mark.group())
        if code == 0:
            return [Flaw(*place, "a NUL character; this is not a text file", "name a YAML or JSON file")]
        what = f"the control character U+{code:04X} may not stand in a manifest"
        return [Flaw(*place, what, f"in double quotes it is written \\x{code:02x}")]
    if "<<<<<<<" not in text and ">>>>>>>" not in text:
        return []
    return [
        Flaw(*position(text, mark.start()), "a merge conflict is left in the file", "settle it, and remove the marker")
        for mark in CONFLICT.finditer(text)
    ]


def lines_of(text: str) -> list[str]:
    """Split into lines, without what ends them."""
    return BREAK.split(text)


def position(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of the character at `index`."""
    before = lines_of(text[:index])
    return len(before), len(before[-1]) + 1
