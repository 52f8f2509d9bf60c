"""Disks that several machines name: who has them, who gets them next, and what is told of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.lab import Death
from tests.engine.manifests import GATES, blank, machine
from tests.engine.operating import operation
from tests.memory_driver import Died
from vmctl.engine.previewing import Look
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from vmctl.engine.previewing import Preview

FIRST, SECOND = (Key("VirtualMachine", "default", name) for name in ("first", "second"))
DISKS = blank("shared") + blank("own") + blank("other")


def previews(lab: Lab, text: str) -> dict[Key, Preview]:
    with lab.session() as session:
        look = Look.over(session.store, session.driver, session.ledger, session.place, session.clock)
        return {item.key: item for item in look.previews(lab.load(text))}


def test_diff_foresees_that_an_older_machine_keeps_the_disk_that_a_new_one_names(lab: Lab) -> None:
    """The older one waits for something else, and comes first all the same."""
    older = DISKS + machine("first", "own", "shared", "undeclared")
    lab.apply(older)
    both = older + machine("second", "shared")
    said = previews(lab, both)[SECOND].steps
    lab.clock.sleep(1)
    lab.apply(both)
    assert not any("start" in words for words in said)
    assert lab.phase("VirtualMachine", "second") == "Pending"


def test_a_machine_that_runs_gets_a_disk_in_the_apply_that_finds_it_free(lab: Lab) -> None:
    text = GATES + DISKS + machine("first", "own", "shared") + machine("second", "other", "shared")
    lab.apply(GATES + DISKS + machine("first", "own", "shared"))
    lab.apply(GATES + DISKS + machine("first", "own", "shared") + machine("second", "other"))
    lab.apply(text)
    lab.world.power_off_inside(lab.uid("first"))
    lab.apply(text)
    assert has(lab, "second") == ["ua-spec-vd-other", "ua-spec-vd-shared"]
    lab.calls.clear()
    lab.apply(text)
    assert lab.calls == []


def test_who_has_a_disk_is_told_alike_by_every_process(lab: Lab) -> None:
    """One that was there when a machine was made anew knows the machines in another order than one that reads them."""
    text = DISKS + machine("first", "own", "shared") + machine("second", "other", "shared")
    lab.apply(text)
    lab.delete(FIRST)
    lab.clock.sleep(1)
    lab.apply(text)
    before = lab.get("VirtualDisk", "shared")
    lab.resume()
    after = lab.get("VirtualDisk", "shared")
    assert before is not None
    assert after is not None
    assert before.status == after.status
    assert [user["name"] for user in after.status["attachedToVirtualMachines"]] == ["second", "first"]


def test_a_machine_that_is_restarted_keeps_its_disk_from_an_older_one_that_runs_and_waits_for_it(lab: Lab) -> None:
    """Also when the engine dies just before the start: nobody has the disk then."""
    lab.apply(GATES + DISKS + machine("first", "own") + machine("second", "other", "shared"))
    lab.apply(GATES + DISKS + machine("first", "own", "shared") + machine("second", "other", "shared"))
    lab.death = Death(at=6)
    with pytest.raises(Died):
        lab.apply(operation("again", "Restart", of="second"))
    assert lab.death.seen[-1] == "VirtualMachine Start"
    lab.death = Death()
    lab.resume()
    assert lab.phase("VirtualMachine", "second") == "Running"
    assert has(lab, "second") == ["ua-spec-vd-other", "ua-spec-vd-shared"]
    assert has(lab, "first") == ["ua-spec-vd-own"]


def test_a_disk_that_somebody_started_another_machine_with_leaves_a_definition_in_the_same_apply(lab: Lab) -> None:
    """It waits for a restart of the one that runs, and its definition has it already."""
    before = DISKS + machine("first", "own", "shared") + machine("second", "other")
    lab.apply(before)
    lab.world.power_off_inside(lab.uid("first"))
    text = DISKS + machine("first", "own", "shared") + machine("second", "other", "shared")
    lab.apply(text)
    found = lab.world.machines[lab.uid("first")]
    found.running, found.power, found.reason = found.defined, "running", "booted"
    lab.apply(text)
    lab.calls.clear()
    lab.apply(text)
    lab.resume()
    assert lab.calls == []


def has(lab: Lab, name: str) -> list[str]:
    """The disks that a machine runs with."""
    running = lab.world.machines[lab.uid(name)].running
    return [disk.alias for disk in running.disks] if running is not None else []
