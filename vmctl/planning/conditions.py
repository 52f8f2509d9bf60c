"""Conditions of a status: how they are written, and what a sane status is (`check`, run after every pass in every
test).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from vmctl.planning.phases import OF_KIND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Truth = Literal["True", "False", "Unknown"]
REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as a planner states it; times and generations are added when it is written."""

    type: str
    status: Truth
    reason: str
    message: str = ""


def truth(value: bool) -> Truth:
    return "True" if value else "False"


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the second, as Kubernetes writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    """The inverse of `timestamp`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def written(
    conditions: Iterable[Condition], before: Mapping[str, Any], generation: int, now: float
) -> list[dict[str, Any]]:
    """The list for a status: transition times move only with the status, observed generations always, the order is the
    planner's.
    """
    known = {item["type"]: item for item in before.get("conditions") or ()}
    result: list[dict[str, Any]] = []
    for item in conditions:
        old = known.get(item.type)
        kept = old is not None and old.get("status") == item.status
        result.append(
            {
                "type": item.type,
                "status": item.status,
                "reason": item.reason,
                "message": item.message,
                "lastTransitionTime": old["lastTransitionTime"] if old is not None and kept else timestamp(now),
                "observedGeneration": generation,
            }
        )
    return result


def find(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The condition of that type, or None."""
    return next((item for item in status.get("conditions") or () if item.get("type") == kind), None)


def holds(status: Mapping[str, Any], kind: str) -> bool:
    """Whether the condition is there and True."""
    item = find(status, kind)
    return item is not None and item.get("status") == "True"


def unmet(status: Mapping[str, Any]) -> Iterator[str]:
    """What an object depends on and lacks, each in words; the agent of a guest is no dependency."""
    for item in status.get("conditions") or ():
        kind = item["type"]
        if (
            item["status"] == "False"
            and kind != "AgentReady"
            and (kind.endswith("Ready") or kind == "SizingPolicyMatched")
        ):
            yield item["message"]


def check(status: Mapping[str, Any], generation: int, kind: str = "") -> list[str]:
    """What is wrong with a status, in sentences; empty for a sane one. The phase is judged where the kind is given."""
    wrong: list[str] = []
    if status.get("phase") and kind in OF_KIND and status["phase"] not in OF_KIND[kind]:
        wrong.append(f"{kind} has no phase {status['phase']}")
    items: Sequence[Mapping[str, Any]] = status.get("conditions") or ()
    types = [item.get("type") for item in items]
    if len(types) != len(set(types)):
        wrong.append("a condition stands twice")
    for item in items:
        name = item.get("type", "?")
        wrong += [
            f"{name}: {field} is missing"
            for field in ("status", "reason", "message", "lastTransitionTime")
            if field not in item
        ]
        if item.get("status") not in ("True", "False", "Unknown"):
            wrong.append(f"{name}: status is {item.get('status')!r}")
        if not REASON.fullmatch(str(item.get("reason", ""))):
            wrong.append(f"{name}: reason {item.get('reason')!r} is not a word")
        if item.get("status") == "False" and not item.get("message"):
            wrong.append(f"{name}: is False and does not say why")
        if item.get("observedGeneration") != generation:
            wrong.append(f"{name}: observed generation {item.get('observedGeneration')} of {generation}")
    if not status.get("phase") and "phase" in status:
        wrong.append("the phase is empty")
    return wrong
