"""Builds places from a parser's events, step for step as `yaml_values` builds values from them."""

from __future__ import annotations

from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from vmctl.manifests.places import Node
from vmctl.manifests.texts import Flaw
from vmctl.manifests.yaml_parts import Abandoned, Event, Following
from vmctl.manifests.yaml_values import DEEPEST


def build(first: Event, following: Following, base: int) -> Node:
    """Build the places of the document that begins with `first`; what an alias stands for is where it was written."""
    return _Builder(following, base).node(first, 1)


class _Builder:
    __slots__ = ("anchors", "base", "following")

    def __init__(self, following: Following, base: int) -> None:
        self.following = following
        self.base = base
        self.anchors: dict[str, Node] = {}

    def node(self, event: Event, depth: int) -> Node:
        kind = type(event)
        line, column = self.base + event.start_mark.line + 1, event.start_mark.column + 1
        if kind is AliasEvent:
            return self.anchors.get(event.anchor, Node(line, column))
        if kind is ScalarEvent:
            node = Node(line, column, blank=not event.value and event.implicit[0])
        else:
            if depth > DEEPEST:
                raise Abandoned(Flaw(line, column, "the document nests too deep"))
            node = Node(line, column, group=True)
            (self.mapping if kind is MappingStartEvent else self.sequence)(node, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def sequence(self, node: Node, depth: int) -> None:
        while type(event := self.following()) is not SequenceEndEvent:
            mark = event.start_mark
            at = len(node.inside)
            node.inside[at] = (self.base + mark.line + 1, mark.column + 1, self.node(event, depth + 1))

    def mapping(self, node: Node, depth: int) -> None:
        merged: list[Node] = []
        while type(key := self.following()) is not MappingEndEvent:
            if type(key) is not ScalarEvent:
                self.node(key, depth + 1)
                self.node(self.following(), depth + 1)
                continue
            if key.anchor is not None:
                self.anchors[key.anchor] = Node(self.base + key.start_mark.line + 1, key.start_mark.column + 1)
            value = self.node(self.following(), depth + 1)
            if key.value == "<<" and key.implicit[0]:
                merged.append(value)
            else:
                place = (self.base + key.start_mark.line + 1, key.start_mark.column + 1, value)
                node.inside.setdefault(key.value, place)
        for other in merged:
            lists = [item for step, (_, _, item) in other.inside.items() if isinstance(step, int)]
            for part in lists or [other]:
                for step, entry in part.inside.items():
                    node.inside.setdefault(step, entry)
