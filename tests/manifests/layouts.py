"""Random values, random changes of them, and random ways in which people might have written them down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vmctl.manifests import rendering

if TYPE_CHECKING:
    from random import Random

LEAVES = (
    "a", "yes", 1, True, None, 1.5, "", "x: y", "l1\nl2\n", "l1\n\n  l2", "#h", "é", "1", "-", "- b", "a, b", "{x",
    "'q'", '"d"', "tab\t", " lead", "trail ", "http://h:80/p?q=1#x", "12:30", "0o7", "~", "<<",
)  # fmt: skip
DEEPEST = 3


def value(random: Random, depth: int) -> Any:
    """A scalar, an object or a list."""
    kind = random.random()
    if depth > DEEPEST or kind < 0.5:
        return random.choice([*LEAVES, [], {}])
    size = random.randint(0, 4)
    if kind < 0.75:
        return {random.choice("abcdefgh") * random.randint(1, 2): value(random, depth + 1) for _ in range(size)}
    return [value(random, depth + 1) for _ in range(size)]


def changed(random: Random, old: Any) -> Any:
    """The value with one or two things removed, changed or added somewhere."""
    if isinstance(old, dict):
        return _changed_fields(random, dict(old))
    if isinstance(old, list):
        return _changed_items(random, list(old))
    return value(random, 2)


def _changed_fields(random: Random, new: dict[str, Any]) -> dict[str, Any]:
    for _ in range(random.randint(1, 2)):
        kind = random.random()
        if new and kind < 0.3:
            new.pop(random.choice(list(new)))
        elif new and kind < 0.75:
            name = random.choice(list(new))
            new[name] = changed(random, new[name])
        else:
            new["n" + random.choice("abc")] = value(random, 2)
    return new


def _changed_items(random: Random, new: list[Any]) -> list[Any]:
    for _ in range(random.randint(1, 2)):
        kind = random.random()
        if new and kind < 0.3:
            new.pop(random.randrange(len(new)))
        elif new and kind < 0.7:
            at = random.randrange(len(new))
            new[at] = changed(random, new[at])
        else:
            new.insert(random.randint(0, len(new)), value(random, 2))
    return new


def laid_out(random: Random, document: dict[str, Any]) -> str:
    """A YAML text of it, as somebody might have typed it, maybe with another document behind."""
    text = "".join(
        f"{'# about ' + name + chr(10) if random.random() < 0.5 else ''}{name}:{_behind(random, item, 0, least=0)}"
        for name, item in document.items()
    )
    text += random.choice(["", "---\nother: 1  # o\n", "...\n", "\n\n# end\n"])
    if random.random() < 0.2:
        text = text.rstrip("\n")
    return text.replace("\n", "\r\n") if random.random() < 0.3 else text


def _behind(random: Random, item: Any, column: int, *, least: int = 1) -> str:
    """What stands behind `key:` or `-`, to the end of the last line; `least` is how much deeper a list has to be."""
    comment = random.choice(["", "", "", "", "  # c"])
    if isinstance(item, dict | list) and item and random.random() < 0.85:
        inner = column + random.choice([least if isinstance(item, list) else 1, 2, 4])
        lines = _fields(random, item, inner) if isinstance(item, dict) else _items(random, item, inner)
        return f"{comment}\n{lines}"
    if isinstance(item, str) and "\n" in item and random.random() < 0.7:
        first, *rest = rendering.after_colon(item)
        return "\n".join([first, *(" " * column + line if line else "" for line in rest)]) + "\n"
    if item is None and random.random() < 0.5:
        return comment + "\n"
    return f" {' ' * random.randint(0, 2)}{_inline(random, item, column)}{comment}\n"


def _inline(random: Random, item: Any, column: int) -> str:
    if isinstance(item, dict | list) and item and random.random() < 0.5:
        text = json.dumps(item, indent=random.choice([None, 2])).replace("\n", "\n" + " " * (column + 1))
        if "\\u" not in text:
            return text
    if isinstance(item, str) and random.random() < 0.4:
        text = rendering.quoted(item, random.choice("'\"")) or ""
        if text:
            return text
    return rendering.in_brackets(item)


def _fields(random: Random, fields: dict[str, Any], column: int) -> str:
    text = ""
    for name, item in fields.items():
        text += f"{' ' * random.choice([0, column])}# above\n" if random.random() < 0.2 else ""
        text += "\n" if random.random() < 0.1 else ""
        key = name if random.random() < 0.8 else f'"{name}"'
        text += f"{' ' * column}{key}:{_behind(random, item, column, least=0)}"
    return text


def _items(random: Random, items: list[Any], column: int) -> str:
    text = ""
    for item in items:
        text += f"{' ' * random.choice([0, column])}# above\n" if random.random() < 0.2 else ""
        if isinstance(item, dict) and item and random.random() < 0.6:
            gap = random.choice([1, 1, 3])
            inside = column + 1 + gap
            first, *rest = (f"{name}:{_behind(random, field, inside, least=0)}" for name, field in item.items())
            text += f"{' ' * column}-{' ' * gap}{first}"
            text += "".join(
                (" " * inside + "# inside\n" if random.random() < 0.2 else "") + " " * inside + each for each in rest
            )
        else:
            text += f"{' ' * column}-{_behind(random, item, column)}"
    return text
