"""What the annotations may say that vmctl itself reads; a misspelt one would be ignored without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.resources.annotations import DELETION_POLICY, DETECT_ONLY, ENFORCE, FORCE, PAUSED, RECONCILE
from vmctl.resources.registry import closest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = "vmctl.dev/"
VALUES = {
    RECONCILE: (ENFORCE, DETECT_ONLY, PAUSED),
    DELETION_POLICY: ("Delete", "Retain"),
    FORCE: ("true", "false"),
}


def problems(annotations: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with annotations of ours: the name, what it is, and what to do."""
    for name, value in annotations.items():
        if not name.startswith(OURS):
            continue
        known = VALUES.get(name)
        if known is None:
            near = closest(name, list(VALUES))
            yield name, "is unknown", f'did you mean "{near}"?' if near else f"known: {', '.join(VALUES)}"
        elif value not in known:
            near = closest(str(value), list(known))
            remedy = f'did you mean "{near}"?' if near else ""
            yield name, f"must be {_either(known)}", remedy


def _either(known: tuple[str, ...]) -> str:
    return f"{', '.join(known[:-1])} or {known[-1]}"
