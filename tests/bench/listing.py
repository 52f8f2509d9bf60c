"""`vmctl get vm` against `virsh list --all` of the same host, and against a Python that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.measuring import Line, in_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.stage import Stage

ROUNDS = 7  # of a few milliseconds each: cheap, and noisy if there are few


def lines(stage: Stage) -> Iterator[Line]:
    """Two lines about a hundred machines that are off."""
    number = 5 if stage.quick else 100
    directory = stage.machines("listed", number, "AlwaysOff")
    stage.vmctl("apply", "-q", "-f", str(directory))
    taken = in_turns(
        stage.repetitions * ROUNDS,
        ours=lambda: stage.vmctl("get", "vm"),
        virsh=lambda: stage.virsh("list", "--all"),
        python=lambda: stage.python("-c", "pass"),
    )
    what = f"get vm ({number} machines)"
    yield Line(what, "virsh list --all", taken["ours"].seconds, taken["virsh"].seconds, target=6)
    yield Line(what, "python -c pass", taken["ours"].seconds, taken["python"].seconds)
    stage.clear()
