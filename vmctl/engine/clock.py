"""Time, injected: what the engine waits by and stamps with. Tests bring one of their own that does not wait."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Epoch seconds, seconds that nobody can set, and a way to let them pass."""

    def now(self) -> float: ...

    def elapsed(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The host's clock."""

    def now(self) -> float:
        return time.time()  # noqa: TID251  # its one home

    def elapsed(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
