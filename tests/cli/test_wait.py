"""`vmctl wait`: goals that are reached, that are reached later, and that are not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import add_machine, condition
from vmctl.cli.awaiting import Condition, goal
from vmctl.cli.durations import seconds
from vmctl.state.lock import holder

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import World

pytestmark = pytest.mark.usefixtures("engine")
NAME = "virtualmachine.virtualization.deckhouse.io/linux-vm"


@pytest.fixture
def engine(world: World) -> None:
    """Somebody is at work already, so that waiting is all there is to do."""
    world.work()


@pytest.mark.parametrize(
    "wanted",
    [
        "condition=AgentReady", "condition=agentready=true", "jsonpath={.status.phase}=Running",
        "jsonpath=.status.phase", 'jsonpath={.status.conditions[?(@.type=="AgentReady")].status}=True', "create",
    ],
)  # fmt: skip
def test_goals_that_are_reached_already(quickstart: World, wanted: str) -> None:
    ran = quickstart.run("wait", "vm/linux-vm", f"--for={wanted}", "--timeout=0")
    assert (ran.code, ran.out, ran.err) == (0, f"{NAME} condition met\n", "")


def test_what_is_gone_is_deleted(world: World) -> None:
    assert world.run("wait", "vm", "linux-vm", "--for", "delete").out == f"{NAME} deleted\n"


def test_what_does_not_exist_has_no_condition(world: World) -> None:
    ran = world.run("wait", "vm/linux-vm", "--for=condition=Running")
    assert (ran.code, ran.out) == (4, "")
    assert "not found in namespace default" in ran.err


def test_each_that_is_late_says_what_it_waits_for(world: World) -> None:
    waiting = [condition("BlockDevicesReady", "False", message="disk root is not ready (2 of 3 are)")]
    add_machine(world, "late", phase="Pending", status={"conditions": waiting})
    add_machine(world, "there", status={"conditions": [condition("Running", "True")]})
    world.add("VirtualMachine", "new", spec={})
    ran = world.run("wait", "vm", "--all", "--for=condition=Running", "--timeout=50ms")
    assert ran.code == 6
    assert ran.lines == ["virtualmachine.virtualization.deckhouse.io/there condition met"]
    late, new = ran.err.splitlines()
    first = "error: VirtualMachine late is still waiting: phase Pending; condition Running is not reported"
    assert late == f"{first} (reported: BlockDevicesReady); BlockDevicesReady: disk root is not ready (2 of 3 are)"
    assert new == "error: VirtualMachine new is still waiting: condition Running is not reported (reported: none)"


def test_a_condition_of_an_older_generation_does_not_count() -> None:
    document: dict[str, object] = {
        "metadata": {"generation": 2},
        "status": {"conditions": [condition("Ready", "True")]},
    }
    assert not Condition("Ready").reached(document)


def later(change: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(0.2, change)
    timer.start()
    return timer


def test_changes_are_noticed(quickstart: World) -> None:
    machine = add_machine(quickstart, "linux-vm", phase="Pending")
    timer = later(lambda: quickstart.store.set_status(machine.uid, {"phase": "Running"}))
    ran = quickstart.run("wait", "vm/linux-vm", "--for=jsonpath={.status.phase}=Running", "--timeout=20s")
    timer.join()
    assert ran.code == 0


def test_deletions_are_noticed_even_when_a_namesake_follows(quickstart: World) -> None:
    machine = add_machine(quickstart, "linux-vm")

    def replaced() -> None:
        with quickstart.store.batch():
            quickstart.store.remove(machine.uid)
            add_machine(quickstart, "linux-vm")

    timer = later(replaced)
    ran = quickstart.run("wait", "vm/linux-vm", "--for=delete", "--timeout=20s")
    timer.join()
    assert (ran.code, ran.out) == (0, f"{NAME} deleted\n")


def test_appearance_is_noticed_in_a_store_that_is_not_there_yet(world: World) -> None:
    timer = later(lambda: add_machine(world, "linux-vm"))
    ran = world.run("wait", "vm/linux-vm", "--for=create", "--timeout=20s")
    timer.join()
    assert ran.code == 0


def test_a_daemon_can_begin_while_an_object_is_waited_for(world: World) -> None:
    world.rest()
    others: list[object] = []

    def made() -> None:
        others.append(holder(world.directory))
        add_machine(world, "linux-vm")

    timer = later(made)
    assert world.run("wait", "vm/linux-vm", "--for=create", "--timeout=20s").code == 0
    timer.join()
    assert others == [None]


@pytest.mark.parametrize("text", ["condition", "condition=", "phase=Running", "delete=now", "jsonpath={.a}Running"])
def test_goals_that_mean_nothing(world: World, text: str) -> None:
    assert world.run("wait", "vm/web", f"--for={text}").code == 2


def test_all_must_be_asked_for(world: World) -> None:
    assert world.run("wait", "vm", "--for=delete").code == 2
    assert world.run("wait", "vm", "--for=delete", "--all").code == 0


def test_equals_signs_in_values() -> None:
    document: dict[str, object] = {"a": "b=c", "list": [{"k": "x=y", "v": "1"}]}
    assert goal("jsonpath={.a}=b=c").reached(document)
    assert goal("jsonpath=.a=b=c").reached(document)
    assert goal("jsonpath={.list[?(@.k=='x=y')].v}=1").reached(document)


@pytest.mark.parametrize(
    ("text", "number"),
    [("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), ("500ms", 0.5), ("90", 90.0), ("1.5m", 90.0), ("-1s", -1.0),
     ("", None), ("5 m", None), ("m", None), ("5d", None), ("s5", None)],
)  # fmt: skip
def test_durations(text: str, number: float | None) -> None:
    assert seconds(text) == number
