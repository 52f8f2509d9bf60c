"""What `vmctl explain` and the README's tables say about a field: all of it from the field's declaration.

The source is the JSON Schema of the kind, which has every field of metadata and spec with its words, bounds and policy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from textwrap import indent, wrap
from typing import TYPE_CHECKING, Any

from vmctl.errors import UsageError
from vmctl.resources import registry
from vmctl.resources.schema import kind_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 80
PART = "as part of "  # how the policy of a field begins that is compared with the whole it belongs to
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
    "const": "always {}",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `path` is dotted from the root of the object, `change` is what a change of it costs."""

    path: str
    type: str
    description: str
    required: bool = False
    default: Any = None
    enum: tuple[Any, ...] = ()
    bounds: tuple[str, ...] = ()
    change: str = ""
    gate: str = ""
    children: tuple[Field, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def summary(self) -> str:
        """Name and type on one line: `cores <integer> -required-`."""
        return f"{self.name} <{self.type}>" + (" -required-" if self.required else "")


def explain(word: str) -> tuple[registry.Kind, Field]:
    """The kind and the field that `vm`, `vm.spec.cpu` or `VirtualMachine.spec.cpu.cores` means.

    Raises UsageError with a did-you-mean for a kind or field that there is none of.
    """
    name, _, path = word.partition(".")
    kind = registry.find(name)
    if kind is None:
        near = registry.closest(name)
        raise UsageError(
            f'there is no kind "{name}"',
            remedy=f'did you mean "{near}"?' if near else "`vmctl api-resources` lists them all",
        )
    field = root(kind)
    for part in filter(None, path.split(".")):
        field = _child(kind, field, part)
    return kind, field


@cache
def root(kind: registry.Kind) -> Field:
    """The whole kind as a field whose children are apiVersion, kind, metadata, spec and so on."""
    schema = kind_schema(kind)
    return _field("", schema, schema.get("$defs", {}), required=False, change="", gate="")


def walk(field: Field) -> Iterator[Field]:
    """All fields below a field, in the order of declarations."""
    for child in field.children:
        yield child
        yield from walk(child)


def text(kind: registry.Kind, field: Field, *, recursive: bool = False) -> str:
    """What is said about a field, in the form of kubectl's explain, plus what a change of it costs."""
    parts = [f"KIND:       {kind.name}\nVERSION:    {kind.api_version}"]
    if field.path:
        parts.append(f"FIELD:      {field.summary}")
        parts += _block("DEFAULT", _shown(field.default)) if field.default is not None else ()
        parts += _block("ALLOWED", ", ".join(map(_shown, field.enum))) if field.enum else ()
        parts += _block("BOUNDS", "; ".join(field.bounds)) if field.bounds else ()
    parts += _block("DESCRIPTION", field.description)
    parts += _block("A CHANGE APPLIES", field.change) if field.change else ()
    parts += _block("FEATURE GATE", field.gate) if field.gate else ()
    if field.children:
        lines = _tree(field, 0) if recursive else _children(field)
        parts.append("FIELDS:\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def fields_table(kind: registry.Kind) -> str:
    """A Markdown table of the fields of a kind that have a policy: path, type, default, what a change costs."""
    rows = ["| field | type | default | a change applies |", "|---|---|---|---|"]
    for field in walk(root(kind)):
        own = bool(field.change) and not field.change.startswith(PART)
        if own and not field.path.startswith("metadata."):
            default = "required" if field.required else _shown(field.default) if field.default is not None else ""
            cells = (f"`{field.path}`", field.type, f"`{default}`" if default else "", field.change)
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _child(kind: registry.Kind, field: Field, part: str) -> Field:
    for child in field.children:
        if child.name == part:
            return child
    where = ".".join(filter(None, (kind.singular, field.path)))
    if not field.children:
        raise UsageError(f"{where} has no fields of its own", remedy=f"`vmctl explain {where}` tells about it")
    near = registry.closest(part, [child.name for child in field.children])
    known = ", ".join(child.name for child in field.children)
    raise UsageError(f'{where} has no field "{part}"', remedy=f'did you mean "{near}"?' if near else f"it has {known}")


def _field(path: str, schema: dict[str, Any], defs: dict[str, Any], *, required: bool, change: str, gate: str) -> Field:
    schema = _resolved(schema, defs)
    inner = _resolved(schema.get("items", schema), defs)
    change, gate = schema.get("x-vmctl-change", change), schema.get("x-vmctl-gate", gate)
    needed = inner.get("required", ())
    return Field(
        path=path,
        type=_type(schema, defs),
        description=schema.get("description", ""),
        required=required,
        default=schema.get("default"),
        enum=tuple(schema.get("enum", ())),
        bounds=tuple(words.format(schema[name]) for name, words in _BOUNDS.items() if name in schema),
        change=change,
        gate=gate,
        children=tuple(
            _field(
                f"{path}.{name}".lstrip("."),
                part,
                defs,
                required=name in needed,
                change=_changes_with(path, change),
                gate=gate,
            )
            for name, part in inner.get("properties", {}).items()
        ),
    )


def _changes_with(path: str, change: str) -> str:
    """The policy of a field that has none of its own because it is compared as part of a whole."""
    if not change or change.startswith(PART):
        return change
    return f"{PART}{path.rpartition('.')[2]}, {change}"


def _resolved(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        target: dict[str, Any] = defs[schema["$ref"].rpartition("/")[2]]
        return {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
    return schema


def _type(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    schema = _resolved(schema, defs)
    kind = schema.get("type", "string" if "enum" in schema or "const" in schema else "Object")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"[]{_type(schema.get('items', {}), defs)}"
    if kind == "object":
        values = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
        return f"map[string]{_type(values, defs)}" if isinstance(values, dict) else "Object"
    return str(kind)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _block(heading: str, words: str) -> list[str]:
    return [f"{heading}:\n{indent(_wrapped(words), '    ')}"] if words else []


def _wrapped(words: str) -> str:
    return "\n".join(wrap(words, WIDTH - 4, break_long_words=False, break_on_hyphens=False))


def _children(field: Field) -> list[str]:
    return [
        f"  {child.summary}" + (f"\n{indent(_wrapped(child.description), '    ')}\n" if child.description else "\n")
        for child in field.children
    ]


def _tree(field: Field, depth: int) -> list[str]:
    lines: list[str] = []
    for child in field.children:
        lines.append("  " * (depth + 1) + child.summary)
        lines += _tree(child, depth + 1)
    return lines
