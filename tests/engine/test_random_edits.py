"""Random edits of a machine, acts of its guest and of others, and deaths of the engine: after each, the same laws."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.engine.guests import AGENT
from tests.engine.lab import Death, Lab
from tests.engine.operating import operation
from tests.engine.wanted import EDITS, GROUPS, Wanted, in_order, shown
from tests.memory_driver import Died
from vmctl.engine.previewing import Look
from vmctl.engine.rebooting import Reboots
from vmctl.errors import ChangeRefused
from vmctl.planning import refusals
from vmctl.planning.applicability import POLICIES
from vmctl.planning.conditions import find
from vmctl.planning.steps import (
    CreateObject,
    CutPower,
    Define,
    EnsureNetwork,
    Remember,
    ReserveAddress,
    ShutDown,
    Start,
    Step,
    WriteSeed,
)
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.memory_driver import Machine
    from vmctl.engine.previewing import Preview
    from vmctl.planning.objects import Object

WEB = Key("VirtualMachine", "default", "web")
MORE = Key("VirtualDisk", "default", "more")
MADE_BESIDE = ("VirtualMachineIPAddress", "VirtualMachineIPAddressLease")  # not told apart from their machine
PREPARES = (CreateObject, EnsureNetwork, ReserveAddress, WriteSeed)
RESTARTS = (*PREPARES, Define, Start, ShutDown, CutPower)
RESTS_S = 700.0  # after so long, a machine that its guest switched off stays off also when the host is restarted
PAUSE_S = 300.0  # the longest pause between starts of a machine that crashes


@dataclass
class Off:
    """Why a machine is off, in the words of the table of run policies: who switched it off last."""

    by: str = "nobody"  # nobody | guest | others | hand | host | stop | AlwaysOff | Manual
    rests: bool = False  # whether what its guest did has come to count for good


def edits() -> st.SearchStrategy[dict[str, Any]]:
    """One to three fields with new values."""
    one = st.sampled_from([(name, value) for name, values in EDITS.items() for value in values])
    return st.lists(one, min_size=1, max_size=3).map(dict)


class RandomHost(RuleBasedStateMachine):
    """One machine on one host, to which anything may happen."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="vmctl-random-"))
        self.lab = Lab(self.directory)
        self.wanted = Wanted()
        self.off = Off()
        self.going = False  # whether the disk that was deleted is held by the machine
        self.operations = 0
        self.asked_on = False  # whether an operation that asks for a start waits for what the machine lacks
        self.tampered = False  # whether others changed what a manifest says since the machine was last as wanted

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    # What is there.

    @property
    def machine(self) -> Machine | None:
        return next(iter(self.lab.world.machines.values()), None)

    @property
    def runs(self) -> bool:
        return self.machine is not None and self.machine.running is not None

    @property
    def nonce(self) -> str:
        found = self.machine
        return found.running.nonce if found is not None and found.running is not None else ""

    def web(self) -> Object:
        item = self.lab.get("VirtualMachine", "web")
        assert item is not None
        return item

    def files(self) -> set[str]:
        return {path.name for path in self.lab.state.rglob("*.qcow2")}

    # What happens.

    @initialize(edit=edits())
    def create(self, edit: dict[str, Any]) -> None:
        self.wanted = replace(Wanted(), **{**edit, "mode": "Enforce"})
        self.apply()

    @rule(edit=edits())
    def edit(self, edit: dict[str, Any]) -> None:
        self.wanted = self._edited(edit)
        self.apply()

    @rule(edit=edits(), at=st.integers(0, 6), after=st.booleans())
    def edit_and_die(self, edit: dict[str, Any], at: int, after: bool) -> None:
        """In the middle of the work, or before any of it, with the manifests stored."""
        self.wanted = self._edited(edit)
        was_on, self.lab.death = self.runs, Death(at, after)
        with suppress(Died):
            (self.lab.apply if at else self.lab.store)(self.wanted.text())
        self.lab.death = Death()
        self.apply(was_on=was_on)

    @precondition(lambda self: self.wanted.data_mib > 1)
    @rule()
    def shrink(self) -> None:
        """It is told to be refused, and it is, with nothing else of the same set done."""
        text = replace(self.wanted, data_mib=1, cores=1 + self.wanted.cores % 2).text()
        told = {item.key.name: item for item in self.previews(text) if item.key.kind == "VirtualDisk"}
        assert [change.effect for change in told["data"].changes] == ["refused"]
        with pytest.raises(ChangeRefused):
            self.lab.apply(text)
        self.apply()

    @precondition(lambda self: self.runs)
    @rule()
    def guest_powers_off(self) -> None:
        self._goes_off("guest")
        self.lab.world.power_off_inside(self._uid())
        self.apply()

    @precondition(lambda self: self.runs)
    @rule()
    def guest_crashes(self) -> None:
        self._goes_off("others")
        self.lab.world.crash(self._uid())
        self.apply()

    @precondition(lambda self: self.runs)
    @rule()
    def agent_comes_up(self) -> None:
        self.lab.world.boot_finished(self._uid(), AGENT)
        self.apply()

    @precondition(lambda self: self.runs)
    @rule()
    def agent_goes(self) -> None:
        self._machine().guest = None
        self.apply()

    @precondition(lambda self: self.runs)
    @rule(keeps_mib=st.sampled_from([0, 80, 128]), keeps=st.sampled_from([(), ("data",), ("data", "more")]))
    def guest_keeps(self, keeps_mib: int, keeps: tuple[str, ...]) -> None:
        self._machine().keeps_memory_kib = keeps_mib << 10
        self._machine().keeps_disks = {f"ua-spec-vd-{name}" for name in keeps}
        self.apply()

    @precondition(lambda self: self.runs)
    @rule(heard=st.booleans())
    def guest_reboots(self, heard: bool) -> None:
        """Its event is the one that may not be lost: then what waits waits on."""
        before, waited = self.nonce, self.waiting()
        self.lab.world.reboot_inside(self._uid())
        answered = heard and self._hears()
        self.apply(was_on=True)
        may = bool(waited) and self.wanted.ready and self.wanted.mode != "Paused"
        if heard and may:
            assert answered
        if answered:
            assert may
            assert self.nonce != before
            assert not self.waiting() or self.tampered

    @precondition(lambda self: self.runs)
    @rule()
    def somebody_destroys(self) -> None:
        self._goes_off("hand")
        self.lab.world._stop(self._uid(), "destroyed")
        self.apply()

    @precondition(lambda self: self.runs)
    @rule()
    def somebody_detaches(self) -> None:
        found = self._machine()
        assert found.running is not None
        found.running = replace(found.running, disks=found.running.disks[:1])
        self.tampered = True
        self.apply()

    @precondition(lambda self: self.machine is not None and self.machine.defined is not None)
    @rule(cores=st.sampled_from([1, 2, 4, 8]))
    def somebody_edits(self, cores: int) -> None:
        found = self._machine()
        assert found.defined is not None
        found.defined = replace(found.defined, cpu=found.defined.cpu.with_cores(cores))
        self.tampered = True
        self.apply()

    @precondition(lambda self: self.machine is not None)
    @rule()
    def somebody_undefines(self) -> None:
        found = self._machine()
        self.tampered = True
        if found.running is None:
            if self.off.by == "nobody" or (self.off.by == "guest" and not self.off.rests):
                self.off = Off("hand")  # nothing is left that tells how it went off
            del self.lab.world.machines[found.uid]
        else:
            found.defined = None
        self.apply()

    @precondition(lambda self: self.machine is not None and not self.runs and self.machine.defined is not None)
    @rule()
    def somebody_renames(self) -> None:
        found = self._machine()
        assert found.defined is not None
        found.domain, found.defined = "other", replace(found.defined, domain="other")
        self.tampered = True
        self.apply()

    @precondition(lambda self: self.machine is not None and not self.runs and self.machine.defined is not None)
    @rule()
    def somebody_starts(self) -> None:
        found = self._machine()
        found.running, found.power, found.reason = found.defined, "running", "booted"
        self.apply()

    @rule()
    def host_restarts(self) -> None:
        if self.runs or (self.off.by == "guest" and not self.off.rests):
            self._goes_off("host")
        self.lab.boot += "+"
        self.lab.world.restart_host()
        for found in [found for found in self.lab.world.machines.values() if found.defined is None]:
            del self.lab.world.machines[found.uid]
        self.apply()

    @rule()
    def time_passes(self) -> None:
        self.lab.clock.sleep(RESTS_S)
        self.lab.apply(self.wanted.text())
        self.off.rests = self.off.rests or self.off.by == "guest"
        self.apply()

    @rule()
    def machine_is_deleted(self) -> None:
        before = self.files()
        self.lab.delete(WEB)
        assert self.machine is None
        assert len(before - self.files()) == int(self.going)
        self.going = False
        self.off, self.tampered, self.asked_on = Off(), False, False
        self.apply()

    @precondition(lambda self: "more" not in self.wanted.disks)
    @rule()
    def disk_is_deleted(self) -> None:
        before = self.files()
        self.lab.delete(MORE)
        self.going = self.lab.get("VirtualDisk", "more") is not None
        if self.going:
            assert self.files() == before, "a machine has it"
        else:
            assert len(before - self.files()) == 1
        self.apply()

    @rule(
        verb=st.sampled_from(["Start", "Stop", "Restart"]),
        force=st.booleans(),
        at=st.integers(-6, 6).map(lambda number: max(number, 0)),
        after=st.booleans(),
    )
    def somebody_asks(self, verb: str, force: bool, at: int, after: bool) -> None:
        """An operation, carried out once also when the engine dies in the middle, or told to be impossible."""
        self.operations += 1
        self.lab.clock.sleep(1.0)
        name, was_on, nonce, phase = f"op-{self.operations}", self.runs, self.nonce, self.web().phase
        self.lab.death, self.lab.calls[:] = Death(at, after), []
        try:
            self.lab.apply(operation(name, verb, force=force and verb != "Start"))
        except Died:
            self.lab.death = Death()
            self.lab.resume()
        self._holds_to_operation(name, verb, was_on=was_on, nonce=nonce, phase=phase)
        self.apply()

    def _holds_to_operation(self, name: str, verb: str, *, was_on: bool, nonce: str, phase: str) -> None:
        item = self.lab.get("VirtualMachineOperation", name)
        assert item is not None
        suits = self.wanted.policy in POLICIES[verb]
        if item.phase == "Failed":
            assert self.nonce == nonce
            assert not suits or was_on == (verb == "Start") or phase == "Pending", str(item.status)
            return
        assert suits
        if item.phase == "Completed":
            assert self.runs == (verb != "Stop")
            assert verb != "Restart" or nonce != self.nonce
            self.asked_on, self.off = False, Off("stop") if verb == "Stop" else Off()
            return
        assert verb != "Stop"
        assert not self.wanted.ready
        assert self.web().phase == "Pending"
        self.asked_on = True

    # What holds.

    def apply(self, *, was_on: bool | None = None) -> None:
        """Converge as `vmctl apply` does, and hold what happened to what `vmctl diff` said, and to the table."""
        text = self.wanted.text()
        self.lab.clock.sleep(1.0)  # two starts are never at the same time
        was_on = self.runs if was_on is None else was_on
        told = self.previews(text)
        nonce, files, known = self.nonce, self.files(), self._refused()
        self.lab.death, self.lab.calls[:] = Death(), []
        self.lab.apply(text)
        done = list(self.lab.death.steps)
        self._holds_to_plan(told, done)
        if not self._refused() - known:
            self._holds_to_verdicts(told, done)
        if self.going and self.lab.get("VirtualDisk", "more") is None:
            self.going = False
            assert len(files - self.files()) == 1
            self.lab.apply(text)  # it is declared, and made anew
        else:
            assert files <= self.files(), "data went without a name"
        if nonce and self.nonce != nonce:
            assert any(isinstance(step, ShutDown | CutPower) for _, step in done)
        self._comes_to_rest(text)
        self._power_is_right(was_on=was_on)
        self._shape_is_right()

    def previews(self, text: str) -> list[Preview]:
        with self.lab.session() as session:
            look = Look.over(session.store, session.driver, session.ledger, session.place, session.clock)
            return look.previews(self.lab.load(text))

    def _holds_to_plan(self, told: list[Preview], done: list[tuple[Key, Step]]) -> None:
        """Every step was announced, and every step that was announced was done."""
        going = MORE if self.going else None
        for item in told:
            if item.key.kind in MADE_BESIDE or item.key == going:  # its deletion was named before, and waited
                continue
            steps = [step for key, step in done if key == item.key and not _silent(step)]
            did = [step.describe() for step in steps]
            said = (*item.steps, *item.later)
            never = item.later if item.key == WEB and not self.wanted.ready else ()  # what it waits for never comes
            missing = {words for words in said if not any(_means(words, step) for step in steps)} - set(never)
            assert not missing, f"{item.key.short} was to {missing}, it did {did}"
            restarts = any(isinstance(step, Remember) for step in steps) or (
                any(words.startswith("shut the") for words in said) and any(words.startswith("start") for words in said)
            )
            beyond = {
                step.describe()
                for step in steps
                if not any(_means(words, step) for words in said)
                and not (item.later and isinstance(step, PREPARES))  # told in a word: after something is Ready
                and not (restarts and isinstance(step, RESTARTS))
            }
            assert not beyond, f"{item.key.short} did {beyond}, said was {item.steps} {item.later}"

    def _holds_to_verdicts(self, told: list[Preview], done: list[tuple[Key, Step]]) -> None:
        """What was called live is live, what was to wait waits, unless a start was announced too."""
        item = next(item for item in told if item.key == WEB)
        if not self.runs or any(isinstance(step, Start) for key, step in done if key == WEB):
            return
        waits = {entry["path"]: entry.get("desiredValue") for entry in self.waiting()}
        said = {change.path: change.new for change in item.changes if change.effect == "at next restart"}
        assert waits == said
        if self.wanted.mode == "Enforce":
            live = {(change.path, json.dumps(change.new)) for change in item.changes if change.effect == "live"}
            still = {(entry["path"], json.dumps(entry.get("desiredValue"))) for entry in self.waiting()}
            assert not live & still  # one device may go at a place where another is still to come

    def _comes_to_rest(self, text: str) -> None:
        """Once more is nothing at all, whether over what is marked or over everything."""
        before = self.web()
        self.lab.death, self.lab.calls[:] = Death(), []
        self.lab.apply(text)
        self.lab.resume()
        steps = [each for each in self.lab.death.steps if each[0].kind not in MADE_BESIDE]  # leases end by the clock
        again = [f"{key.short}: {step.describe()}" for key, step in steps]
        assert not self.lab.calls, f"{self.lab.calls} by {again}"
        assert not again, str(again)
        assert self.web().status == before.status
        with self.lab.session() as session:
            assert session.store.unfinished() == []

    def _power_is_right(self, *, was_on: bool) -> None:
        """On or off as the table of run policies says."""
        self.asked_on = self.asked_on and self.wanted.policy in POLICIES["Restart"]
        expected = self.asked_on or self._expected(was_on=was_on)
        if self.runs:
            self.asked_on = False
        if self.wanted.mode == "Paused":
            self.off = Off() if self.runs else self.off
            return
        if expected and not self.runs and self.wanted.ready and "times in a row" in str(self.web().status):
            self.lab.clock.sleep(PAUSE_S)
            self.lab.apply(self.wanted.text())
        if expected and not self.wanted.ready and not was_on:
            assert self.runs or self.web().phase == "Pending"
            return
        assert self.runs == expected, f"{self.wanted.policy}, off by {self.off}: {self.web().status['conditions']}"
        if self.runs:
            self.off = Off()
        elif self.wanted.policy in ("AlwaysOff", "Manual"):
            self.off = Off(self.wanted.policy)

    def _expected(self, *, was_on: bool) -> bool:
        left = self.wanted.mode == "DetectOnly" and self.off.by == "hand"
        match self.wanted.policy:
            case "AlwaysOff":
                return False
            case "AlwaysOn":
                return was_on or not left
            case "Manual":
                return was_on
            case _:
                return was_on or (self.off.by in ("nobody", "others", "hand", "host", "AlwaysOff") and not left)

    def _shape_is_right(self) -> None:
        """Definition and running machine are as wanted, but for what waits, and what is merely to be reported."""
        found, wanted = self.machine, self.wanted.facts()
        if self.wanted.mode == "Enforce":
            self.tampered = False
        if found is None or self.wanted.mode == "Paused":
            return
        drifted = find(self.web().status, "Drifted") is not None
        if (self.runs or self.wanted.ready) and not (self.tampered and drifted):
            assert found.defined is not None
            assert found.domain == "web" or (self.runs and drifted)  # what runs cannot be renamed
            if self.runs or self.wanted.policy in ("AlwaysOff", "Manual"):
                assert shown(found.defined) == wanted
        waits = {entry["path"].partition(".")[0] for entry in self.waiting()}
        if found.running is None:
            assert not waits
            return
        runs = {**shown(found.running), "disks": in_order(found.running, wanted["disks"])}
        if not (self.tampered and drifted):
            differ = {group for group, names in GROUPS.items() if any(runs[name] != wanted[name] for name in names)}
            lacks = {"blockDeviceRefs"} - set() if not self.wanted.ready else set()
            assert waits == differ | lacks
        approved = self.wanted.mode == "Enforce" and self.wanted.approval == "Automatic"
        if approved and self.wanted.ready and not drifted:  # what somebody else changed restarts no guest
            assert not waits

    # Small things.

    def _edited(self, edit: dict[str, Any]) -> Wanted:
        """What is wanted after an edit: disks only grow, and one that leaves the manifests stays, for nobody prunes."""
        grown = max(edit.get("data_mib", 1), self.wanted.data_mib)
        return replace(self.wanted, **{**edit, "data_mib": grown, "late": edit.get("late") or self.wanted.late})

    def waiting(self) -> list[dict[str, Any]]:
        return list(self.web().status.get("restartAwaitingChanges") or ())

    def _refused(self) -> set[str]:
        item = self.lab.get("VirtualMachine", "web")
        if item is None:
            return set()
        with self.lab.session() as session:
            return set(json.loads(session.store.notes(item.uid).get(refusals.NOTE) or "{}"))

    def _machine(self) -> Machine:
        assert self.machine is not None
        return self.machine

    def _uid(self) -> str:
        return self._machine().uid

    def _goes_off(self, by: str) -> None:
        self.off = Off(by)
        if self._machine().defined is None:  # what libvirt does not define is gone when it is off
            self.off = Off("hand")

    def _hears(self) -> bool:
        with self.lab.session() as session:
            reboots = Reboots(session.store, session.ledger, session.driver, session.clock)
            return reboots.answer(self._uid(), session.clock.elapsed())


def _silent(step: Step) -> bool:
    return isinstance(step, Remember) and not step.told


def _means(words: str, step: Step) -> bool:
    """Whether a sentence of diff stands for a step: what is not drawn yet is not named in it."""
    match step:
        case CreateObject() if words == f"create a {step.key.kind} for it":
            return True
        case ReserveAddress() if words == "reserve its address":
            return True
        case _:
            return step.describe().startswith(words)


def test_anything_may_happen() -> None:
    """The same every time, and short; `-m full` draws anew."""
    run_state_machine_as_test(RandomHost, settings=settings(max_examples=20, stateful_step_count=10, derandomize=True))


@pytest.mark.full
def test_anything_may_happen_at_length() -> None:
    run_state_machine_as_test(RandomHost, settings=settings(max_examples=500, stateful_step_count=30))
