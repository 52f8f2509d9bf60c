"""What became of machines while nobody looked, and whose hand it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engine.lab import FrozenClock
from tests.engine.manifests import blank, machine
from vmctl.planning.power import NOTE
from vmctl.resources.keys import Key
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Meddling(FrozenClock):
    """A clock of a host on which somebody does something after half a minute."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.act: Callable[[], object] | None = act

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.act is not None and self.passed >= 30:
            act, self.act = self.act, None
            act()


def store(lab: Lab, text: str) -> None:
    """Store another manifest, as a verb does that leaves the work to whoever is at work."""
    with Store.open(lab.state, clock=lab.clock.now) as opened:
        for item in lab.load(text):
            opened.apply(item.key, item.document)


def test_a_shutdown_that_is_taken_back_cuts_no_power(lab: Lab) -> None:
    lab.apply(WEB)
    found = lab.world.machines[lab.uid("web")]
    found.hears_shutdown = False
    before = found.running
    lab.clock = Meddling(lambda: store(lab, WEB))
    lab.apply(blank("root") + machine("web", "root", extra="runPolicy: AlwaysOff"))
    lab.resume()
    assert found.running is before
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_a_guest_that_obeys_after_its_shutdown_was_taken_back_comes_up_again(lab: Lab) -> None:
    lab.apply(WEB)
    found = lab.world.machines[lab.uid("web")]
    found.hears_shutdown = False

    def obey_late() -> None:
        store(lab, WEB)
        lab.world.power_off_inside(found.uid)

    lab.clock = Meddling(obey_late)
    lab.apply(blank("root") + machine("web", "root", extra="runPolicy: AlwaysOff"))
    lab.resume()
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_a_shutdown_goes_on_after_an_edit_that_does_not_take_it_back(lab: Lab) -> None:
    lab.apply(WEB)
    found = lab.world.machines[lab.uid("web")]
    found.hears_shutdown = False
    stays = "runPolicy: AlwaysOff"
    lab.clock = Meddling(lambda: store(lab, blank("root") + machine("web", "root", cores=2, extra=stays)))
    lab.apply(blank("root") + machine("web", "root", extra=stays))
    lab.resume()
    assert (found.running, lab.clock.passed >= 30 + 60) == (None, True), "the guest gets its whole time once more"


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
