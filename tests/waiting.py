"""Waiting for what another process or thread does: it has no clock that could be injected. Tests wait nowhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PATIENCE_S = 240.0  # no test expects anything to take so long: it only ends what would hang
AT_FIRST_S, SLOWER = 0.005, 1.2


def until(
    happened: Callable[[], T | None],
    what: str | Callable[[], str] = "",
    *,
    patience_s: float = PATIENCE_S,
    every_s: float = 0.05,
) -> T:
    """What the function returns once that is true. It is asked often at first, and then every `every_s` seconds.

    Raises AssertionError, with `what` was waited for, when patience ends.
    """
    limit, pause_s = time.monotonic() + patience_s, min(AT_FIRST_S, every_s)
    while not (found := happened()):
        if time.monotonic() >= limit:
            raise AssertionError(f"this did not happen: {what() if callable(what) else what or happened}")
        time.sleep(pause_s)
        pause_s = min(pause_s * SLOWER, every_s)
    return found
