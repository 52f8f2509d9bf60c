"""What is wrong with a document, by path, in words: pydantic's errors translated, misspelt fields recognised.

A sentence continues its path: `spec.cpu.cores` «must be at least 1, not 0». What follows the first semicolon of a
rule's own sentence is what to do about it. Values of secret fields are never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vmctl.manifests.shapes import Shape
from vmctl.resources import registry

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from vmctl.manifests.places import Path

MOST_NAMES = 14  # fields that are listed when none is near a misspelt one
MOST_FINDINGS = 500  # of one document; whoever has more has not written it by hand
LONGEST_VALUE = 40
PREDICATE = re.compile(r"(is|are|must|may|does|do|has|have|cannot|needs|contains|belongs|names|says|allows|would)\b")
LIMITS = {
    "greater_than_equal": "at least",
    "less_than_equal": "at most",
    "greater_than": "more than",
    "less_than": "less than",
    "multiple_of": "a multiple of",
}
LENGTHS = {
    "string_too_short": "at least {} characters",
    "string_too_long": "at most {} characters",
    "too_short": "at least {} items",
    "too_long": "at most {} items",
}
LAST_NUMBER = re.compile(r"(-?[0-9][0-9.]*)(?!.*[0-9])")
QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")
TRUTHS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong, by its path in the document; `aim` says which side of the colon is to be shown."""

    path: Path
    what: str
    remedy: str = ""
    aim: Literal["key", "value"] = "value"
    secret: bool = False

    @property
    def sentence(self) -> str:
        """The finding with its path in front."""
        path = ".".join(map(str, self.path))
        if not path:
            return self.what
        return f"{path} {self.what}" if PREDICATE.match(self.what) else f"{path}: {self.what}"


def findings(model: type[BaseModel], document: Mapping[str, Any], error: ValidationError) -> Iterator[Finding]:
    """Translate what `error` holds; alternatives of one field that were all refused come out as one."""
    told: dict[Path, list[Finding]] = {}
    all_details = error.errors(include_url=False)
    for details in all_details[:MOST_FINDINGS]:
        finding = _finding(Shape.of(model), document, details)
        told.setdefault(finding.path, []).append(finding)
    outer = {path[:length] for path in told for length in range(len(path))}
    for path, same in told.items():
        for finding in dict.fromkeys(same):
            # items that were refused are not counted: a list of bad items is not also too short
            if not (path in outer and finding.what.startswith("must have")):
                yield finding
    if len(all_details) > MOST_FINDINGS:
        yield Finding((), f"there are {len(all_details) - MOST_FINDINGS:,} more problems in this document")


def _finding(shape: Shape, document: object, details: ErrorDetails) -> Finding:
    path: list[str | int] = []
    at: object = document
    parent, secret = shape, False
    for step in details["loc"]:
        there = _has(at, step)
        if not there and step not in shape.names:
            continue  # a branch of a union, a part of pydantic's schema: nothing that is written in a manifest
        path.append(step)
        parent, shape = shape, shape.into(step)
        secret = secret or shape.secret
        at = at[step] if there else None  # type: ignore[index]  # _has says so
    kind = details["type"]
    if kind == "extra_forbidden":
        return Finding(tuple(path), "is unknown", _known(str(path[-1]), parent), "key")
    what, remedy = _sentence(kind, details, "" if secret else _given(details["input"]))
    aim: Literal["key", "value"] = "key" if "[key]" in details["loc"] else "value"
    return Finding(tuple(path), what, remedy, aim, secret)


def _has(at: object, step: str | int) -> bool:
    if isinstance(at, Mapping):
        return step in at
    return isinstance(at, list) and isinstance(step, int) and step < len(at)


def _known(name: str, shape: Shape) -> str:
    if near := registry.closest(name, sorted(shape.names)):
        return f'did you mean "{near}"?'
    names = sorted(shape.names - {"status"})
    return f"known here: {', '.join(names)}" if 0 < len(names) <= MOST_NAMES else "remove it"


def _sentence(kind: str, details: ErrorDetails, given: str) -> tuple[str, str]:
    """Say what is wrong and what to do; `given` is empty when it may not be shown."""
    message = details["msg"]
    but = f", not {given}" if given else ""
    limit = LAST_NUMBER.search(message)
    if kind == "missing":
        return "is missing", ""
    if kind in LIMITS and limit:
        return f"must be {LIMITS[kind]} {limit.group(1)}{but}", ""
    if kind in LENGTHS:
        return _length(kind, message), ""
    if kind in ("literal_error", "enum"):
        return _choice(message, details["input"], but)
    if (expected := _expected(kind)) is not None:
        return f"must be {expected}{but}", _remedy(expected, details["input"])
    if kind == "string_pattern_mismatch":
        pattern = message.rpartition("pattern ")[2].strip("'")
        return f"must match {pattern}{but}", ""
    what, _, remedy = _plain(message).partition("; ")
    return what, remedy


def _expected(kind: str) -> str | None:
    """What pydantic wanted, for errors of type, by the beginning of their name."""
    head = kind.rpartition("_")[0] if not kind.startswith("int_from") else "int"
    if not kind.endswith(("_type", "_parsing", "_float", "_attributes_type", "_class")):
        return None
    return {
        "string": "text",
        "int": "a whole number",
        "float": "a number",
        "decimal": "a number",
        "bool": "true or false",
        "list": "a list",
        "tuple": "a list",
        "set": "a list",
        "frozen_set": "a list",
        "dict": "an object with fields",
        "mapping": "an object with fields",
        "model": "an object with fields",
        "model_attributes": "an object with fields",
    }.get(head)


def _remedy(expected: str, given: object) -> str:
    if expected == "text" and isinstance(given, bool | int | float):
        return "put it in quotes"
    if expected == "true or false" and isinstance(given, str) and given.lower() in TRUTHS:
        return f"write {TRUTHS[given.lower()]}; in YAML 1.2 {given} is a text"
    if expected in ("a whole number", "a number") and isinstance(given, str) and given.strip().isdigit():
        return "remove the quotes"
    return "begin each item with `- `" if expected == "a list" and isinstance(given, Mapping) else ""


def _length(kind: str, message: str) -> str:
    numbers = re.findall(r"[0-9]+", message)
    number = numbers[0] if numbers else "0"
    said = LENGTHS[kind].format(number)
    return "must have " + (said[:-1] if number == "1" else said)


def _choice(message: str, given: object, but: str) -> tuple[str, str]:
    choices = QUOTED.findall(message)
    near = registry.closest(given, choices) if isinstance(given, str) and but else ""
    only = f"must be {choices[0]}" if len(choices) == 1 else f"must be one of {', '.join(choices)}"
    return f"{only}{but}", f'did you mean "{near}"?' if near and len(choices) > 1 else ""


def _plain(message: str) -> str:
    """pydantic's wording without its machinery."""
    message = re.sub(r"^(Value error|Assertion failed), ", "", message)
    return re.sub(r"^Input should (be|have|match) ", r"must \1 ", message)


def _given(value: object) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case str():
            shown = value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"
            return f'"{shown}"'
        case int() | float():
            return str(value)
        case Mapping():
            return "an object"
        case _:
            return "a list"
