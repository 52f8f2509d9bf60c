"""What an examination of the host finds: a value per thing looked at, with the remedy where one is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was looked at; a warning leaves machines running worse, a problem leaves them not running."""

    subject: str
    level: Level
    what: str
    remedy: str = ""


def ok(subject: str, what: str) -> Finding:
    """All is well."""
    return Finding(subject, "ok", what)


def warning(subject: str, what: str, remedy: str) -> Finding:
    """Something works worse than it could."""
    return Finding(subject, "warning", what, remedy)


def problem(subject: str, what: str, remedy: str) -> Finding:
    """Something does not work."""
    return Finding(subject, "problem", what, remedy)
