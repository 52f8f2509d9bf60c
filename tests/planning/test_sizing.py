"""Sizing policies: every violation and boundary as a table, and against a naive reading of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmctl.planning.sizing import size

Json = Mapping[str, Any]
MI = 1 << 20
GRID: Json = {
    "cores": {"min": 2, "max": 9, "step": 3},
    "coreFractions": ["10%", "50%"],
    "defaultCoreFraction": "50%",
    "memory": {"min": "512Mi", "max": "3Gi", "step": "512Mi"},
}


def judged(policies: list[Json], cores: int, memory_mi: int, fraction: str | None = None) -> tuple[str, ...]:
    return size(policies, cores, memory_mi * MI, fraction).violations


def test_a_class_without_policies_allows_everything() -> None:
    assert size([], 248, 1, None).fraction == 100
    assert size([], 248, 1, "7%").fraction == 7
    assert not size([], 248, 1, "7%").violations


@pytest.mark.parametrize(
    ("cores", "says"),
    [
        (1, "outside the ranges that the class allows (2..9)"),
        (2, ""),
        (3, "the nearest are 2 and 5"),
        (4, "the nearest are 2 and 5"),
        (5, ""),
        (7, "the nearest are 5 and 8"),
        (8, ""),
        (9, ""),  # the greatest is always allowed
        (10, "outside the ranges"),
    ],
)
def test_cores(cores: int, says: str) -> None:
    found = judged([GRID], cores, 1024)
    assert len(found) == bool(says)
    assert says in "".join(found)


def test_the_policy_whose_range_has_the_cores_counts() -> None:
    policies: list[Json] = [
        {"cores": {"min": 1, "max": 4}, "defaultCoreFraction": "20%"},
        {"cores": {"min": 5, "max": 8}, "memory": {"min": "4Gi"}},
    ]
    assert size(policies, 4, MI, None).fraction == 20
    assert not judged(policies, 4, 1)
    assert judged(policies, 5, 4095) == ("memory.size 4095Mi is below the class's minimum 4Gi",)
    assert "1..4, 5..8" in judged(policies, 9, 4096)[0]


@pytest.mark.parametrize(
    ("memory_mi", "says"),
    [
        (511, "below the class's minimum 512Mi"),
        (512, ""),
        (513, "not on the class's grid of 512Mi from 512Mi"),
        (1024, ""),
        (3072, ""),
        (3073, "above the class's maximum 3Gi"),
    ],
)
def test_memory(memory_mi: int, says: str) -> None:
    found = judged([GRID], 2, memory_mi)
    assert len(found) == bool(says)
    assert says in "".join(found)


def test_the_greatest_memory_is_allowed_off_the_grid() -> None:
    policy = {"cores": {"min": 1, "max": 4}, "memory": {"min": "1Gi", "max": "3500Mi", "step": "1Gi"}}
    assert not judged([policy], 1, 3500)
    assert judged([policy], 1, 3000)


def test_a_grid_without_a_maximum_does_not_count() -> None:
    policy = {"cores": {"min": 1, "max": 4}, "memory": {"min": "1Gi", "step": "1Gi"}}
    assert not judged([policy], 1, 1025)


@pytest.mark.parametrize(
    ("cores", "memory_mi", "says"),
    [
        (2, 1022, "per core (2 cores) 511Mi is below"),
        (2, 1024, ""),
        (4, 8192, ""),
        (4, 8196, "per core (4 cores) 2049Mi is above"),
        (3, 1538, ""),
    ],
)
def test_memory_for_each_core(cores: int, memory_mi: int, says: str) -> None:
    policy = {"cores": {"min": 1, "max": 4}, "memory": {"perCore": {"min": "512Mi", "max": "2Gi"}}}
    found = judged([policy], cores, memory_mi)
    assert len(found) == bool(says)
    assert says in "".join(found)


@pytest.mark.parametrize(
    ("policy", "asked", "fraction", "says"),
    [
        ({}, None, 100, ""),
        ({"defaultCoreFraction": "30%"}, None, 30, ""),
        ({"defaultCoreFraction": 30}, None, 30, ""),  # as v1alpha2 writes it
        ({"defaultCoreFraction": "Auto"}, None, 100, ""),
        ({"defaultCoreFraction": "30%"}, "7%", 7, ""),
        ({"coreFractions": ["10%", "100%"]}, None, 100, ""),
        ({"coreFractions": ["10%", "50%"]}, None, 100, "must be given: the class allows 10%, 50% and has no default"),
        ({"coreFractions": [10, 50]}, "50%", 50, ""),
        ({"coreFractions": ["10%", "50%"]}, "49%", 49, "49% is not among those the class allows (10%, 50%)"),
    ],
)
def test_fractions(policy: Json, asked: str | None, fraction: int, says: str) -> None:
    sized = size([{"cores": {"min": 1, "max": 4}, **policy}], 1, MI, asked)
    assert sized.fraction == fraction
    assert len(sized.violations) == bool(says)
    assert says in "".join(sized.violations)


def test_every_violation_is_named_at_once() -> None:
    assert len(judged([GRID], 3, 100, "20%")) == 3


bounds = st.tuples(st.integers(1, 12), st.integers(1, 12), st.none() | st.integers(1, 6))


@given(bounds, bounds, st.integers(1, 14), st.integers(1, 14))
def test_what_is_allowed_is_what_can_be_enumerated(
    cores: tuple[int, int, int | None], memory: tuple[int, int, int | None], asked_cores: int, asked_mi: int
) -> None:
    """A number is allowed where counting from min in steps, with max added, meets it."""
    policy = {"cores": ranged(*cores, ""), "memory": ranged(*memory, "Mi")}
    found = judged([policy], asked_cores, asked_mi)
    allowed_cores, allowed_mi = (enumerated(*one) for one in (cores, memory))
    in_range = min(cores[:2]) <= asked_cores <= max(cores[:2])
    assert any("cpu.cores" in text for text in found) == (asked_cores not in allowed_cores)
    if in_range:  # outside of it no policy says anything of memory
        assert any("memory.size" in text for text in found) == (asked_mi not in allowed_mi)


def ranged(one: int, other: int, step: int | None, unit: str) -> dict[str, Any]:
    shown = {"min": min(one, other), "max": max(one, other), **({"step": step} if step else {})}
    return {name: f"{value}{unit}" if unit else value for name, value in shown.items()}


def enumerated(one: int, other: int, step: int | None) -> set[int]:
    low, high = min(one, other), max(one, other)
    return {*range(low, high + 1, step or 1), high}
