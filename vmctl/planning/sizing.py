"""Sizing policies of a class: which cores, memory and fractions a machine of it may have, and the default fraction.

Rules: spec behaviour of VirtualMachineClass. The first policy whose range holds the number of cores is the one that
counts; every violation is named at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vmctl.resources.units import quantity_bytes, shown_quantity

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sized:
    """What the class makes of a machine's wishes: the fraction in force, and what it objects to."""

    fraction: int
    violations: tuple[str, ...] = ()


def percent(text: str | int) -> int:
    return int(str(text).rstrip("%"))


def size(policies: list[Json], cores: int, memory_bytes: int, fraction: str | None) -> Sized:
    """Judge a machine by the policies of its class; without policies everything is allowed and the fraction is
    100 %.
    """
    wanted = percent(fraction) if fraction not in (None, "", "Auto") else None
    if not policies:
        return Sized(wanted or 100)
    policy = next((item for item in policies if item["cores"]["min"] <= cores <= item["cores"]["max"]), None)
    if policy is None:
        ranges = ", ".join(f"{item['cores']['min']}..{item['cores']['max']}" for item in policies)
        return Sized(wanted or 100, (f"cpu.cores {cores} is outside the ranges that the class allows ({ranges})",))
    default = policy.get("defaultCoreFraction")
    chosen = wanted or (percent(default) if default not in (None, "Auto") else 100)
    return Sized(
        chosen,
        (
            *_cores(policy, cores),
            *_fraction(policy, chosen, stated=wanted is not None),
            *_memory(policy, cores, memory_bytes),
        ),
    )


def _cores(policy: Json, cores: int) -> Iterator[str]:
    low, high, step = policy["cores"]["min"], policy["cores"]["max"], policy["cores"].get("step") or 1
    if cores != high and (cores - low) % step:
        below = low + (cores - low) // step * step
        above = min(below + step, high)
        yield (
            f"cpu.cores {cores} is not on the class's grid ({low}, {low + step} … {high}); "
            f"the nearest are {below} and {above}"
        )


def _fraction(policy: Json, fraction: int, *, stated: bool) -> Iterator[str]:
    allowed = [percent(item) for item in policy.get("coreFractions") or ()]
    if allowed and fraction not in allowed:
        known = ", ".join(f"{item}%" for item in allowed)
        yield (
            f"cpu.coreFraction {fraction}% is not among those the class allows ({known})"
            if stated
            else f"cpu.coreFraction must be given: the class allows {known} and has no default"
        )


def _memory(policy: Json, cores: int, memory_bytes: int) -> Iterator[str]:
    memory = policy.get("memory") or {}
    yield from _range("memory.size", memory, memory_bytes, stepped=True)
    per_core = {
        **(memory.get("perCore") or {}),
        **({"step": memory["step"]} if "step" in memory and memory.get("perCore") else {}),
    }
    if memory.get("perCore"):
        yield from _range(f"memory.size per core ({cores} cores)", per_core, memory_bytes // cores, stepped=True)


def _range(what: str, bounds: Json, value: int, *, stepped: bool) -> Iterator[str]:
    low = quantity_bytes(bounds["min"]) if bounds.get("min") is not None else None
    high = quantity_bytes(bounds["max"]) if bounds.get("max") is not None else None
    if low is not None and value < low:
        yield f"{what} {shown_quantity(value)} is below the class's minimum {bounds['min']}"
    elif high is not None and value > high:
        yield f"{what} {shown_quantity(value)} is above the class's maximum {bounds['max']}"
    elif stepped and bounds.get("step") is not None and high is not None and value != high:
        step = quantity_bytes(bounds["step"])
        if step and (value - (low or 0)) % step:
            yield f"{what} {shown_quantity(value)} is not on the class's grid of {bounds['step']}" + (
                f" from {bounds['min']}" if low else ""
            )
