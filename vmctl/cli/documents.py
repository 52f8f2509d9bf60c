"""Objects as JSON and YAML, as kubectl prints them: keys sorted, several objects wrapped in a List."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Document = dict[str, object]


def listed(documents: Sequence[Document]) -> Document:
    """The List that kubectl wraps several objects in."""
    return {"apiVersion": "v1", "items": list(documents), "kind": "List", "metadata": {"resourceVersion": ""}}


def as_json(value: object) -> str:
    """Indented JSON with sorted keys and a final line end."""
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def as_yaml(value: object) -> str:
    """YAML 1.2 with sorted keys; texts that span lines stand as blocks."""
    from io import StringIO

    stream = StringIO()
    _writer().dump(value, stream)
    return stream.getvalue()


def _writer() -> Any:  # ruamel's classes carry no usable types
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter
    from ruamel.yaml.resolver import VersionedResolver

    class Representer(SafeRepresenter):
        """Blocks for what spans lines, double quotes for what would read back as something else."""

        def represent_str(self, data: str) -> Any:
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=_style(data))

    def _style(text: str) -> str | None:
        if "\n" in text and "\r" not in text and not any(line.endswith((" ", "\t")) for line in text.split("\n")):
            return "|" if text.strip() and not text[0].isspace() else '"'
        return '"' if _reads_as_something_else(text) else None

    Representer.add_representer(str, Representer.represent_str)
    resolver = VersionedResolver(version=(1, 1))  # the strictest reading: what any YAML parser might take for no text

    def _reads_as_something_else(text: str) -> bool:
        tags = [tag for tag, pattern in resolver.versioned_resolver.get(text[:1], ()) if pattern.match(text)]
        return not text or bool(tags)

    writer: Any = YAML(typ="safe", pure=True)
    writer.Representer = Representer
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = True
    writer.allow_unicode = True
    writer.width = 4096  # long texts stay on their line: people search for them
    return writer
