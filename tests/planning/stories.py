"""One situation told several times: a world in which all is well, and of each telling what is different in it.

    world: {…}             what every telling of this file shares
    told:
      the gate is off: {}  and what it alone has

`Kind name: {…}` is laid over the manifest of that object, which is added where there is none; any other key over the
part of the world that it names, but for `running` and `defined`, which are said whole. Null takes away. A telling that
does not say how the machine was seen last saw it as it is now: nobody else has touched it. `seen: never`: no pass has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from tests.planning.golden import told
from tests.planning.worlds import Case, key_of, merged, of
from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
FOLDER = Path(__file__).parent / "stories"
FILES = sorted(FOLDER.glob("*.yaml"))
WHOLE = ("running", "defined")
SIDES = (*WHOLE, "plugged", "room", "nonce")
QUIET: Json = YAML(typ="safe").load((Path(__file__).parent / "all-is-well.yaml").read_text(encoding="utf-8"))


def tellings(path: Path) -> Mapping[str, Json]:
    """The worlds of a story by what is said of them."""
    story = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    shared = over(QUIET, story.get("world") or {})
    return {name: _untouched(over(shared, different or {})) for name, different in story["told"].items()}


def _untouched(world: Json) -> Json:
    """The world with what is there as what was seen last, unless it says otherwise."""
    there = {name: value for name, value in (world.get("domain") or {}).items() if name in SIDES and value is not None}
    notes = {"seen": there, **world["notes"]} if there else world["notes"]
    return {**world, "notes": {name: said for name, said in notes.items() if said != "never"}}


def over(world: Json, different: Json) -> Json:
    """A world with what is different in another."""
    result: Json = json.loads(json.dumps(world))
    for name, value in different.items():
        if name.partition(" ")[0] in registry.BY_NAME:
            result["objects"] = [*_objects(result["objects"], name, value)]
        else:
            result = merged(result, {name: value})
    if different.get("domain"):
        result["domain"] |= {side: value for side, value in different["domain"].items() if side in WHOLE and value}
    return result


def _objects(known: list[Json], name: str, value: Json | None) -> list[Json]:
    key = key_of(name)
    found = {(item["kind"], item["metadata"]["name"]): item for item in known}
    before = found.pop((key.kind, key.name), {"kind": key.kind, "metadata": {"name": key.name}})
    return [*found.values()] if value is None else [*found.values(), merged(before, value)]


def golden(path: Path) -> str:
    """Of each telling what its plan has that a machine with which all is well does not have."""
    usual = quiet().plan()
    parts = [f"---- {name}\n\n{told(of(said).plan(), usual)}" for name, said in tellings(path).items()]
    return "\n".join(parts)


def every() -> Mapping[str, Json]:
    """All tellings of all stories."""
    return {f"{path.stem}: {name}": said for path in FILES for name, said in tellings(path).items()}


def quiet() -> Case:
    """The machine with which all is well."""
    return of(_untouched(QUIET))
