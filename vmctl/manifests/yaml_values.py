"""Builds plain Python values straight from a parser's events: no nodes in between, and no positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from vmctl.manifests.scalars import Scalar, number, resolve
from vmctl.manifests.texts import Flaw
from vmctl.manifests.yaml_parts import Abandoned, Event, Following

DEEPEST = 100  # levels; a manifest has about ten
MOST_BORROWED = 100_000  # values that the aliases of one document may stand for
QUOTED: Final = frozenset(("!", "tag:yaml.org,2002:str"))
PLAIN = {f"tag:yaml.org,2002:{name}": name for name in ("int", "float", "bool", "null")}
GROUPS = frozenset(("!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"))
TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}


@dataclass(slots=True)
class Built:
    """One document; with `flaws`, `value` is what could be made of it, and only worth a look while it is `sound`."""

    value: Any = None
    flaws: list[Flaw] = field(default_factory=list)
    sound: bool = True


def build(first: Event, following: Following, base: int) -> Built:
    """Build the document that begins with `first`; raises Abandoned when it is too deep or expands too far."""
    builder = _Builder(following, base)
    value = builder.value(first, 1)
    return Built(value, builder.flaws, len(builder.flaws) == builder.twice)


@dataclass(slots=True)
class _Anchored:
    value: Any
    size: int  # values inside, aliases expanded


class _Builder:
    """One document's worth of state."""

    __slots__ = ("anchors", "base", "borrowed", "flaws", "following", "size", "twice")

    def __init__(self, following: Following, base: int) -> None:
        self.following = following
        self.base = base
        self.flaws: list[Flaw] = []
        self.anchors: dict[str, _Anchored | None] = {}  # None while it is being built
        self.size = 0
        self.borrowed = 0
        self.twice = 0  # keys that are there twice: the first is kept, and the rest can still be judged

    def value(self, event: Event, depth: int) -> Any:
        """Build whatever begins with `event`."""
        kind = type(event)
        if kind is ScalarEvent:
            return self.scalar(event)
        if kind is AliasEvent:
            return self.alias(event)
        if depth > DEEPEST:
            raise Abandoned(self._flaw(event, f"the document nests deeper than {DEEPEST} levels", "flatten it"))
        if event.tag is not None and event.tag not in GROUPS:
            self._unknown_tag(event)
        before = self.size
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        built: Any = self.mapping(depth) if kind is MappingStartEvent else self.sequence(depth)
        self.size += 1
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(built, self.size - before)
        return built

    def sequence(self, depth: int) -> list[Any]:
        """Build a list; its start has been taken."""
        following, items = self.following, []
        while type(event := following()) is not SequenceEndEvent:
            items.append(self.value(event, depth + 1))
        return items

    def mapping(self, depth: int) -> dict[str, Any]:
        """Build an object; its start has been taken. Keys are text, whatever they look like."""
        following, result = self.following, dict[str, Any]()
        merged: list[Any] = []
        while type(key := following()) is not MappingEndEvent:
            if type(key) is not ScalarEvent:
                self.value(key, depth + 1)
                self.value(following(), depth + 1)
                flowing = type(key) is MappingStartEvent and key.flow_style
                remedy = "render the template first, or put {{ … }} in quotes" if flowing else "write `key: value`"
                self.flaws.append(self._flaw(key, "a key is text; this one is more than that", remedy))
                continue
            name = key.value
            if key.anchor is not None:
                self.anchors[key.anchor] = _Anchored(name, 1)
            event = following()
            value = self.scalar(event) if type(event) is ScalarEvent else self.value(event, depth + 1)
            if name == "<<" and key.implicit[0]:
                merged += self._mergeable(value, key)
            elif name in result:
                self.twice += 1
                self.flaws.append(self._flaw(key, f'the key "{name}" is there twice', "keep one of the two"))
            else:
                result[name] = value
        for other in merged:
            for name, value in other.items():
                result.setdefault(name, value)
        return result

    def scalar(self, event: Event) -> Scalar:
        """Build a text, number, boolean or null."""
        self.size += 1
        plain, quoted = event.implicit
        plain = plain and event.tag is None  # `! 12` is the text 12
        value: Scalar = event.value
        if plain or (not quoted and event.tag not in QUOTED):
            try:
                value = resolve(event.value) if plain else self._tagged(event)
            except ValueError as error:
                self.flaws.append(self._flaw(event, str(error), "put it in quotes if it is meant as text"))
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(value, 1)
        return value

    def alias(self, event: Event) -> Any:
        """Stand in the value that an anchor named; it is shared, not copied."""
        if event.anchor not in self.anchors:
            remedy = f"name it before with &{event.anchor}, or put the text in quotes"
            self.flaws.append(self._flaw(event, f"nothing above is named &{event.anchor}", remedy))
            return None
        anchored = self.anchors[event.anchor]
        if anchored is None:
            self.flaws.append(self._flaw(event, f"&{event.anchor} contains itself", "write out what is meant"))
            return None
        self.size += anchored.size
        self.borrowed += anchored.size
        if self.borrowed > MOST_BORROWED:
            what = f"the aliases of this document stand for more than {MOST_BORROWED:,} values"
            raise Abandoned(self._flaw(event, what, "write out what is meant"))
        return anchored.value

    def _tagged(self, event: Event) -> Scalar:
        name = PLAIN.get(event.tag)
        if name is None:
            self._unknown_tag(event)
            return None
        value = number(event.value) if name in ("int", "float") else resolve(event.value)
        if type(value) not in TYPES[name]:
            raise ValueError(f'"{event.value}" is not what its tag !!{name} says')
        return float(value) if name == "float" and isinstance(value, int) else value

    def _unknown_tag(self, event: Event) -> None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        self.flaws.append(self._flaw(event, f"the tag {tag} has no meaning in a manifest", "remove it"))

    def _mergeable(self, value: Any, key: Event) -> list[dict[str, Any]]:
        candidates = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in candidates):
            self.flaws.append(
                self._flaw(key, "<< merges objects, and this is none", 'write it as "<<" if it is a field')
            )
            return []
        return candidates

    def _flaw(self, event: Event, what: str, remedy: str = "") -> Flaw:
        mark = event.start_mark
        return Flaw(self.base + mark.line + 1, mark.column + 1, what, remedy)
