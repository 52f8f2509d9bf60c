"""Golden plans: a world as a file, and beside it what the rules make of it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.planning import stories
from tests.planning.golden import shown
from tests.planning.worlds import Case, load
from vmctl.planning import conditions

if TYPE_CHECKING:
    from vmctl.planning.plans import Plan, World

FOLDER = Path(__file__).parent / "cases"
FILES = sorted(FOLDER.glob("*.yaml"))
WITH_ITS_STEP = {"Restarted"}  # told in the pass that answers a request, which is done then
CASES: list[Any] = [pytest.param(path.read_text(encoding="utf-8"), id=path.stem) for path in FILES]
CASES += [pytest.param(json.dumps(said), id=name) for name, said in stories.every().items()]


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--regenerate", default=False))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_world_comes_to_its_plan(path: Path, regenerate: bool) -> None:
    plan = load(path.read_text(encoding="utf-8")).plan()
    golden = path.with_suffix(".golden")
    if regenerate:
        golden.write_text(shown(plan), encoding="utf-8")
    assert shown(plan) == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", stories.FILES, ids=lambda path: path.stem)
def test_a_story_comes_to_its_plans(path: Path, regenerate: bool) -> None:
    told, golden = stories.golden(path), path.with_suffix(".golden")
    if regenerate:
        golden.write_text(told, encoding="utf-8")
    assert told == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", CASES)
def test_its_status_is_sane(text: str) -> None:
    case = load(text)
    assert not conditions.check(case.plan().status, case.world.object.generation, case.world.object.key.kind)


@pytest.mark.parametrize("text", CASES)
def test_planning_is_pure(text: str) -> None:
    """It changes nothing it looks at, and equal worlds have equal plans."""
    case, same = load(text), load(text)
    before = portrait(case)
    plan = case.plan()
    assert portrait(case) == before
    assert plan == same.plan()


@pytest.mark.parametrize("text", CASES)
def test_a_plan_is_stable(text: str) -> None:
    """Once its status and its notes are recorded, the same world comes to the same steps, and says the same."""
    case = load(text)
    plan = case.plan()
    again = Case(recorded(case, plan), case.candidate).plan()
    kept = {name: value for name, value in plan.status.items() if name != "stats"}
    assert {name: value for name, value in again.status.items() if name != "stats"} == kept
    assert again.steps == plan.steps
    assert again.changes == plan.changes
    assert {note.reason for note in again.notes} <= WITH_ITS_STEP, "an event is told once"
    assert not again.remember, "nothing new is known"


def test_every_golden_belongs_to_a_case() -> None:
    for folder, files in ((FOLDER, FILES), (stories.FOLDER, stories.FILES)):
        assert {path.stem for path in folder.glob("*.golden")} == {path.stem for path in files}


def test_with_a_machine_with_which_all_is_well_nothing_is_done() -> None:
    plan = stories.quiet().plan()
    done = (plan.steps, plan.changes, plan.notes, plan.waits_for, plan.look_again, plan.remember)
    assert not any(done)
    assert plan.settled


def recorded(case: Case, plan: Plan) -> World:
    """The world once the status and the notes of a plan were recorded."""
    world = case.world
    item = replace(world.object, status=copy.deepcopy(dict(plan.status)))
    notes = {**world.notes, **plan.remember}
    return replace(world, object=item, objects=world.objects.with_changes([item]), notes=notes)


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
