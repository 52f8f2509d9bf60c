"""What a host or a guest refused to do while the machine ran: each such change waits, with their words, for a start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vmctl.planning.changes import as_yaml
from vmctl.resources.policies import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmctl.resources.policies import Change

NOTE = "refused"


def identity(change: Change) -> str:
    """What names one change, whatever the value is that it starts from: a guest that gave back half is not asked for
    the rest again and again.
    """
    if change.new is None:
        return f"remove {dotted(change.path)} {json.dumps(as_yaml(change.old), sort_keys=True)}"
    return f"{dotted(change.path)} {json.dumps(as_yaml(change.new), sort_keys=True)}"


def noted(notes: Mapping[str, str]) -> dict[str, str]:
    """Reasons by the identity of the change."""
    text = notes.get(NOTE)
    return dict(json.loads(text)) if text else {}


def with_refusal(notes: Mapping[str, str], change: str, reason: str) -> str:
    """The note with one more refusal in it."""
    return json.dumps({**noted(notes), change: reason}, sort_keys=True)


def by_path(notes: Mapping[str, str], changes: Iterable[Change]) -> dict[str, str]:
    """The reasons by the dotted paths of these changes."""
    known = noted(notes)
    return {dotted(change.path): known[identity(change)] for change in changes if identity(change) in known}
