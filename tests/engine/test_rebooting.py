"""A guest reboots by itself: with changes waiting that is a cold start, else it is the guest's own business."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.guests import AGENT, running, said, waiting, web
from tests.engine.lab import FrozenClock
from tests.engine.manifests import blank, machine
from tests.memory_driver import Died, Faulty, MemoryDriver
from vmctl.engine.previewing import Look
from vmctl.engine.rebooting import IN_FIRMWARE_S, Reboots
from vmctl.planning import machine_trouble
from vmctl.planning.machine_trouble import Obstacle, comes_up
from vmctl.state.database import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.lab import Lab
    from tests.memory_driver import Machine


@contextmanager
def listening(lab: Lab) -> Iterator[Reboots]:
    with lab.session() as session:
        yield Reboots(session.store, session.ledger, session.driver, session.clock)


def reboot(lab: Lab, found: Machine, late_s: float = 0.0) -> bool:
    """The guest reboots, and the engine hears of it."""
    lab.world.reboot_inside(found.uid)
    with listening(lab) as reboots:
        heard_at = lab.clock.elapsed()
        lab.clock.sleep(late_s)
        switched_off = reboots.answer(found.uid, heard_at)
    lab.resume()
    return switched_off


def test_with_changes_waiting_it_is_a_cold_start(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(web(cores=2))
    assert found.running is not None
    before = found.running.nonce
    assert reboot(lab, found)
    assert found.running is not None
    assert (found.running.cpu.cores, found.running.nonce != before) == (2, True)
    assert waiting(lab) == []
    assert any("its guest rebooted" in text for text in said(lab, "Restarted"))


def test_with_nothing_waiting_the_guest_is_left_alone(lab: Lab) -> None:
    found = running(lab, web())
    before = found.running
    assert not reboot(lab, found)
    assert found.running is before


def test_heard_too_late_the_guest_is_left_alone_and_the_change_waits_on(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(web(cores=2))
    before = found.running
    assert not reboot(lab, found, late_s=IN_FIRMWARE_S)
    assert found.running is before
    assert len(waiting(lab)) == 1


def test_a_guest_whose_agent_is_up_is_in_its_system_not_in_its_firmware(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(web(cores=2))
    with listening(lab) as reboots:
        lab.world.boot_finished(found.uid, AGENT)
        assert not reboots.answer(found.uid, lab.clock.elapsed())
    assert found.running is not None


def test_a_reboot_never_leaves_a_machine_off_for_want_of_something(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(blank("root") + machine("web", "root", "missing", cores=2))
    before = found.running
    assert not reboot(lab, found)
    assert found.running is before


def test_a_reboot_never_leaves_a_machine_off_for_want_of_room(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(web(memory="900Gi"))
    before = found.running
    assert not reboot(lab, found)
    assert found.running is before


def test_what_a_version_without_the_note_left_waits_for_the_next_pass(lab: Lab) -> None:
    """It is not known then whether the machine would come up again."""
    found = running(lab, web())
    lab.apply(web(cores=2))
    before = found.running
    with lab.session() as session, closing(sqlite3.connect(lab.state / FILE)) as database:
        assert session.store.notes(found.uid)[machine_trouble.NOTE] == "Nothing"
        with database:
            database.execute("DELETE FROM notes WHERE name = ?", (machine_trouble.NOTE,))
    lab.world.reboot_inside(found.uid)
    with listening(lab) as reboots:
        assert not reboots.answer(found.uid, lab.clock.elapsed())
    assert found.running is before
    lab.resume()
    assert reboot(lab, found)


@pytest.mark.parametrize("obstacle", Obstacle)
def test_only_what_nothing_keeps_off_comes_up(obstacle: Obstacle) -> None:
    assert comes_up({machine_trouble.NOTE: obstacle.value}) == (obstacle is Obstacle.NOTHING)
    assert not comes_up({})


@pytest.mark.parametrize("obstacle", Obstacle)
def test_what_failed_is_told_in_the_words_of_the_condition(lab: Lab, obstacle: Obstacle) -> None:
    running(lab, web())
    lab.apply(web(cores=2))
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    words = machine_trouble.not_applied(1, "the host has no such firmware")
    conditions = [{"type": "ConfigurationApplied", "status": "False", "message": words}]
    found = replace(item, status={**item.status, "conditions": conditions})
    with lab.session() as session:
        session.store.note(item.uid, machine_trouble.NOTE, obstacle.value)
        look = Look.over(session.store, session.driver, session.ledger, session.place, session.clock)
        failed = obstacle is Obstacle.FAILED
        assert look.keeps_off(found) == ("the host has no such firmware" if failed else "")


def test_a_guest_that_was_reset_closes_its_channel_a_moment_later(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    found = running(lab, web())
    lab.apply(web(cores=2))
    sleep = lab.clock.sleep

    def until_closed(seconds: float) -> None:
        sleep(seconds)
        found.guest = None

    monkeypatch.setattr(lab.clock, "sleep", until_closed)
    with listening(lab) as reboots:
        assert reboots.answer(found.uid, lab.clock.elapsed())
    assert found.running is None


def test_a_reboot_never_leaves_a_machine_off_whose_definition_is_refused(lab: Lab) -> None:
    lab.world.host = replace(lab.world.host, efi=False)
    found = running(lab, web())
    lab.apply(web(extra="bootloader: EFI"))
    assert len(waiting(lab)) == 1
    before = found.running
    assert not reboot(lab, found)
    assert found.running is before


class SlowStore(FrozenClock):
    """A clock under which every write takes as long as a store that somebody else has locked."""

    def elapsed(self) -> float:
        self.passed += IN_FIRMWARE_S * 0.6
        return self.passed


def test_held_up_by_the_store_the_guest_is_left_alone(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(web(cores=2))
    before = found.running
    lab.world.reboot_inside(found.uid)
    with lab.session() as session:
        clock = SlowStore()
        assert not Reboots(session.store, session.ledger, session.driver, clock).answer(found.uid, 0.0)
        assert session.store.unfinished() == []
    lab.resume()
    assert found.running is before
    assert len(waiting(lab)) == 1


def test_a_cold_start_that_always_off_overtakes_is_not_made_up_for_later(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(web(cores=2))
    lab.world.reboot_inside(found.uid)
    with listening(lab) as reboots:
        assert reboots.answer(found.uid, lab.clock.elapsed())
    lab.apply(web(cores=2, extra="runPolicy: AlwaysOff"))
    lab.apply(web(cores=2, extra="runPolicy: Manual"))
    lab.resume()
    assert found.running is None


@pytest.mark.parametrize("policy", ["AlwaysOn", "AlwaysOnUnlessStoppedManually", "Manual"])
@pytest.mark.parametrize("after", [False, True], ids=["before the power is cut", "after it"])
def test_killed_in_the_middle_it_comes_up_with_its_changes(lab: Lab, policy: str, after: bool) -> None:
    start = web() if policy != "Manual" else web(extra="runPolicy: AlwaysOn")
    found = running(lab, start)
    lab.apply(web(cores=2, extra=f"runPolicy: {policy}"))
    lab.world.reboot_inside(found.uid)
    with lab.session() as session:
        faulty: Any = Faulty(MemoryDriver(lab.world, session.store.installation), 1, after=after, die=True)
        with pytest.raises(Died):
            Reboots(session.store, session.ledger, faulty, session.clock).answer(found.uid, session.clock.elapsed())
    with lab.session() as session:
        assert found.uid not in session.store.settled(), "an apply that skips what is at rest must not skip it"
    lab.resume()
    assert found.running is not None
    assert found.running.cpu.cores == 2
    assert waiting(lab) == []
    with lab.session() as session:
        assert session.store.unfinished() == []


def test_a_lost_event_leaves_the_change_waiting(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(web(cores=2))
    lab.world.reboot_inside(found.uid)
    lab.resume()
    assert len(waiting(lab)) == 1
