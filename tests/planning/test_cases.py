"""Golden plans: a world as a file, and beside it what the rules make of it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.planning.golden import shown
from tests.planning.worlds import Case, load
from vmctl.planning import conditions

if TYPE_CHECKING:
    from vmctl.planning.objects import Objects

FOLDER = Path(__file__).parent / "cases"
CASES = sorted(FOLDER.glob("*.yaml"))


def read(path: Path) -> Case:
    return load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_world_comes_to_its_plan(path: Path, request: pytest.FixtureRequest) -> None:
    plan = read(path).plan()
    golden = path.with_suffix(".golden")
    if request.config.getoption("--regenerate", default=False):
        golden.write_text(shown(plan), encoding="utf-8")
    assert shown(plan) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_its_status_is_sane(path: Path) -> None:
    case = read(path)
    assert not conditions.check(case.plan().status, case.world.object.generation, case.world.object.key.kind)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_planning_is_pure(path: Path) -> None:
    """It changes nothing it looks at, and equal worlds have equal plans."""
    case, same = read(path), read(path)
    before = portrait(case)
    plan = case.plan()
    assert portrait(case) == before
    assert plan == same.plan()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_plan_is_stable(path: Path) -> None:
    """Once its status is recorded, the same world comes to the same steps, and says the same."""
    case = read(path)
    plan = case.plan()
    again = Case(recorded(case, plan.status), case.candidate).plan()
    kept = {name: value for name, value in plan.status.items() if name != "stats"}
    assert {name: value for name, value in again.status.items() if name != "stats"} == kept
    assert again.steps == plan.steps
    assert not again.notes, "an event is told once"


def test_every_golden_belongs_to_a_case() -> None:
    assert {path.stem for path in FOLDER.glob("*.golden")} == {path.stem for path in CASES}


def recorded(case: Case, status: Any) -> Any:
    """The world once a status was recorded."""
    world = case.world
    item = replace(world.object, status=copy.deepcopy(dict(status)))
    objects: Objects = world.objects.with_changes([item])
    return replace(world, object=item, objects=objects)


def portrait(case: Case) -> Any:
    """Everything a rule could change."""
    world = case.world
    objects = {
        key: (item.uid, item.generation, item.created, item.deleted, item.document, item.status)
        for key, item in world.objects.by_key.items()
    }
    rest = (
        world.now,
        world.failure,
        world.progress,
        world.layers,
        world.domain,
        world.notes,
        world.guest,
        world.networks,
    )
    return copy.deepcopy((objects, rest))
