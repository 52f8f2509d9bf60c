"""Ages, at every limit where their form changes."""

from __future__ import annotations

import pytest

from vmctl.cli.ages import age, duration

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (0.9, "0s"), (21, "21s"), (119, "119s"), (120, "2m"), (121, "2m1s"),
        (5 * MINUTE + 16, "5m16s"), (10 * MINUTE - 1, "9m59s"), (10 * MINUTE, "10m"), (122 * MINUTE, "122m"),
        (3 * HOUR - 1, "179m"), (3 * HOUR, "3h"), (7 * HOUR + 40 * MINUTE, "7h40m"), (8 * HOUR, "8h"),
        (23 * HOUR, "23h"),
        (2 * DAY - 1, "47h"), (2 * DAY, "2d"), (5 * DAY + 21 * HOUR, "5d21h"), (8 * DAY, "8d"), (48 * DAY, "48d"),
        (2 * YEAR - 1, "729d"), (2 * YEAR, "2y"), (2 * YEAR + DAY, "2y1d"), (8 * YEAR, "8y"), (20 * YEAR, "20y"),
    ],
)  # fmt: skip
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_ages_of_timestamps() -> None:
    assert age("2023-11-14T22:13:00Z", 1_700_000_000) == "20s"
    assert age("2023-11-14T23:13:00+01:00", 1_700_000_000) == "20s"
    assert age(None, 0) == age("soon", 0) == age(5, 0) == "<unknown>"
