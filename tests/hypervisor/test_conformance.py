"""The driver's contract, for every driver: in memory, on libvirt's test driver, on real QEMU."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.hypervisor.conftest import NETWORK
from tests.hypervisor.machines import INSTALLATION, MAC, disk, machine
from vmctl.errors import Busy, Exists, NotFound, Rejected
from vmctl.hypervisor.libvirt_driver import LibvirtDriver
from vmctl.planning.hardware import Cpu, Nic

if TYPE_CHECKING:
    from tests.hypervisor.conftest import Subject
    from vmctl.planning.hardware import Hardware

MIB = 1 << 20


def test_what_is_not_there(subject: Subject) -> None:
    driver, missing = subject.driver, machine()
    assert driver.observe(missing.uid) is None
    assert driver.uid_of(missing.domain) is None
    assert driver.guest(missing.uid) is None
    for verb in (driver.shutdown, driver.destroy, driver.undefine):
        verb(missing.uid)
    with pytest.raises(NotFound):
        driver.start(missing.uid)
    with pytest.raises(NotFound):
        driver.console(missing.uid)


def test_a_definition_is_read_as_written(subject: Subject) -> None:
    wanted = machine(
        cpu=Cpu(2, 2, shares_percent=30),
        disks=(disk(subject.make_disk("a", MIB)),),
        nics=(Nic("ua-nic-main", MAC),),
        texts={"metadata:class": "generic <&> é\n", "domain:./title": "a title"},
    )
    subject.driver.define(wanted)
    seen = subject.driver.observe(wanted.uid)
    assert seen is not None
    assert (seen.defined, seen.running, seen.power) == (wanted, None, "off")
    assert subject.driver.uid_of(wanted.domain) == wanted.uid
    listed = subject.driver.listing()[wanted.uid]
    assert (listed.domain, listed.power, listed.fingerprint) == (wanted.domain, "off", seen.fingerprint)


def test_defining_the_same_again_changes_nothing(subject: Subject) -> None:
    wanted = machine(disks=(disk(subject.make_disk("a", MIB)),), nics=(Nic("ua-nic-main", MAC),))
    subject.driver.define(wanted)
    before = subject.driver.listing()
    subject.driver.define(wanted)
    assert subject.driver.listing() == before


def test_a_machine_that_somebody_renamed_gets_its_name_back_when_it_is_off(test_subject: Subject) -> None:
    driver, wanted = test_subject.driver, machine()
    assert isinstance(driver, LibvirtDriver)
    driver.define(wanted)
    driver._connection.get().lookupByUUIDString(wanted.uid).rename("other", 0)
    driver.start(wanted.uid)
    driver.define(replace(wanted, memory_kib=128 << 10))
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert (seen.domain, seen.power) == ("other", "running")
    driver.destroy(wanted.uid)
    driver.define(wanted)
    assert (driver.uid_of("other"), driver.uid_of(wanted.domain)) == (None, wanted.uid)


def test_every_change_shows_in_the_fingerprint(subject: Subject) -> None:
    driver = subject.driver
    wanted = machine()
    fingerprints = []
    for defined in (wanted, replace(wanted, memory_kib=128 << 10), replace(wanted, nonce="second")):
        driver.define(defined)
        fingerprints.append(driver.listing()[wanted.uid].fingerprint)
    driver.start(wanted.uid)
    fingerprints.append(driver.listing()[wanted.uid].fingerprint)
    driver.define(replace(wanted, cpu=Cpu(1, 2)))
    fingerprints.append(driver.listing()[wanted.uid].fingerprint)
    driver.destroy(wanted.uid)
    fingerprints.append(driver.listing()[wanted.uid].fingerprint)
    assert len(set(fingerprints)) == len(fingerprints)


def test_running_and_defined_are_told_apart(subject: Subject) -> None:
    driver, first = subject.driver, machine(nonce="first")
    driver.define(first)
    driver.start(first.uid)
    driver.start(first.uid)
    second = replace(first, cpu=Cpu(1, 2), memory_kib=512 << 10, nonce="second", texts={"metadata:class": "large"})
    driver.define(second)
    seen = driver.observe(first.uid)
    assert seen is not None
    assert (seen.power, seen.power_reason) == ("running", "booted")
    assert (seen.running, seen.defined) == (first, second)
    assert seen.running is not None
    assert seen.defined is not None
    assert (seen.running.nonce, seen.defined.nonce) == ("first", "second")


def test_power_is_cut(subject: Subject) -> None:
    driver, wanted = subject.driver, machine()
    driver.define(wanted)
    driver.start(wanted.uid)
    driver.destroy(wanted.uid)
    driver.destroy(wanted.uid)
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert (seen.power, seen.power_reason, seen.running) == ("off", "destroyed", None)
    assert seen.defined == wanted


def test_a_guest_is_asked_to_power_off(subject: Subject) -> None:
    driver, wanted = subject.driver, machine()
    driver.define(wanted)
    driver.shutdown(wanted.uid)
    driver.start(wanted.uid)
    driver.shutdown(wanted.uid)  # one that has no system yet may not hear it
    driver.destroy(wanted.uid)
    driver.shutdown(wanted.uid)


def test_a_running_machine_is_not_removed(subject: Subject) -> None:
    driver, wanted = subject.driver, machine()
    driver.define(wanted)
    driver.start(wanted.uid)
    with pytest.raises(Rejected, match="runs"):
        driver.undefine(wanted.uid)
    driver.destroy(wanted.uid)
    driver.undefine(wanted.uid)
    driver.undefine(wanted.uid)
    assert driver.observe(wanted.uid) is None
    assert wanted.uid not in driver.listing()


def test_a_name_that_somebody_has(subject: Subject) -> None:
    theirs = machine(installation="another")
    subject.other.define(theirs)
    try:
        with pytest.raises(Exists, match=theirs.domain):
            subject.driver.define(machine(domain=theirs.domain))
    finally:
        subject.other.undefine(theirs.uid)


def test_machines_of_another_installation_are_left_alone(subject: Subject) -> None:
    driver, theirs = subject.driver, machine(installation="another")
    subject.other.define(theirs)
    try:
        assert driver.observe(theirs.uid) is None
        assert theirs.uid not in driver.listing()
        assert driver.uid_of(theirs.domain) == theirs.uid
        for verb in (driver.start, driver.shutdown, driver.destroy, driver.undefine):
            with pytest.raises(Exists):
                verb(theirs.uid)
        with pytest.raises(Exists):
            driver.define(replace(theirs, installation=INSTALLATION))
        assert theirs.uid in subject.other.listing()
    finally:
        subject.other.undefine(theirs.uid)


def test_disks_that_stay_keep_their_names(subject: Subject) -> None:
    made = [disk(subject.make_disk(name, MIB), f"ua-spec-vd-{name}", boot=None) for name in ("a", "b", "c")]
    wanted = machine(disks=tuple(made))
    subject.driver.define(wanted)
    changed = replace(wanted, disks=(made[2], replace(made[1], alias="ua-spec-vd-new"), made[1]))
    subject.driver.define(changed)
    seen = subject.driver.observe(wanted.uid)
    assert seen is not None
    assert seen.defined == changed
    assert {one.alias: one.target for one in seen.defined.disks} == {
        "ua-spec-vd-b": "sdb",
        "ua-spec-vd-c": "sdc",
        "ua-spec-vd-new": "sda",
    }


def test_events_name_the_machine(subject: Subject) -> None:
    wanted, heard, happened = machine(), list[str](), threading.Event()

    def changed(uid: str) -> None:
        heard.append(uid)
        if uid == wanted.uid:
            happened.set()

    subject.driver.watch(changed)
    assert heard == [""]  # what was missed before
    subject.driver.define(wanted)
    assert happened.wait(30)
    happened.clear()
    subject.driver.start(wanted.uid)
    assert happened.wait(30)


def test_many_hands_at_once(subject: Subject) -> None:
    driver, wanted = subject.driver, [machine(nonce=str(number)) for number in range(6)]

    def live_and_die(one: Hardware) -> None:
        driver.define(one)
        driver.start(one.uid)
        seen = driver.observe(one.uid)
        assert seen is not None
        assert seen.running == one
        driver.listing()
        driver.destroy(one.uid)
        driver.undefine(one.uid)

    with ThreadPoolExecutor(4) as hands:
        for done in [hands.submit(live_and_die, one) for one in wanted]:
            done.result()
    assert not driver.listing()


def test_nothing_is_heard_after_the_end(subject: Subject) -> None:
    heard = list[str]()
    subject.driver.watch(heard.append)
    subject.driver.close()
    heard.clear()
    theirs = machine(installation="another")
    subject.other.define(theirs)
    subject.other.undefine(theirs.uid)
    assert heard == []


def test_disks_grow_and_never_shrink(subject: Subject) -> None:
    if not subject.runs_qemu:
        pytest.skip("the test driver cannot resize")
    driver, wanted = subject.driver, machine(disks=(disk(subject.make_disk("a", MIB)),))
    alias = wanted.disks[0].alias
    driver.define(wanted)
    driver.start(wanted.uid)
    driver.resize(wanted.uid, alias, 4 * MIB)
    driver.resize(wanted.uid, alias, 4 * MIB)
    seen = driver.observe(wanted.uid)
    assert seen is not None
    assert seen.block_sizes == {alias: 4 * MIB}
    with pytest.raises(Rejected, match="shrink"):
        driver.resize(wanted.uid, alias, 2 * MIB)
    with pytest.raises(NotFound, match="ua-none"):
        driver.resize(wanted.uid, "ua-none", 8 * MIB)


def test_one_has_the_console(subject: Subject) -> None:
    if not subject.runs_qemu:
        pytest.skip("the test driver has no console")
    driver, wanted = subject.driver, machine()
    driver.define(wanted)
    with pytest.raises(Rejected):
        driver.console(wanted.uid)
    driver.start(wanted.uid)
    first = driver.console(wanted.uid)
    with pytest.raises(Busy, match="open"):
        driver.console(wanted.uid)
    second = driver.console(wanted.uid, force=True)
    while first.receive():
        pass  # what came before it was taken away
    first.close()
    driver.destroy(wanted.uid)
    while second.receive():
        pass
    second.close()


def test_a_network_is_made_once(subject: Subject) -> None:
    if not subject.networks:
        pytest.skip("the test driver refuses dnsmasq's options")
    subject.driver.ensure_network(NETWORK)
    subject.driver.ensure_network(NETWORK)
    subject.driver.remove_network(NETWORK.uuid)
    subject.driver.remove_network(NETWORK.uuid)


def test_nobody_answers_where_no_agent_is(subject: Subject) -> None:
    wanted = machine()
    subject.driver.define(wanted)
    assert subject.driver.guest(wanted.uid) is None
    subject.driver.start(wanted.uid)
    assert subject.driver.guest(wanted.uid, timeout_s=1) is None
