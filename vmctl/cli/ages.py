"""How long ago something was, in kubectl's words: `21s`, `5m16s`, `122m`, `7h40m`, `23h`, `5d21h`.

Two units where the second still matters, one where it does not; the limits are those of Kubernetes'
duration.HumanDuration.
"""

from __future__ import annotations

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400

# below this many seconds: big unit, its letter, small unit or 0, its letter
_SCALE = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)


def duration(seconds: float) -> str:
    """A length of time in seconds for people; `<invalid>` when it lies in the future."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    for limit, big, letter, small, small_letter in _SCALE:
        if whole < limit:
            rest = whole % big // small if small else 0
            return f"{whole // big}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{whole // _YEAR}y"


def age(timestamp: object, now: float) -> str:
    """The age of an RFC 3339 timestamp at `now` (epoch seconds); `<unknown>` where there is none."""
    moment = epoch(timestamp)
    return "<unknown>" if moment is None else duration(now - moment)


def epoch(timestamp: object) -> float | None:
    """RFC 3339 to epoch seconds; None for anything else."""
    from datetime import datetime

    if not isinstance(timestamp, str) or not timestamp:
        return None
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None
