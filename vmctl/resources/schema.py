"""JSON Schema of every kind and one of all together, derived from the declarations and shipped in `schemas/`.

Editors use them through yaml-language-server. Each field has its description, default and, as `x-vmctl-change`, what a
change of it costs. `python -m vmctl.resources.schema` writes the files anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vmctl.resources import registry

Json = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ALL = "vmctl.schema.json"
_EMPTY: tuple[object, ...] = (None, "", [], {})
_PARTS = ("properties", "patternProperties", "$defs")  # maps whose values are schemas under names of their own


def kind_schema(kind: registry.Kind) -> Json:
    """The schema of one kind."""
    raw = kind.model().model_json_schema(by_alias=True)
    schema: Json = {"$schema": DIALECT, "title": kind.name, **_tidy(raw)}
    schema["properties"]["status"] = schema["properties"].pop("status")  # last, as it is in documents
    return schema


def all_schema() -> Json:
    """One schema for documents of any kind, and for a List of them; complete in itself."""
    definitions: Json = {}
    choices: list[Json] = []
    for kind in registry.KINDS:
        schema = kind_schema(kind)
        del schema["$schema"]
        for name, part in schema.pop("$defs", {}).items():
            definitions[f"{kind.name}.{name}"] = _moved(part, kind.name)
        definitions[kind.name] = _moved(schema, kind.name)
        choices.append({"if": _is(kind.name), "then": {"$ref": f"#/$defs/{kind.name}"}})
    items: Json = {"apiVersion": {"const": "v1"}, "items": {"type": "array", "items": {"$ref": "#"}}}
    choices.append({"if": _is("List"), "then": {"required": ["items"], "properties": items}})
    return {
        "$schema": DIALECT,
        "title": "A manifest for vmctl",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"kind": {"enum": [*(kind.name for kind in registry.KINDS), "List"]}},
        "allOf": choices,
        "$defs": definitions,
    }


def files() -> dict[str, str]:
    """The text of every schema file by its name."""
    found = {f"{kind.singular}.json": _text(kind_schema(kind)) for kind in registry.KINDS}
    return {**found, ALL: _text(all_schema())}


def directory() -> Path:
    """Where the schema files lie: in a source tree beside the package, installed inside it."""
    package = Path(__file__).parent.parent
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


def shipped(kind: registry.Kind | None) -> str:
    """The text of the schema file of a kind, or of all; nothing is generated, so that it is quick."""
    return (directory() / (f"{kind.singular}.json" if kind else ALL)).read_text(encoding="utf-8")


def write(into: Path) -> None:
    """Write all schema files, and remove those of kinds that are gone."""
    into.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for old in into.glob("*.json"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (into / name).write_text(text, encoding="utf-8")


def stale(among: Path) -> list[str]:
    """The names of schema files that are missing, superfluous or not as the declarations have them."""
    there = {path.name: path.read_text(encoding="utf-8") for path in among.glob("*.json")}
    wanted = files()
    return sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))


def _is(kind: str) -> Json:
    return {"required": ["kind"], "properties": {"kind": {"const": kind}}}


def _text(schema: Json) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _tidy(schema: Any) -> Any:
    """Without what says nothing: titles made from names, empty defaults, null beside the one real alternative."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    real = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if len(real) == 1:
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        return _tidy({**real[0], **rest})
    kept = {
        name: value for name, value in schema.items() if name != "title" and not (name == "default" and value in _EMPTY)
    }
    return {name: _tidy_part(name, value) for name, value in kept.items()}


def _tidy_part(name: str, value: Any) -> Any:
    if name in _PARTS:
        return {key: _tidy(part) for key, part in value.items()}
    return value if name in ("default", "enum", "const", "examples") else _tidy(value)


def _moved(schema: Any, prefix: str) -> Any:
    """The same with references to the definitions of one kind, which lie beside those of others now."""
    if isinstance(schema, list):
        return [_moved(item, prefix) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.replace("#/$defs/", f"#/$defs/{prefix}.") if name == "$ref" else _moved(value, prefix)
        for name, value in schema.items()
    }


if __name__ == "__main__":
    write(directory())
