"""Laws and examples of quantities, percentages, durations and topologies."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vmctl.resources import topology, units

UNITS = st.sampled_from(["", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1Gi", 1 << 30),
        ("500M", 500_000_000),
        ("1.5Gi", 3 << 29),
        ("0.5", 1),
        ("100m", 1),
        ("1e3", 1000),
        ("12E2", 1200),
        ("2E", 2 * 10**18),
        (1073741824, 1 << 30),
        (0.5, 1),
        ("0.1Ki", 103),
    ],
)
def test_quantity_in_bytes(text: str | float, size_bytes: int) -> None:
    assert units.quantity_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1GB", "1gi", "-1Gi", "1e", ".5Gi", "0x10", "1Gi\n", "٣"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        units.quantity(text)
    with pytest.raises(ValidationError, match="no quantity"):
        TypeAdapter(units.Quantity).validate_python(text)


@given(st.integers(0, 10**6), st.integers(0, 999), UNITS)
def test_every_quantity_that_validates_can_be_measured(whole: int, part: int, unit: str) -> None:
    text = f"{whole}.{part:03}{unit}"
    assert TypeAdapter(units.Quantity).validate_python(text) == text
    scale = units.quantity(f"1{unit}")
    assert units.quantity(text) == (whole + Fraction(part, 1000)) * scale


@given(st.integers(0, 2**70))
def test_shown_quantity_is_exact(size_bytes: int) -> None:
    assert units.quantity_bytes(units.shown_quantity(size_bytes)) == size_bytes


@given(st.integers(0, 2**70))
def test_shown_size_is_near(size_bytes: int) -> None:
    shown = units.quantity(units.shown_size(size_bytes))
    assert abs(shown - size_bytes) <= size_bytes * Fraction(5, 100)


@pytest.mark.parametrize(
    ("size_bytes", "exact", "near"),
    [
        (2590 << 20, "2590Mi", "2.5Gi"),
        (10 << 30, "10Gi", "10Gi"),
        (299_787_222, "299787222", "285.9Mi"),
        (300 << 20, "300Mi", "300Mi"),
        (512, "512", "512"),
        (0, "0", "0"),
        (1536, "1536", "1.5Ki"),
    ],
)
def test_sizes_as_guides_print_them(size_bytes: int, exact: str, near: str) -> None:
    assert (units.shown_quantity(size_bytes), units.shown_size(size_bytes)) == (exact, near)


@given(st.none() | st.booleans() | st.floats() | st.text(max_size=4) | st.lists(st.integers(), max_size=1))
def test_measures_are_total(value: Any) -> None:
    units.measured_bytes(value)
    units.measured_percent(value)


@given(st.integers(1, 100))
def test_percentages(number: int) -> None:
    assert units.percent(TypeAdapter(units.Percent).validate_python(f"{number}%")) == number


@pytest.mark.parametrize("text", ["0%", "101%", "10", "010%", "1.5%", "%", 10])
def test_what_is_no_percentage(text: object) -> None:
    with pytest.raises(ValidationError, match="no percentage"):
        TypeAdapter(units.Percent).validate_python(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("250ms", 0.25), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert TypeAdapter(units.Duration).validate_python(text) == text
    assert units.duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "1d", "m", "1h 30m", "-1s", "1m\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        units.duration_s(text)
    with pytest.raises(ValidationError, match="no duration"):
        TypeAdapter(units.Duration).validate_python(text)


@pytest.mark.parametrize(
    ("cores", "sockets"), [(1, 1), (16, 1), (18, 2), (32, 2), (36, 4), (64, 4), (72, 8), (128, 8), (248, 8)]
)
def test_topology(cores: int, sockets: int) -> None:
    assert topology.topology(cores) == (sockets, cores // sockets)


@given(st.integers(-5, 400))
def test_nearest_are_legal_and_next(cores: int) -> None:
    near = topology.nearest(cores)
    assert near
    assert all(topology.legal(number) for number in near)
    if topology.legal(cores):
        assert near == (cores, cores)
        assert topology.topology(cores)[0] * topology.topology(cores)[1] == cores
    else:
        between = range(min(near) + 1, max(near))
        assert not any(topology.legal(number) for number in between)
        with pytest.raises(ValueError, match=str(near[0])):
            topology.topology(cores)
