"""Where each field of a document was written: only asked for when something is wrong, at the price of another parse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vmctl.manifests.texts import Flaw

Step = str | int
Path = tuple[Step, ...]


@dataclass(slots=True)
class Node:
    """A value's first character, from 1, and what lies in it: for each step the place of the key, and the value."""

    line: int
    column: int
    inside: dict[Step, tuple[int, int, Node]] = field(default_factory=dict)
    group: bool = False  # an object or a list
    blank: bool = False  # nothing is written: there is only the key to show


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, from 1, and whether the whole path led there."""

    line: int
    column: int
    exact: bool = True


def locate(root: Node, path: Path, aim: Literal["key", "value"] = "value") -> Place:
    """Find a field; as far as `path` leads, when the field is not there. Groups and items are shown by their key."""
    node = root
    place = Place(root.line, root.column)
    for number, step in enumerate(path, 1):
        if step not in node.inside:
            return Place(place.line, place.column, exact=False)
        line, column, node = node.inside[step]
        at_key = node.group or (aim == "key" and number == len(path)) or node.blank
        place = Place(line, column) if at_key else Place(node.line, node.column)
    return place


def nodes(text: str, *, as_json: bool) -> list[Node]:
    """Parse for places: the root of every readable document of `text`, in order, as the reading of values has them."""
    if as_json:
        from vmctl.manifests import json_places

        return json_places.scan(text).roots
    from vmctl.manifests import yaml_parts, yaml_places

    return [part.built for part in yaml_parts.parts(text, yaml_places.build) if not isinstance(part, Flaw)]
