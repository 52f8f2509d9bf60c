"""The table, and what a reader needs to know about the machine that it was taken on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.bench.measuring import Line

HEADINGS = ("WHAT", "AGAINST", "OURS", "THEIRS", "RATIO", "TO REACH", "")


def machine() -> str:
    """The processors, the memory, the versions and the load of this moment, in one line."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} × {_processor()}, {memory_gib:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )


def rows(lines: Iterable[Line]) -> list[tuple[str, ...]]:
    """The cells of the table, headings first."""
    return [HEADINGS, *(_row(line) for line in lines)]


def aligned(cells: list[tuple[str, ...]]) -> str:
    """The cells in columns: words to the left, figures to the right."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def _row(line: Line) -> tuple[str, ...]:
    targets = [f"≤ {line.target:g}×"] if line.target is not None else []
    targets += [f"≤ {line.limit_s:g} s"] if line.limit_s is not None else []
    judged = ("" if line.reached else "missed") if targets else ""
    remark = "; ".join(filter(None, (judged, line.remark)))
    ratio = f"{line.ratio:.2f}×"
    return (line.what, line.against, _shown(line.ours_s), _shown(line.theirs_s), ratio, ", ".join(targets), remark)


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
