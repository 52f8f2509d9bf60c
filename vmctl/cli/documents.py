"""Objects as JSON and YAML, as kubectl prints them: keys sorted, several objects wrapped in a List."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

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
    from vmctl.manifests.rendering import as_yaml as rendered

    return rendered(value, sort=True)
