"""The live verbs of the contract, for every driver; what a guest sees of them is in test_real_qemu_live.py."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.hypervisor.machines import disk, machine
from vmctl.errors import Exists, NotFound, Rejected
from vmctl.planning.hardware import Cpu, Disk

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hypervisor.conftest import Subject
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.hardware import Hardware

MIB = 1 << 20
ROOM = {"most_cores": 4, "most_memory_kib": 512 << 10}


def running(subject: Subject, **fields: object) -> Hardware:
    """A machine that runs."""
    wanted = machine(**fields)
    subject.driver.define(wanted)
    subject.driver.start(wanted.uid)
    return wanted


def seen_running(subject: Subject, uid: str) -> Hardware:
    seen = subject.driver.observe(uid)
    assert seen is not None
    assert seen.running is not None
    return seen.running


def live_verbs(driver: Driver, uid: str, disk: Disk) -> tuple[Callable[[], None], ...]:
    return (
        lambda: driver.set_cores(uid, 2),
        lambda: driver.set_core_fraction(uid, 50),
        lambda: driver.set_memory(uid, 300 << 10),
        lambda: driver.plug_disk(uid, disk),
        lambda: driver.unplug_disk(uid, disk.alias),
    )


def test_a_machine_has_the_room_it_was_started_with(subject: Subject) -> None:
    wanted = running(subject, **ROOM)
    seen = subject.driver.observe(wanted.uid)
    assert seen is not None
    assert (seen.running, seen.defined) == (wanted, wanted)
    without = replace(wanted, most_cores=0, most_memory_kib=0)
    subject.driver.define(without)
    seen = subject.driver.observe(wanted.uid)
    assert seen is not None
    assert (seen.running, seen.defined) == (wanted, without)


def test_only_what_runs_is_changed_live(subject: Subject) -> None:
    driver, off, theirs = subject.driver, machine(**ROOM), machine(installation="another")
    other_disk = disk(subject.make_disk("a", MIB))
    driver.define(off)
    subject.other.define(theirs)
    try:
        for uid, error in ((machine().uid, NotFound), (off.uid, Rejected), (theirs.uid, Exists)):
            for verb in live_verbs(driver, uid, other_disk):
                with pytest.raises(error):
                    verb()
    finally:
        subject.other.undefine(theirs.uid)


def test_cores_need_room_and_an_agent(subject: Subject) -> None:
    wanted = running(subject, **ROOM, cpu=Cpu(1, 2))
    subject.driver.set_cores(wanted.uid, 2)
    for cores in (1, 3, 5):
        with pytest.raises(Rejected):
            subject.driver.set_cores(wanted.uid, cores)
    assert seen_running(subject, wanted.uid) == wanted


def test_a_share_is_set(subject: Subject) -> None:
    if not subject.runs_qemu:
        pytest.skip("the test driver has no shares")
    wanted = running(subject, cpu=Cpu(1, 2, 30))
    subject.driver.set_core_fraction(wanted.uid, 1)
    assert seen_running(subject, wanted.uid).cpu == Cpu(1, 2, 1)
    subject.driver.set_core_fraction(wanted.uid, 55)
    subject.driver.set_core_fraction(wanted.uid, 55)
    assert seen_running(subject, wanted.uid) == replace(wanted, cpu=Cpu(1, 2, 55))


def test_memory_is_given_within_the_room(subject: Subject) -> None:
    wanted = running(subject, **ROOM)
    for kib in ((300 << 10) + 1, 512 << 10):
        subject.driver.set_memory(wanted.uid, kib)
        assert seen_running(subject, wanted.uid).memory_kib == kib
    with pytest.raises(Rejected, match="room"):
        subject.driver.set_memory(wanted.uid, (512 << 10) + 1)
    assert seen_running(subject, wanted.uid) == replace(wanted, memory_kib=512 << 10)


def test_a_guest_may_keep_its_memory(subject: Subject) -> None:
    if not subject.runs_qemu:
        pytest.skip("the guests of the test driver give back whatever they are asked for")
    wanted = running(subject, **ROOM)
    subject.make_stubborn(wanted.uid)
    with pytest.raises(Rejected, match="gave back 0Mi of 128Mi"):
        subject.driver.set_memory(wanted.uid, 128 << 10)
    assert seen_running(subject, wanted.uid) == wanted


def test_a_disk_is_plugged_in_and_out(subject: Subject) -> None:
    if not subject.runs_qemu:
        pytest.skip("the test driver cannot plug")
    driver = subject.driver
    first, second, third = (
        disk(subject.make_disk(name, MIB), f"ua-spec-vd-{name}", boot=number)
        for number, name in enumerate(("a", "b", "c"), 1)
    )
    cdrom = Disk("ua-vmbda-d", str(subject.make_disk("d", MIB)), device="cdrom", readonly=True)
    wanted = running(subject, disks=(first,))
    driver.define(replace(wanted, disks=(second, first, third, cdrom)))
    for one in (cdrom, third, second, second):
        driver.plug_disk(wanted.uid, one)
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert seen.running is not None
    assert seen.defined is not None
    plugged = {one.alias: one for one in seen.running.disks}
    assert plugged == {one.alias: one for one in (first, replace(second, boot=None), replace(third, boot=None), cdrom)}
    assert {one.alias: one.target for one in seen.defined.disks} == {
        alias: one.target for alias, one in plugged.items()
    }
    with pytest.raises(Rejected, match="ua-spec-vd-b"):
        driver.plug_disk(wanted.uid, replace(second, source=third.source))
    for alias in (second.alias, cdrom.alias, second.alias):
        driver.unplug_disk(wanted.uid, alias)
    assert {one.alias for one in seen_running(subject, wanted.uid).disks} == {first.alias, third.alias}
    driver.destroy(wanted.uid)
    driver.start(wanted.uid)
    assert seen_running(subject, wanted.uid).disks == (second, first, third, cdrom)


def test_a_disk_that_cannot_be_plugged_in(subject: Subject) -> None:
    wanted = running(subject)
    for bus in ("sata", "ide"):
        with pytest.raises(Rejected):
            subject.driver.plug_disk(wanted.uid, disk(subject.make_disk(bus, MIB), bus=bus))
    assert seen_running(subject, wanted.uid) == wanted


def test_a_guest_may_keep_a_disk(subject: Subject) -> None:
    if not subject.runs_qemu:
        pytest.skip("the test driver cannot plug")
    wanted = running(subject, disks=(disk(subject.make_disk("a", MIB), bus="virtio"),))
    subject.make_stubborn(wanted.uid)
    with pytest.raises(Rejected, match="does not let go of ua-spec-vd-root"):
        subject.driver.unplug_disk(wanted.uid, "ua-spec-vd-root")
    assert seen_running(subject, wanted.uid) == wanted


def test_a_reboot_is_told_once(subject: Subject) -> None:
    if not subject.runs_qemu:
        pytest.skip("the test driver has no guests that reboot")
    calls, told = list[tuple[str, str]](), threading.Event()

    def changed(uid: str) -> None:
        calls.append(("changed", uid))
        if ("rebooted", uid) in calls:
            told.set()

    subject.driver.watch(changed, lambda uid: calls.append(("rebooted", uid)))
    wanted = running(subject)
    subject.reboot(wanted.uid)
    assert told.wait(30)
    subject.driver.close()
    assert [call for call in calls if call[0] == "rebooted"] == [("rebooted", wanted.uid)]
    assert seen_running(subject, wanted.uid) == wanted
