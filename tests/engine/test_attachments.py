"""Devices that come and go while their machine runs, as attachments ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.daemons import Daemon
from tests.engine.manifests import attachment, blank, image, machine
from tests.waiting import until
from vmctl.errors import ChangeRefused, Rejected
from vmctl.planning.conditions import find
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from vmctl.planning.hardware import Disk

KIND = "VirtualMachineBlockDeviceAttachment"
PLUG = Key(KIND, "default", "plug")
DATA = Key("VirtualDisk", "default", "data")
WEB = Key("VirtualMachine", "default", "web")
BOTH = blank("root") + blank("data") + machine("web", "root")
WITH = BOTH + attachment("plug", "web", "data")


def runs_with(lab: Lab, name: str = "web") -> dict[str, Disk]:
    """What is attached to a machine that runs, by alias."""
    running = lab.world.machines[lab.uid(name)].running
    return {disk.alias: disk for disk in running.disks} if running is not None else {}


def defined_with(lab: Lab, name: str = "web") -> set[str]:
    defined = lab.world.machines[lab.uid(name)].defined
    return {disk.alias for disk in defined.disks} if defined is not None else set()


def condition(lab: Lab, kind: str, name: str = "plug", of: str = KIND) -> tuple[str, str, str]:
    item = lab.get(of, name)
    found = find(item.status, kind) if item is not None else None
    assert found is not None, f"{name} has no condition {kind}"
    return found["status"], found["reason"], found["message"]


def events(lab: Lab, key: Key) -> list[tuple[str, str]]:
    with lab.session() as session:
        return [(event.reason, event.message) for event in session.store.events(key)]


def listed(lab: Lab, name: str = "web") -> list[dict[str, Any]]:
    item = lab.get("VirtualMachine", name)
    assert item is not None
    return list(item.status["blockDeviceRefs"])


def test_a_disk_is_plugged_into_a_machine_that_runs_and_unplugged_again(lab: Lab) -> None:
    lab.apply(BOTH)
    before = lab.world.machines[lab.uid("web")].running
    assert not lab.apply(WITH).failed
    assert lab.phase(KIND, "plug") == "Attached"
    assert condition(lab, "Attached") == ("True", "Attached", "")
    disk = runs_with(lab)["ua-vmbda-plug"]
    assert (disk.bus, disk.device, disk.readonly, disk.serial) == ("scsi", "disk", False, "data")
    assert "ua-vmbda-plug" in defined_with(lab)
    assert listed(lab)[1] == {
        "kind": "VirtualDisk",
        "name": "data",
        "attached": True,
        "size": "1Mi",
        "hotplugged": True,
        "virtualMachineBlockDeviceAttachmentName": "plug",
        "target": "sdb",
    }
    lab.delete(PLUG)
    assert lab.phase(KIND, "plug") == "gone"
    assert set(runs_with(lab)) == {"ua-spec-vd-root"} == defined_with(lab)
    assert len(listed(lab)) == 1
    assert lab.world.machines[lab.uid("web")].running == before, "nothing was restarted"
    assert lab.phase("VirtualDisk", "data") == "Ready"
    told = [message for reason, message in events(lab, WEB) if reason == "ChangesApplied"]
    assert told == ["attach VirtualDisk data while the machine runs", "detach VirtualDisk data while the machine runs"]


def test_what_is_plugged_in_survives_restarts_from_whatever_side(lab: Lab) -> None:
    lab.apply(WITH)
    uid = lab.uid("web")
    lab.world.crash(uid)
    lab.apply(WITH)
    assert lab.phase("VirtualMachine", "web") == "Running"
    assert "ua-vmbda-plug" in runs_with(lab)
    assert lab.phase(KIND, "plug") == "Attached"
    lab.world.power_off_inside(uid)
    lab.apply(WITH)
    assert condition(lab, "VirtualMachineReady")[:2] == ("False", "VirtualMachineNotReady")
    assert lab.phase(KIND, "plug") == "Pending"
    with lab.session() as session:  # as `virsh start` does
        session.driver.start(uid)
    lab.apply(WITH)
    assert lab.phase(KIND, "plug") == "Attached"


def test_a_stopped_machine_gets_its_device_at_the_next_start(lab: Lab) -> None:
    off = blank("root") + blank("data") + machine("web", "root", extra="runPolicy: AlwaysOff")
    lab.apply(off + attachment("plug", "web", "data"))
    assert lab.phase(KIND, "plug") == "Pending"
    assert condition(lab, "Attached") == (
        "False",
        "NotAttached",
        "VirtualMachine web is Stopped; the device is attached at its next start",
    )
    assert "ua-vmbda-plug" in defined_with(lab)
    lab.apply(WITH)
    assert "ua-vmbda-plug" in runs_with(lab)
    assert lab.phase(KIND, "plug") == "Attached"
    lab.apply(off)
    lab.delete(PLUG)
    assert lab.phase(KIND, "plug") == "gone"
    assert defined_with(lab) == {"ua-spec-vd-root"}


def test_it_waits_for_what_is_not_there_yet_and_goes_on_by_itself(lab: Lab) -> None:
    lab.apply(attachment("plug", "web", "data"))
    assert lab.phase(KIND, "plug") == "Pending"
    assert condition(lab, "BlockDeviceReady")[2] == "VirtualDisk data does not exist; known: none"
    assert condition(lab, "VirtualMachineReady")[2] == "VirtualMachine web does not exist"
    assert condition(lab, "DiskAttachmentCapacityAvailableType")[:2] == ("Unknown", "CapacityUnknown")
    lab.apply(blank("root") + machine("web", "root"))
    assert lab.phase(KIND, "plug") == "Pending"
    lab.apply(blank("data"))
    assert lab.phase(KIND, "plug") == "Attached"
    assert "ua-vmbda-plug" in runs_with(lab)


def test_deleting_what_waits_for_a_machine_that_is_not_there(lab: Lab) -> None:
    lab.apply(attachment("plug", "web", "data"))
    lab.delete(PLUG)
    assert lab.phase(KIND, "plug") == "gone"


def test_images_are_read_only_and_may_be_attached_many_times(lab: Lab, image_url: str) -> None:
    text = blank("root") + blank("other") + machine("web", "root") + machine("db", "other") + image("tools", image_url)
    lab.apply(
        text
        + attachment("one", "web", "tools", "VirtualImage")
        + attachment("two", "web", "tools", "VirtualImage")
        + attachment("three", "db", "tools", "VirtualImage")
    )
    assert [lab.phase(KIND, name) for name in ("one", "two", "three")] == ["Attached"] * 3
    assert runs_with(lab)["ua-vmbda-one"].readonly
    assert runs_with(lab)["ua-vmbda-two"].readonly
    assert condition(lab, "InUse", "tools", "VirtualImage")[0] == "True"


def test_a_disk_that_is_attached_is_held_and_its_holder_named(lab: Lab) -> None:
    lab.apply(WITH)
    by = "attached to web by VirtualMachineBlockDeviceAttachment plug"
    assert condition(lab, "InUse", "data", "VirtualDisk")[2].startswith(by)
    lab.delete(DATA)
    assert lab.phase("VirtualDisk", "data") == "Terminating"
    assert condition(lab, "Ready", "data", "VirtualDisk")[2] == (f"{by}; delete that attachment, or stop the machine")
    assert "ua-vmbda-plug" in runs_with(lab), "nobody pulls it out"
    lab.delete(PLUG)
    assert lab.phase("VirtualDisk", "data") == "gone"
    assert "ua-vmbda-plug" not in runs_with(lab)


def test_deleting_the_machine_frees_its_disks_and_leaves_the_attachment_waiting(lab: Lab) -> None:
    lab.apply(WITH)
    lab.delete(WEB)
    assert lab.phase("VirtualMachine", "web") == "gone"
    assert lab.phase(KIND, "plug") == "Pending"
    assert condition(lab, "InUse", "data", "VirtualDisk")[:2] == ("False", "NotInUse")
    lab.apply(WITH)
    assert lab.phase(KIND, "plug") == "Attached"


def test_deleting_machine_disk_and_attachment_at_once(lab: Lab) -> None:
    lab.apply(WITH)
    lab.delete(WEB, DATA, PLUG)
    assert [lab.phase(key.kind, key.name) for key in (WEB, DATA, PLUG)] == ["gone"] * 3


def test_a_disk_of_the_spec_is_not_attached_twice(lab: Lab) -> None:
    text = blank("root") + blank("data") + machine("web", "root", "data")
    lab.apply(text + attachment("plug", "web", "data"))
    assert lab.phase(KIND, "plug") == "Failed"
    status, reason, message = condition(lab, "Attached")
    assert (status, reason) == ("False", "Conflict")
    assert "blockDeviceRefs" in message
    assert set(runs_with(lab)) == {"ua-spec-vd-root", "ua-spec-vd-data"}
    lab.apply(BOTH)  # the machine gives it up, at its next restart
    assert lab.phase(KIND, "plug") == "Pending"
    assert "it becomes this attachment's at the next restart" in condition(lab, "Attached")[2]
    assert set(runs_with(lab)) == {"ua-spec-vd-root", "ua-spec-vd-data"}
    assert defined_with(lab) == {"ua-spec-vd-root", "ua-vmbda-plug"}
    lab.world.crash(lab.uid("web"))
    lab.resume()
    assert lab.phase(KIND, "plug") == "Attached"
    assert set(runs_with(lab)) == {"ua-spec-vd-root", "ua-vmbda-plug"}


@pytest.mark.parametrize("stored", [False, True])
def test_two_attachments_of_one_disk_are_refused(lab: Lab, stored: bool) -> None:
    second = attachment("again", "web", "data")
    if stored:
        lab.apply(WITH)
    with pytest.raises(ChangeRefused) as refused:
        lab.apply(second if stored else WITH + second)
    first = "plug" if stored else "again"  # of one moment, the first by name has it
    assert f"VirtualDisk data is attached by VirtualMachineBlockDeviceAttachment {first}" in refused.value.message
    assert "manifests.yaml:" in refused.value.message


def test_a_second_attachment_that_slipped_in_fails_and_takes_over_when_the_first_goes(lab: Lab) -> None:
    lab.apply(WITH + blank("other") + machine("db", "other"))
    lab.clock.time += 10
    with lab.session() as session:  # as by a daemon, which has another manifest of it already
        for manifest in lab.load(attachment("again", "db", "data")):
            session.store.apply(manifest.key, manifest.document)
    lab.resume()
    assert lab.phase(KIND, "again") == "Failed"
    assert condition(lab, "Attached", "again")[1] == "Conflict"
    assert lab.phase(KIND, "plug") == "Attached"
    lab.delete(PLUG)
    assert lab.phase(KIND, "again") == "Attached"
    assert "ua-vmbda-again" in runs_with(lab, "db")


def test_a_daemon_refuses_a_second_attachment_and_takes_it_when_the_first_has_gone(lab: Lab) -> None:
    with Daemon(lab) as daemon:
        daemon.save("machines.yaml", WITH)
        daemon.becomes(KIND, "plug", "Attached")
        file = daemon.save("again.yaml", attachment("again", "web", "data"))
        until(lambda: daemon.runner.bad)
        (bad,) = daemon.runner.bad
        assert bad.file == str(file)
        assert bad.what == (
            f"{KIND} again is not made: spec.blockDeviceRef: VirtualDisk data is attached by {KIND} plug already;"
            " delete that one first"
        )
        wider = blank("root") + blank("data") + machine("web", "root", "data") + attachment("plug", "web", "data")
        daemon.save("machines.yaml", wider)
        until(lambda: len(daemon.runner.bad) == 2)
        said = next(each.what for each in daemon.runner.bad if each is not bad and each.file != str(file))
        assert said.startswith(
            "VirtualMachine web stays as it was: spec.blockDeviceRefs.1: VirtualDisk data is attached"
        )
        daemon.rested()
        assert daemon.phase(KIND, "plug") == "Attached"
        assert daemon.phase(KIND, "again") == "gone"
        daemon.save("machines.yaml", BOTH)
        with daemon.session.store.batch():
            daemon.session.ledger.mark_deleted(PLUG)
        daemon.runner.rang()
        until(lambda: daemon.phase(KIND, "plug") == "gone")
        daemon.looked()
        daemon.becomes(KIND, "again", "Attached")
        assert not daemon.runner.bad


def test_of_two_attachments_saved_at_once_the_first_by_name_is_made(lab: Lab) -> None:
    with Daemon(lab) as daemon:
        daemon.save("machines.yaml", WITH + attachment("again", "web", "data"))
        daemon.becomes(KIND, "again", "Attached")
        assert [bad.what.partition(":")[0] for bad in daemon.runner.bad] == [f"{KIND} plug is not made"]


def test_an_attached_disk_is_not_added_to_a_spec(lab: Lab) -> None:
    lab.apply(WITH)
    with pytest.raises(ChangeRefused, match=r"blockDeviceRefs\.1: VirtualDisk data is attached by .* plug"):
        lab.apply(blank("root") + blank("data") + machine("web", "root", "data"))


def test_sixteen_devices_in_all(lab: Lab) -> None:
    names = [f"d{number:02}" for number in range(16)]
    text = blank("root") + machine("web", "root") + "".join(blank(name) for name in names)
    plugs = [attachment(f"plug-{name}", "web", name) for name in names]
    lab.apply(text + "".join(plugs[:15]))
    assert len(runs_with(lab)) == 16
    with pytest.raises(ChangeRefused, match="can have 16 block devices"):
        lab.apply(plugs[15])
    with lab.session() as session:
        for manifest in lab.load(plugs[15]):
            session.store.apply(manifest.key, manifest.document)
    lab.resume()
    assert lab.phase(KIND, "plug-d15") == "Pending"
    assert condition(lab, "DiskAttachmentCapacityAvailableType", "plug-d15")[1] == "CapacityReached"
    lab.delete(Key(KIND, "default", "plug-d03"))
    assert lab.phase(KIND, "plug-d15") == "Attached"


def test_the_spec_of_an_attachment_is_fixed(lab: Lab) -> None:
    lab.apply(WITH + blank("more"))
    with pytest.raises(ChangeRefused, match="make another one"):
        lab.apply(attachment("plug", "web", "more"))


def test_a_disk_that_another_machine_has_is_waited_for(lab: Lab) -> None:
    db = machine("db", "data", extra="runPolicy: Manual")
    lab.apply(BOTH + machine("db", "data"))
    lab.apply(db + attachment("plug", "web", "data"))
    assert lab.phase(KIND, "plug") == "Pending"
    assert "in use by VirtualMachine db" in condition(lab, "Attached")[2]
    lab.world.power_off_inside(lab.uid("db"))
    lab.resume()
    assert lab.phase(KIND, "plug") == "Attached"
    lab.apply(machine("db", "data", extra="runPolicy: AlwaysOn"))
    assert lab.phase("VirtualMachine", "db") == "Pending", "the attachment has it now"


def test_a_guest_that_keeps_a_device_has_it_until_its_restart(lab: Lab) -> None:
    lab.apply(WITH)
    uid = lab.uid("web")
    lab.world.machines[uid].keeps_disks.add("ua-vmbda-plug")
    lab.delete(PLUG)
    assert lab.phase(KIND, "plug") == "Terminating"
    status, reason, message = condition(lab, "Terminating")
    assert (status, reason) == ("True", "DetachPending")
    assert "does not let go of ua-vmbda-plug; it is gone after the next restart" in message
    assert defined_with(lab) == {"ua-spec-vd-root"}
    machine_now = lab.get("VirtualMachine", "web")
    assert machine_now is not None
    assert "restartAwaitingChanges" not in machine_now.status
    lab.world.crash(uid)
    lab.resume()
    assert lab.phase(KIND, "plug") == "gone"
    assert set(runs_with(lab)) == {"ua-spec-vd-root"}


def test_a_host_that_refuses_is_quoted_and_the_device_comes_at_the_restart(lab: Lab) -> None:
    lab.apply(BOTH)
    uid = lab.uid("web")
    lab.world.machines[uid].refuses_plug = Rejected("the host has no room for it")
    lab.apply(WITH)
    lab.world.machines[uid].refuses_plug = None
    assert lab.phase(KIND, "plug") == "Pending"
    assert condition(lab, "Attached")[2] == (
        "the host has no room for it; it is attached at the next restart of VirtualMachine web"
    )
    lab.apply(WITH)
    assert lab.phase(KIND, "plug") == "Pending", "nobody tries it again and again"
    lab.world.crash(uid)
    lab.apply(WITH)
    assert lab.phase(KIND, "plug") == "Attached"
