"""What the engine has counted since it began: passes, failures, how long they took. For metrics, and nothing else."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


@dataclass(slots=True)
class Tally:
    """Counts that only grow; threads add to them."""

    passes: int = 0
    failures: int = 0
    seconds: float = 0.0
    looks: int = 0  # at the watched directories
    put_off: int = 0  # looks that somebody's writing put off
    resyncs: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))  # by the first bound that holds it
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, seconds: float, *, failed: bool) -> None:
        """Add a pass."""
        with self._lock:
            self.passes += 1
            self.failures += failed
            self.seconds += seconds
            self.buckets[next((place for place, bound in enumerate(BOUNDS_S) if seconds <= bound), -1)] += 1
