"""Reading and checking manifests, all new and all known, against the least that anybody would have to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.measuring import Line, Sample, in_turns
from tests.bench.stage import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.stage import Stage


def lines(stage: Stage) -> Iterator[Line]:
    """Two lines for each size: cold against a bare YAML parser, unchanged against reading and hashing the files."""
    sizes = ((20, None, None), (60, None, None)) if stage.quick else ((1_000, 1.0, 0.25), (10_000, None, None))
    for number, cold_s, unchanged_s in sizes:
        yield from _lines(stage, number, cold_s, unchanged_s)


def _lines(stage: Stage, number: int, cold_s: float | None, unchanged_s: float | None) -> Iterator[Line]:
    directory = stage.machines(f"loaded{number}", number // 2, "AlwaysOff")

    def cold() -> Sample:
        stage.cache.unlink(missing_ok=True)
        return validate(stage, directory)

    taken = in_turns(
        stage.repetitions,
        cold=cold,
        unchanged=lambda: validate(stage, directory),
        parsed=lambda: stage.python(str(HERE / "reading.py"), "parse", str(directory)),
        hashed=lambda: stage.python(str(HERE / "reading.py"), "hash", str(directory)),
    )
    for name, against, theirs, limit_s in (
        ("cold", "ruamel.yaml's C parser", "parsed", cold_s),
        ("unchanged", "read and hash", "hashed", unchanged_s),
    ):
        remark = f"{taken[name].peak_kib / 1024:.0f} MiB at most"
        what = f"load {number} manifests, {name}"
        yield Line(what, against, taken[name].seconds, taken[theirs].seconds, limit_s=limit_s, remark=remark)


def validate(stage: Stage, directory: Path) -> Sample:
    """Read and check a directory and do nothing else."""
    return stage.vmctl("validate", "-f", str(directory))
