"""What becomes of attached devices when somebody else has a hand in it, and what `diff` says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.engine.lab import Death
from tests.engine.manifests import attachment, blank, machine
from tests.engine.test_attachments import BOTH, KIND, PLUG, WITH, condition, defined_with, events, runs_with
from tests.engine.test_previews import diff
from tests.memory_driver import Died
from vmctl.engine import applying
from vmctl.errors import ChangeRefused
from vmctl.planning.conditions import find
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.lab import Lab
    from vmctl.planning.hardware import Hardware

WEB = Key("VirtualMachine", "default", "web")
ONLY_TOLD = WITH.replace(
    "kind: VirtualMachine\nmetadata: {name: web}",
    "kind: VirtualMachine\nmetadata: {name: web, annotations: {vmctl.dev/reconcile: DetectOnly}}",
)
LOST = "running: the device of attachment plug removed"


def without(hardware: Hardware | None) -> Hardware:
    assert hardware is not None
    return replace(hardware, disks=tuple(disk for disk in hardware.disks if disk.alias != "ua-vmbda-plug"))


def drifted(lab: Lab) -> str:
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    found = find(item.status, "Drifted")
    return str(found["message"]) if found is not None else ""


def detach_behind_our_back(lab: Lab) -> None:
    """As `virsh detach-device --live` does."""
    found = lab.world.machines[lab.uid("web")]
    found.running = without(found.running)


def test_what_somebody_else_detached_is_put_back(lab: Lab) -> None:
    lab.apply(WITH)
    detach_behind_our_back(lab)
    lab.apply(WITH)
    assert "ua-vmbda-plug" in runs_with(lab)
    assert lab.phase(KIND, "plug") == "Attached"
    assert [message for reason, message in events(lab, WEB) if reason == "DriftDetected"] == [
        f"somebody else changed the machine: {LOST}"
    ]
    assert drifted(lab) == ""


def test_or_only_reported(lab: Lab) -> None:
    lab.apply(ONLY_TOLD)
    assert lab.phase(KIND, "plug") == "Attached", "what is declared is no drift"
    detach_behind_our_back(lab)
    for _ in range(2):
        lab.resume()
        assert "ua-vmbda-plug" not in runs_with(lab)
        assert LOST in drifted(lab)
    assert len([reason for reason, _ in events(lab, WEB) if reason == "DriftDetected"]) == 1
    lab.delete(PLUG)
    assert lab.phase(KIND, "plug") == "gone"
    assert defined_with(lab) == {"ua-spec-vd-root"}
    assert drifted(lab) == ""


def test_a_definition_without_the_device_is_written_again(lab: Lab) -> None:
    lab.apply(WITH)
    found = lab.world.machines[lab.uid("web")]
    found.defined = without(found.defined)
    lab.apply(WITH)
    assert "ua-vmbda-plug" in defined_with(lab)
    assert [message for reason, message in events(lab, WEB) if reason == "DriftDetected"] == [
        "somebody else changed the machine: definition: the device of attachment plug removed"
    ]


def test_a_machine_that_is_left_alone_gets_and_gives_nothing(lab: Lab) -> None:
    paused = ONLY_TOLD.replace("DetectOnly", "Paused")
    lab.apply(paused.partition(attachment("plug", "web", "data"))[0].replace("Paused", "Enforce"))
    lab.apply(paused)
    assert lab.phase(KIND, "plug") == "Pending"
    assert "vmctl.dev/reconcile is Paused" in condition(lab, "Attached")[2]
    lab.apply(WITH)
    assert lab.phase(KIND, "plug") == "Attached"
    lab.apply(paused)
    lab.delete(PLUG)
    assert lab.phase(KIND, "plug") == "Terminating"
    assert "vmctl.dev/reconcile is Paused" in condition(lab, "Terminating")[2]
    lab.apply(BOTH)
    assert lab.phase(KIND, "plug") == "gone"


def test_our_own_work_is_no_drift(lab: Lab) -> None:
    lab.apply(WITH)
    lab.delete(PLUG)
    lab.apply(WITH)
    lab.world.crash(lab.uid("web"))
    lab.apply(WITH)
    assert not [message for reason, message in events(lab, WEB) if reason == "DriftDetected"]


def test_a_device_that_no_attachment_knows_any_more_is_taken_out(lab: Lab) -> None:
    """As after a store from before the attachment was put back."""
    lab.apply(WITH)
    with lab.session() as session:
        item = session.ledger.get(PLUG)
        assert item is not None
        session.store.remove(item.uid)
    lab.resume()
    assert set(runs_with(lab)) == {"ua-spec-vd-root"} == defined_with(lab)


def test_the_name_of_an_attachment_may_have_dots(lab: Lab) -> None:
    lab.apply(BOTH + attachment("plug.of.web", "web", "data"))
    assert lab.phase(KIND, "plug.of.web") == "Attached"
    assert "ua-vmbda-plug_of_web" in runs_with(lab)
    lab.delete(Key(KIND, "default", "plug.of.web"))
    assert lab.phase(KIND, "plug.of.web") == "gone"


@pytest.mark.parametrize("again", [lambda lab: lab.apply(BOTH), lambda lab: lab.delete(PLUG)], ids=["apply", "delete"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_what_died_while_it_detached_is_made_good_by_the_next(
    lab: Lab, again: Callable[[Lab], object], after: bool
) -> None:
    """The next apply looks at what moved, the next delete at what it is to delete."""
    for at in range(1, 4):
        lab.death = Death()
        lab.apply(WITH)
        assert "ua-vmbda-plug" in runs_with(lab)
        lab.death = Death(at, after)
        with pytest.raises(Died):
            lab.delete(PLUG)
        lab.death = Death()
        again(lab)
        assert lab.phase(KIND, "plug") == "gone"
        assert set(runs_with(lab)) == {"ua-spec-vd-root"} == defined_with(lab)


def test_a_plugged_in_disk_grows_while_the_machine_runs(lab: Lab) -> None:
    lab.apply(WITH)
    result = lab.apply(blank("data", "4Mi"))
    assert not result.failed
    assert lab.world.machines[lab.uid("web")].sizes["ua-vmbda-plug"] == 4 << 20
    disk = lab.get("VirtualDisk", "data")
    assert disk is not None
    assert (disk.phase, disk.status["capacity"]) == ("Ready", "4Mi")


def test_a_disk_grows_under_a_machine_that_somebody_started(lab: Lab) -> None:
    manual = machine("web", "root", extra="runPolicy: Manual")
    lab.apply(WITH)
    lab.apply(manual)
    lab.world.power_off_inside(lab.uid("web"))
    lab.apply(manual)
    uid = lab.uid("web")
    with lab.session() as session:  # as `virsh start` does, and nobody looks
        session.driver.start(uid)
    result = lab.apply(blank("data", "4Mi") + blank("root", "4Mi"))
    assert not result.failed
    sizes = lab.world.machines[uid].sizes
    assert (sizes["ua-vmbda-plug"], sizes["ua-spec-vd-root"]) == (4 << 20, 4 << 20)


def test_diff_says_what_becomes_of_an_attachment(lab: Lab) -> None:
    lab.apply(BOTH)
    kind = "virtualmachineblockdeviceattachment.virtualization.deckhouse.io"
    attach = "attach VirtualDisk data to VirtualMachine web"
    assert diff(lab, WITH) == [
        "~ virtualmachine.virtualization.deckhouse.io/web",
        "    define the machine",
        "    attach VirtualDisk data while the machine runs",
        f"+ {kind}/plug",
        f"    {attach}",
    ]
    lab.apply(WITH)
    assert diff(lab, WITH) == []
    taken = "VirtualDisk data is attached by VirtualMachineBlockDeviceAttachment plug, which is older"
    assert diff(lab, attachment("more", "web", "data")) == [
        f"+ {kind}/more",
        f"    fails: {taken}: delete one of the two",
    ]


def test_an_attachment_may_change_its_name_where_the_old_one_is_pruned(lab: Lab) -> None:
    lab.apply(WITH)
    renamed = lab.load(attachment("other-name", "web", "data"))
    with lab.session() as session:
        applying.guard(session.ledger, renamed, going=[PLUG])
        with pytest.raises(ChangeRefused):
            applying.guard(session.ledger, renamed)


def test_nothing_is_attached_to_a_guest_without_drivers_for_it(lab: Lab) -> None:
    legacy = "osType: Legacy\n  enableParavirtualization: false"
    with pytest.raises(ChangeRefused, match="would not see what is plugged in"):
        lab.apply(blank("root") + machine("old", "root", extra=legacy) + attachment("plug", "old", "data"))
