"""What the live verbs stand on: waiting, one call for a reboot, and reading a document in the middle of a change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hypervisor.machines import machine
from vmctl.hypervisor import documents, merging, metadata
from vmctl.hypervisor.events import Events
from vmctl.hypervisor.memory import Memory
from vmctl.hypervisor.processors import Platform, Processor
from vmctl.hypervisor.trees import node, parse, serialise
from vmctl.hypervisor.waiting import Pace
from vmctl.planning.hardware import Cpu
from vmctl.planning.observed import Domain

if TYPE_CHECKING:
    from collections.abc import Callable
    from xml.etree import ElementTree as ET

    from vmctl.planning.hardware import Hardware

MIB = 1 << 10  # in KiB
ROOMY = machine(cpu=Cpu(1, 1, 30), most_cores=4, memory_kib=256 * MIB, most_memory_kib=512 * MIB)


class Time:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def pace(self) -> Pace:
        return Pace(elapsed=lambda: self.now, sleep=self.sleep)


@pytest.mark.parametrize(
    ("seen_at", "last", "lasts_s"),
    [
        pytest.param(lambda _now: 0, 0, 0, id="at once"),
        pytest.param(lambda now: 40 - int(now), 0, 40, id="slowly, but for longer than the patience"),
        pytest.param(lambda now: max(40 - int(now), 33), 33, 17, id="not all the way"),
        pytest.param(lambda _now: 7, 7, 10, id="never"),
    ],
)
def test_waiting_lasts_as_long_as_there_is_progress(seen_at: Callable[[float], int], last: int, lasts_s: float) -> None:
    time = Time()
    seen = time.pace.watch(lambda: seen_at(time.now), lambda seen: seen == 0, patience_s=10)
    assert seen == last
    assert time.now == pytest.approx(lasts_s, abs=0.2)


@dataclass(frozen=True, slots=True)
class Named:
    """What an event of libvirt carries, as far as it is looked at."""

    uid: str

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return self.uid


def test_a_reboot_is_told_once_for_each_guest_and_time() -> None:
    time, calls = Time(), list[str]()
    events = Events(lambda uid: calls.append(f"changed {uid}"), lambda uid: calls.append(uid), elapsed=lambda: time.now)
    for uid, pause_s in (("a", 0.05), ("b", 0.0), ("a", 0.05), ("b", 3.0), ("a", 0.05), ("a", 0.0)):
        events.restarted(None, Named(uid), None)
        time.sleep(pause_s)
    assert [call for call in calls if " " not in call] == ["a", "b", "a"]
    assert calls[:2] == ["a", "changed a"]  # the reboot first: there is less than a second to act on it
    assert len(calls) == 3 + 6


def test_a_reboot_that_qemu_reported_long_ago_is_an_event_like_any_other() -> None:
    calls = list[str]()
    events = Events(lambda uid: calls.append(f"changed {uid}"), calls.append, now=lambda: 100.0)
    for uid, seconds in (("a", 98), ("b", 99), ("a", 99)):
        events.reset(None, Named(uid), "RESET", seconds, 600_000, "{}", None)
        events.restarted(None, Named(uid), None)
        events._reboots.clear()
    assert calls == ["changed a", "b", "changed b", "a", "changed a"]


STARTED, STOPPED = (libvirt.VIR_DOMAIN_EVENT_STARTED, 0), (libvirt.VIR_DOMAIN_EVENT_STOPPED, 0)
BY_HOST = (libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST)
BY_GUEST = (libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_GUEST)
UNTOLD = (libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_FINISHED)


@pytest.mark.parametrize(
    ("heard", "reason", "told"),
    [
        ([BY_HOST, STOPPED], "shutdown", "terminated"),
        ([BY_GUEST, STOPPED], "shutdown", "shutdown"),
        ([UNTOLD, STOPPED], "shutdown", "shutdown"),
        ([STOPPED], "shutdown", "shutdown"),
        ([BY_HOST, STOPPED], "destroyed", "destroyed"),  # `virsh destroy` ends QEMU in the same way
        ([BY_HOST, STOPPED], "unknown", "unknown"),
        ([BY_HOST, STOPPED, STARTED, STOPPED], "shutdown", "shutdown"),
        ([BY_HOST, STOPPED, STARTED, BY_GUEST, STOPPED], "shutdown", "shutdown"),
    ],
)
def test_whose_doing_the_end_of_a_machine_is(heard: list[tuple[int, int]], reason: str, told: str) -> None:
    calls = list[str]()
    events = Events(calls.append)
    for event, detail in heard:
        events.switched(None, Named("a"), event, detail, None)
    assert calls == ["a"] * len(heard)
    assert events.explained(Domain("a", "web", "off", reason, None, None)).power_reason == told
    assert events.explained(Domain("a", "web", "running", "booted", None, None)).power_reason == "booted"
    assert events.explained(Domain("b", "db", "off", "shutdown", None, None)).power_reason == "shutdown"


def running(
    hardware: Hardware, edit: Callable[[metadata.Record], metadata.Record] = lambda record: record
) -> ET.Element:
    root = merging.merge(documents.render(hardware, Platform("qemu")), None, hardware.spare_ports)
    record = metadata.read(root)
    assert record is not None
    metadata.replace(root, edit(record))
    return parse(serialise(root))


def with_text(root: ET.Element, path: str, text: object) -> ET.Element:
    element = root.find(path)
    assert element is not None
    element.text = str(text)
    return root


def read(root: ET.Element, *, live: bool = True) -> Hardware:
    hardware = documents.parse(root, live=live)
    assert hardware is not None
    return hardware


@given(present=st.integers(64, 512), target=st.integers(65 * MIB, 512 * MIB))
def test_a_guest_has_what_it_was_told_to_have_until_it_has_less(present: int, target: int) -> None:
    """Until its balloon driver has answered, at every boot, a guest has all there is."""
    root = running(ROOMY, lambda record: replace(record, memory=Memory(256 * MIB, 512 * MIB, target)))
    seen = read(with_text(root, "./currentMemory", present * MIB))
    least_mib = -(-target // MIB)
    assert seen.memory_kib == (target if present >= least_mib else present * MIB)
    assert seen.most_memory_kib == 512 * MIB


def test_memory_in_a_definition_is_what_stands_there() -> None:
    for kib in (128 * MIB, 400 * MIB):
        assert read(with_text(running(ROOMY), "./currentMemory", kib), live=False).memory_kib == kib


def test_memory_that_somebody_took_from_a_guest_without_room_shows() -> None:
    plain = machine(memory_kib=256 * MIB)
    seen = read(with_text(running(plain), "./currentMemory", 100 * MIB))
    assert (seen.memory_kib, seen.most_memory_kib) == (100 * MIB, 0)


def test_room_that_somebody_made_shows() -> None:
    seen = read(with_text(running(machine(memory_kib=256 * MIB)), "./memory", 1024 * MIB), live=False)
    assert (seen.memory_kib, seen.most_memory_kib) == (256 * MIB, 1024 * MIB)


@pytest.mark.parametrize("shares", [30, 90], ids=["shares of before", "shares of after"])
def test_cores_that_the_guest_has_not_taken_yet_do_not_count(shares: int) -> None:
    def counted(record: metadata.Record) -> metadata.Record:
        return replace(record, processor=Processor(ROOMY.cpu, 4, counted=1))

    root = running(replace(ROOMY, cpu=Cpu(1, 3, 30)), counted)
    assert read(with_text(root, "./cputune/shares", shares)) == ROOMY
    assert read(root, live=False).cpu.cores == 3


def test_cores_that_somebody_plugged_in_show() -> None:
    root = running(ROOMY)
    vcpu = root.find("./vcpu")
    assert vcpu is not None
    vcpu.set("current", "3")
    assert read(root).cpu == Cpu(1, 3, 10)


def test_notes_on_single_cores_go_with_the_old_number_of_them() -> None:
    old = running(ROOMY)
    old.append(node("vcpus", node("vcpu", id="0", enabled="yes", hotpluggable="no", order="1")))
    new = merging.merge(documents.render(replace(ROOMY, cpu=Cpu(1, 2, 30)), Platform("qemu")), old, ROOMY.spare_ports)
    assert new.find("./vcpus") is None


@pytest.mark.parametrize(("sockets", "cores", "laid_out"), [(2, 6, (2, 3)), (2, 3, (3, 1)), (1, 5, (1, 5))])
def test_cores_fill_their_sockets_or_stand_alone(sockets: int, cores: int, laid_out: tuple[int, int]) -> None:
    cpu = Cpu(sockets, 1).with_cores(cores)
    assert (cpu.sockets, cpu.cores_per_socket) == laid_out
