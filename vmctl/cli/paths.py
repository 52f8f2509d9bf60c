"""Dotted paths into a document: `spec.cpu.cores`, `metadata.annotations.example\\.org/x`, `blockDeviceRefs.0`.

Conditions, which are a list, are found by their type: `status.conditions.AgentReady` is the whole condition.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOT = re.compile(r"(?<!\\)\.")


@cache
def split(path: str) -> tuple[str, ...]:
    """The steps of a path; a backslash keeps a dot inside a step."""
    return tuple(step.replace("\\.", ".") for step in _DOT.split(path))


def look(document: Mapping[str, object], path: str) -> object | None:
    """What stands there; None where nothing does."""
    here: object = document
    for step in split(path):
        if isinstance(here, dict):
            here = here.get(step)
        elif isinstance(here, list):
            here = _among(here, step)
        else:
            return None
    return here


def _among(items: list[object], step: str) -> object | None:
    if step.isdecimal():
        return items[int(step)] if int(step) < len(items) else None
    return next((item for item in items if isinstance(item, dict) and item.get("type") == step), None)
