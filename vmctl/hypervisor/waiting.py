"""Waiting for a guest to do its part of a change: as long as it gets on with it, and not for ever."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Pace:
    """How seconds pass, and are let pass, while the driver waits."""

    elapsed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def watch(self, look: Callable[[], int], done: Callable[[int], bool], *, patience_s: float) -> int:
        """Look until what is seen will do, or has stayed the same for `patience_s`; return what was seen last."""
        seen, since = look(), self.elapsed()
        while not done(seen):
            self.sleep(_LOOK_AGAIN_S)
            before, seen = seen, look()
            if seen != before:
                since = self.elapsed()
            elif self.elapsed() - since >= patience_s:
                break
        return seen
