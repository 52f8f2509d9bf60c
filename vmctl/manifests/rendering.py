"""Values as the text of a manifest: YAML in block or flow form, JSON; what any reader takes as it was meant."""

from __future__ import annotations

import json
from functools import cache
from io import StringIO
from typing import Any

from vmctl.manifests.texts import CONTROL


def as_yaml(value: object, *, sort: bool = False, flow: bool = False) -> str:
    """YAML 1.2 that YAML 1.1 reads the same way; texts that span lines stand as blocks."""
    stream = StringIO()
    _writer(sort=sort, flow=flow).dump(value, stream)
    return stream.getvalue()


def field_lines(key: str, value: object) -> list[str]:
    """A field of a block, `key: value`, one line or more, without indentation."""
    return as_yaml({key: value}).rstrip("\n").split("\n")


def item_lines(value: object) -> list[str]:
    """An item of a block, `- value`."""
    return [line[2:] for line in as_yaml([value]).rstrip("\n").split("\n")]


def after_colon(value: object) -> list[str]:
    """What stands behind `key:` in a block: the rest of that line, and the lines that follow."""
    first, *rest = field_lines("k", value)
    return [first.removeprefix("k:"), *rest]


def in_brackets(value: object) -> str:
    """A value on one line, inside the brackets of a YAML text."""
    text = as_yaml([value], flow=True).strip()
    return text[1:-1]


def field_in_brackets(key: str, value: object) -> str:
    """`key: value` on one line, inside braces."""
    return as_yaml({key: value}, flow=True).strip()[1:-1]


def quoted(text: str, style: str) -> str | None:
    """A text in the quotes of `style`, on one line; None where those quotes cannot hold it."""
    if style == "'":
        return (
            None
            if CONTROL.search(text) or any(char in text for char in "\t\r\n")
            else f"'{text.replace(style, style * 2)}'"
        )
    escaped = json.dumps(text, ensure_ascii=False)
    return "".join(char if not _needs_escape(char) else f"\\u{ord(char):04x}" for char in escaped)


def as_json(value: object, *, indent: int | None = None) -> str:
    """JSON; on one line without `indent`."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _needs_escape(char: str) -> bool:
    return bool(CONTROL.match(char)) or char in "\u2028\u2029\ufeff"


@cache
def _writer(*, sort: bool, flow: bool) -> Any:  # ruamel's classes carry no usable types
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        """Blocks for what spans lines, double quotes for what would read back as something else."""

        def represent_str(self, data: str) -> Any:
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=_style(data, flow=flow))

        def ignore_aliases(self, _: Any) -> bool:
            """Write out what is there twice."""
            return True

    Representer.add_representer(str, Representer.represent_str)
    writer: Any = YAML(typ="safe", pure=True)
    writer.Representer = Representer
    writer.default_flow_style = flow
    writer.sort_base_mapping_type_on_output = sort
    writer.allow_unicode = True
    writer.brace_single_entry_mapping_in_flow_sequence = True
    if not sort:
        writer.indent(mapping=2, sequence=4, offset=2)  # as people write manifests; kubectl prints lists further left
    writer.width = 4096 if not flow else 1 << 20  # long texts stay on their line: people search for them
    return writer


def _style(text: str, *, flow: bool) -> str | None:
    """How a text is written: as a block, in double quotes, or as it is."""
    if "\n" not in text:
        return '"' if _reads_as_something_else(text) else None
    stands = text.strip() and not text[0].isspace() and "\r" not in text
    kept = not any(line.endswith((" ", "\t")) for line in text.split("\n"))  # editors take spaces at the end away
    return "|" if stands and kept and not flow else '"'


def _reads_as_something_else(text: str) -> bool:
    tags = [tag for tag, pattern in _resolver().versioned_resolver.get(text[:1], ()) if pattern.match(text)]
    return not text or bool(tags)


@cache
def _resolver() -> Any:
    """The strictest reading: what any YAML parser might take for no text."""
    from ruamel.yaml.resolver import VersionedResolver

    return VersionedResolver(version=(1, 1))
