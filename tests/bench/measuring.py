"""Runs whole processes, in turns, and keeps what they took."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds from start to end, the most memory it had, and what it wrote to stdout."""

    seconds: float
    peak_kib: int = 0
    output: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. `target` is the ratio to reach, `limit_s` the seconds; neither is ever asserted."""

    what: str
    against: str
    ours_s: float
    theirs_s: float
    target: float | None = None
    limit_s: float | None = None
    remark: str = ""

    @property
    def ratio(self) -> float:
        return self.ours_s / self.theirs_s

    @property
    def reached(self) -> bool:
        """Whether both targets, where there are any, are met."""
        in_ratio = self.target is None or self.ratio <= self.target
        return in_ratio and (self.limit_s is None or self.ours_s <= self.limit_s)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Sample:
    """Run a process to its end. Raises RuntimeError with what it said when it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        text, said = output.read().decode(), errors.read().decode()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}\n{said[-2000:]}")
    return Sample(seconds, usage.ru_maxrss, text)


def in_turns(repetitions: int, **contenders: Callable[[], Sample]) -> dict[str, Sample]:
    """Let the contenders take turns, so that all of them meet the same noise; medians of time, maxima of memory."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, contender in contenders.items():
            samples[name].append(contender())
    return {
        name: Sample(statistics.median(sample.seconds for sample in taken), max(sample.peak_kib for sample in taken))
        for name, taken in samples.items()
    }
