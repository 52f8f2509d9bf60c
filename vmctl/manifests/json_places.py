"""Scans JSON slowly, with the place of everything: where a field is, and what is wrong (RFC 8259, one key once)."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # what the decoder itself reads strings with

from vmctl.manifests.places import Node
from vmctl.manifests.scalars import number
from vmctl.manifests.texts import BREAK, Flaw

DEEPEST = 100
SPACE = re.compile(r"[ \t\r\n]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![0-9A-Za-z.+-])")
WORD = re.compile(r"(?:true|false|null)\b")


@dataclass(slots=True)
class Scanned:
    """The roots of all complete values, and what is wrong; scanning ends at the first thing that is not JSON."""

    roots: list[Node] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)


class _Broken(Exception):  # ends a scan, never leaves this module
    def __init__(self, at: int, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.at = at
        self.what = what
        self.remedy = remedy


def scan(text: str) -> Scanned:
    """Scan all values of `text`."""
    scanner = _Scanner(text)
    found = Scanned(flaws=scanner.flaws)
    try:
        while scanner.skip() < len(text):
            found.roots.append(scanner.value(1))
    except _Broken as broken:
        found.flaws.append(Flaw(*scanner.place(broken.at), broken.what, broken.remedy))
    return found


class _Scanner:
    __slots__ = ("at", "begins", "flaws", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.begins = [0, *(mark.end() for mark in BREAK.finditer(text))]
        self.flaws: list[Flaw] = []

    def place(self, index: int) -> tuple[int, int]:
        """Line and column, from 1."""
        line = bisect_right(self.begins, index)
        return line, index - self.begins[line - 1] + 1

    def skip(self) -> int:
        match = SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def value(self, depth: int) -> Node:
        begin = self.skip()
        char = self.text[begin : begin + 1]
        node = Node(*self.place(begin), group=char in ("{", "["))
        if depth > DEEPEST:
            raise _Broken(begin, f"the document nests deeper than {DEEPEST} levels", "flatten it")
        if char == "{":
            self.members(node, "}", depth)
        elif char == "[":
            self.members(node, "]", depth)
        elif char == '"':
            self.string()
        elif match := WORD.match(self.text, begin):
            self.at = match.end()
        else:
            self.number(begin)
        return node

    def members(self, node: Node, close: str, depth: int) -> None:
        """Take the items of a list or the fields of an object, from its opening bracket to its closing one."""
        opened = self.at
        self.at += 1
        while (char := self.text[self.skip() : self.at + 1]) != close or node.inside:
            if node.inside and not self.goes_on(char, close, opened):
                return
            line, column = self.place(self.skip())
            key = self.key() if close == "}" else len(node.inside)
            if key in node.inside:
                self.flaws.append(Flaw(line, column, f'the key "{key}" is there twice', "keep one of the two"))
            node.inside.setdefault(key, (line, column, self.value(depth + 1)))
        self.at += 1

    def goes_on(self, char: str, close: str, opened: int) -> bool:
        """Take a comma, or the closing bracket that ends it."""
        if not char:
            raise _Broken(opened, f"the bracket that opens here is never closed with {close}", "close it")
        if char not in (",", close):
            raise _Broken(self.at, f"a comma or {close} is expected here", "JSON has no comments; YAML has")
        self.at += 1
        if char == "," and self.text[self.skip() : self.at + 1] == close:
            raise _Broken(self.at, f"there is a comma before this {close}", "remove the comma")
        return char == ","

    def key(self) -> str:
        if self.text[self.at : self.at + 1] != '"':
            raise _Broken(self.at, "a field's name in double quotes is expected here", "quote it, or use YAML")
        name = self.string()
        if self.text[self.skip() : self.at + 1] != ":":
            raise _Broken(self.at, "a colon is expected here")
        self.at += 1
        return name

    def string(self) -> str:
        try:
            value, self.at = scanstring(self.text, self.at + 1, True)  # True: strict
        except JSONDecodeError as error:
            what = "the text that opens here is never closed" if "Unterminated" in error.msg else error.msg.lower()
            raise _Broken(error.pos, what.removesuffix(" at"), "close it, or escape what is inside") from None
        return str(value)

    def number(self, begin: int) -> None:
        match = NUMBER.match(self.text, begin)
        if match is None:
            what = "a value is expected here" if begin < len(self.text) else "the text ends where a value is expected"
            raise _Broken(begin, what, 'JSON knows "text", numbers, true, false, null, [] and {}')
        try:
            number(match.group())
        except ValueError as error:
            self.flaws.append(Flaw(*self.place(begin), str(error), "put it in quotes if it is meant as text"))
        self.at = match.end()
