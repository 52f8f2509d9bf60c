"""What became of machines while nobody looked, and whose hand it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engine.manifests import blank, machine
from vmctl.planning.power import NOTE
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.engine.lab import Lab

WEB = blank("root") + machine("web", "root")


def test_a_start_that_nobody_recorded_is_over_once_the_machine_was_seen_running(lab: Lab) -> None:
    lab.apply(WEB)
    uid = lab.uid("web")
    with lab.session() as session:  # as a kill between the start and its record leaves it
        session.store.note(uid, NOTE, '{"intent": "starting", "boot": "boot-1", "nonce": ""}')
    lab.resume()
    lab.world.power_off_inside(uid)
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Stopped"


def test_what_somebody_else_started_after_a_reboot_is_left_off_when_its_guest_says_so(lab: Lab) -> None:
    lab.apply(WEB)
    uid = lab.uid("web")
    lab.world.restart_host()
    lab.boot = "boot-2"
    with lab.session() as session:
        session.driver.start(uid)
    lab.apply(WEB)
    lab.world.power_off_inside(uid)
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Stopped"


def test_a_clock_that_is_set_forward_cuts_no_power(lab: Lab) -> None:
    lab.apply(WEB)
    uid = lab.uid("web")
    lab.world.machines[uid].hears_shutdown = False
    lab.clock.leap = 3600.0
    lab.delete(Key("VirtualMachine", "default", "web"))
    assert lab.clock.passed >= 60
    assert uid not in lab.world.machines


def test_a_disk_grows_although_its_machine_went_off_behind_our_back(lab: Lab) -> None:
    lab.apply(WEB)
    lab.world.power_off_inside(lab.uid("web"))
    result = lab.apply(blank("root", "4Mi") + machine("web", "root"))
    assert not result.failed
    disk = lab.get("VirtualDisk", "root")
    assert disk is not None
    assert (disk.phase, disk.status["capacity"]) == ("Ready", "4Mi")


def test_a_saved_machine_keeps_its_disk_to_itself(lab: Lab) -> None:
    manual = blank("root") + machine("web", "root", extra="runPolicy: Manual")
    lab.apply(WEB)
    lab.apply(manual)
    uid = lab.uid("web")
    lab.world.save(uid)
    lab.apply(manual + machine("other", "root", extra="runPolicy: AlwaysOn"))
    assert lab.phase("VirtualMachine", "web") == "Stopped"
    assert lab.phase("VirtualMachine", "other") == "Pending"
    lab.apply(blank("root", "4Mi"))
    lab.delete(Key("VirtualDisk", "default", "root"))
    disk = lab.get("VirtualDisk", "root")
    assert disk is not None
    assert (disk.phase, disk.status["capacity"]) == ("Terminating", "1Mi")
    lab.world.machines[uid].reason = "unknown"  # what was saved is removed
    lab.resume()
    assert lab.phase("VirtualDisk", "root") == "gone"
