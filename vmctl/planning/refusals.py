"""What a host or a guest refused to do while the machine ran: each such change waits, with their words, for a start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a change was refused, and whether the guest had come up by then."""

    why: str
    agent: bool


def noted(notes: Mapping[str, str], *, agent: bool) -> dict[str, str]:
    """Reasons by the identity of the change, as far as they hold: a guest that was in its firmware when it refused, or
    had no agent yet, is asked again when its agent answers.
    """
    return {change: found.why for change, found in _read(notes).items() if found.agent or not agent}


def with_refusal(notes: Mapping[str, str], change: str, refusal: Refusal) -> str:
    """The note with one more refusal in it."""
    return json.dumps({name: asdict(found) for name, found in {**_read(notes), change: refusal}.items()})


def _read(notes: Mapping[str, str]) -> dict[str, Refusal]:
    text = notes.get(NOTE)
    return {name: Refusal(**said) for name, said in json.loads(text).items()} if text else {}


def by_path(notes: Mapping[str, str], changes: Iterable[Change], *, agent: bool) -> dict[str, str]:
    """The reasons by the dotted paths of these changes."""
    known = noted(notes, agent=agent)
    return {dotted(change.path): known[identity(change)] for change in changes if identity(change) in known}
