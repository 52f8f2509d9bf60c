"""kubectl's paths in the notation of RFC 9535: `.metadata.labels.a\\.b/c` becomes `$["metadata"]["labels"]["a.b/c"]`.

kubectl lets a field name hold anything but dots and brackets; the RFC wants such names in quotes. Filters compare two
operands; their fields are rewritten too.
"""

from __future__ import annotations

import json
import re

from vmctl.errors import UsageError

_NAME = re.compile(r"(?:\\.|[^.\[\]\\\s,(){}|=!<>'\"])+")
_FILTER = re.compile(
    r"""\?\s*\(?\s*(?P<left>'[^']*'|"[^"]*"|.+?)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>.+?))?\s*\)?""",
    re.DOTALL,
)
_DOT = re.compile(r"(?<!\\)\.")
_SLICE = re.compile(r"-?\d*(?::-?\d*){0,2}")


def rewritten(path: str) -> str:
    """The whole path, from `$`; raises UsageError for what is no path."""
    text = path[1:] if path[:1] in ("$", "@") else path
    return " | ".join(f"${steps}" for steps in _alternatives(text, path))


def _alternatives(text: str, whole: str) -> list[str]:
    """More than one where a subscript names several fields: kubectl prints all of the first, then all of the second."""
    found = [""]
    place = 0
    while place < len(text):
        if text[place] == "[":
            end = _closing(text, place, whole)
            found = [before + step for step in _subscript(text[place + 1 : end].strip(), whole) for before in found]
            place = end + 1
            continue
        dots = ".." if text.startswith("..", place) else "."
        if not text.startswith(dots, place):
            raise _unreadable(whole, text[place:])
        place += len(dots)
        step, place = _field(text, place, whole, deep=dots == "..")
        found = [before + step for before in found]
    return found


def _steps(text: str, whole: str) -> str:
    """A path inside a filter: one alternative only."""
    found = _alternatives(text, whole)
    if len(found) != 1:
        raise _unreadable(whole, text)
    return found[0]


def _field(text: str, place: int, whole: str, *, deep: bool) -> tuple[str, int]:
    start = ".." if deep else ""
    if text.startswith("*", place):
        return f"{start}[*]", place + 1
    if place == len(text) and not deep:
        return "", place  # `.` alone, or a dot at the end: the object itself
    if text.startswith("[", place):
        return start, place
    match = _NAME.match(text, place)
    if match is None:
        raise _unreadable(whole, text[place:])
    return f"{start}[{_quoted(_unescaped(match[0]))}]", match.end()


def _closing(text: str, start: int, whole: str) -> int:
    depth, quote = 0, ""
    for place in range(start, len(text)):
        sign = text[place]
        if quote:
            quote = "" if sign == quote and text[place - 1] != "\\" else quote
        elif sign in "'\"":
            quote = sign
        else:
            depth += (sign == "[") - (sign == "]")
            if depth == 0:
                return place
    raise _unreadable(whole, text[start:])


def _subscript(inner: str, whole: str) -> list[str]:
    if inner == "*" or (inner and all(_SLICE.fullmatch(part.strip()) for part in inner.split(","))):
        return [f"[{inner}]"]
    if inner.startswith("?"):
        return [f"[{_filter(inner, whole)}]"]
    names = re.findall(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", inner)
    if not names:
        raise _unreadable(whole, f"[{inner}]")
    # kubectl reads a quoted name as a path of its own: dots part it unless they are escaped
    return ["".join(f"[{_quoted(_unescaped(step))}]" for step in _DOT.split(one or other)) for one, other in names]


def _filter(inner: str, whole: str) -> str:
    match = _FILTER.fullmatch(inner)
    if match is None:
        raise _unreadable(whole, f"[{inner}]")
    left = _operand(match["left"], whole)
    if not match["operator"]:
        return f"?{left}"
    return f"?{left}{match['operator']}{_operand(match['right'], whole)}"


def _operand(text: str, whole: str) -> str:
    if text.startswith("@"):
        return "@" + _steps(text[1:], whole)
    if text.startswith("$"):
        return "$" + _steps(text[1:], whole)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return _quoted(_unescaped(text[1:-1]))
    if re.fullmatch(r"-?\d+(\.\d+)?|true|false|null", text):
        return text
    raise _unreadable(whole, text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _unreadable(whole: str, rest: str) -> UsageError:
    return UsageError(f'the path {whole} cannot be read at "{rest}"', remedy="for example  {.items[*].metadata.name}")
