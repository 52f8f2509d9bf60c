"""What of a document is never shown: data of Secrets, and the documents that first boots are given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = "<hidden>"
SECRET_DATA = ("data", "stringData")  # of kind Secret
USER_DATA = ("spec", "provisioning", "userData")


def masked(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without what is secret."""
    shown: dict[str, Any] = json.loads(json.dumps(document))
    for name in SECRET_DATA:
        if document.get("kind") == "Secret" and isinstance(shown.get(name), dict):
            shown[name] = dict.fromkeys(shown[name], HIDDEN)
    spec = shown.get("spec")
    provisioning = spec.get("provisioning") if isinstance(spec, dict) else None
    if isinstance(provisioning, dict) and "userData" in provisioning:
        provisioning["userData"] = HIDDEN
    return shown
