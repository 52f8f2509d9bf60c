"""The memory of a running machine: its balloon, moved as far as the guest can bear.

A balloon that takes what a guest needs makes the guest kill its own processes (seen on QEMU 7.2: the agent was the
first). So it is asked what it could do without, and no more than that is taken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vmctl.hypervisor.memory import most_kib, whole_mib
from vmctl.hypervisor.running import LIVE, note, read, refusing, rejected
from vmctl.hypervisor.trees import attribute_at

if TYPE_CHECKING:
    from vmctl.hypervisor.running import Running
    from vmctl.hypervisor.waiting import Pace

_PATIENCE_S = 15.0
_DOING = "change the memory of"
_ASK_EVERY_S = 1
_TOLD_PATIENCE_S = 3.0
_LEFT_FREE = 16  # the part of its memory that a guest keeps free: one of so many


def set_memory(domain: Any, kib: int, pace: Pace) -> None:
    """Move the balloon and wait until the guest has followed; see the contract."""
    with refusing(domain, _DOING):
        running = read(domain, _DOING)
        before, goal, most = running.hardware.memory_kib, whole_mib(kib), most_kib(running.root)
        if kib == before:
            return
        if goal > most:
            raise rejected(domain, _DOING, f"it was started with room for {_mi(most)}, not for {_mi(goal)}")
        shrinks = kib < before
        next_goal = max(goal, _least_bearable_kib(domain, running, pace)) if shrinks else goal
        domain.setMemoryFlags(next_goal, LIVE)
        reached = pace.watch(
            lambda: _present_kib(domain),
            lambda present: present <= next_goal if shrinks else present >= next_goal,
            patience_s=_PATIENCE_S,
        )
        if (reached > goal) if shrinks else (reached < goal):
            _settle(domain, running, reached, goal)
        note(domain, replace(running.record, memory=replace(running.record.memory, target=kib)))


def _settle(domain: Any, running: Running, reached: int, goal: int) -> None:
    """Leave a guest with what it has come to, and raise Rejected that says so."""
    before = running.hardware.memory_kib
    shrinks = goal < before
    moved = max(before - reached, 0) if shrinks else max(reached - before, 0)
    # One that never answered may have more than it had before it was asked: that is what it will come to when it does.
    rest = reached if moved else before
    domain.setMemoryFlags(whole_mib(rest), LIVE)
    note(domain, replace(running.record, memory=replace(running.record.memory, target=rest)))
    did, what = ("gave back", before - goal) if shrinks else ("took", goal - before)
    raise rejected(domain, _DOING, f"the guest {did} {_mi(moved)} of {_mi(what)}")


def _least_bearable_kib(domain: Any, running: Running, pace: Pace) -> int:
    """How little memory the guest can have, by its own account; 0 where it keeps none."""
    stats = _fresh_stats(domain, running, pace)
    if "usable" not in stats or "available" not in stats:
        return 0
    spare = int(stats["usable"]) - int(stats["available"]) // _LEFT_FREE
    present = _present_kib(domain)
    return whole_mib(present - spare) if spare > 0 else present


def _fresh_stats(domain: Any, running: Running, pace: Pace) -> dict[str, int]:
    """What the guest's balloon driver tells about its memory now: else it tells it every few seconds only."""

    def told() -> int:
        return int(domain.memoryStats().get("last_update", 0))

    usual = int(attribute_at(running.root, "./devices/memballoon/stats", "period", "0"))
    before = told()
    if not before:  # it never has: a driver of another kind, none, or not yet
        return {}
    domain.setMemoryStatsPeriod(_ASK_EVERY_S, LIVE)
    try:
        pace.watch(told, lambda at: at != before, patience_s=_TOLD_PATIENCE_S)
        stats: dict[str, int] = domain.memoryStats()
    finally:
        domain.setMemoryStatsPeriod(usual, LIVE)
    return stats


def _present_kib(domain: Any) -> int:
    """What the live document says that the guest has. QEMU itself knows up to a second earlier, but a later look at the
    document must not find less done than was promised.
    """
    return int(domain.info()[2])


def _mi(kib: int) -> str:
    return f"{kib // 1024}Mi"
