"""A running machine is edited: what can change now changes now, the rest waits, and each is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.engine.guests import AGENT, DISKS, running, said, waiting, web
from tests.engine.manifests import GATES, blank, machine
from vmctl.planning import requests

if TYPE_CHECKING:
    from tests.engine.lab import Lab


def test_without_a_gate_an_edit_waits_and_taking_it_back_empties_the_list(lab: Lab) -> None:
    found = running(lab, web())
    before = found.running
    lab.apply(web(cores=2))
    assert waiting(lab) == [{"currentValue": 1, "desiredValue": 2, "operation": "replace", "path": "cpu.cores"}]
    lab.apply(web())
    assert waiting(lab) == []
    assert found.running is before


def test_with_the_gate_cores_and_memory_change_in_the_running_machine(lab: Lab) -> None:
    found = running(lab, GATES + web())
    assert found.running is not None
    nonce = found.running.nonce
    lab.apply(GATES + web(cores=2, memory="96Mi"))
    assert (found.running.cpu.cores, found.running.memory_kib, found.running.nonce) == (2, 96 << 10, nonce)
    assert found.defined is not None
    assert found.defined.cpu.cores == 2, "the next start has it too"
    lab.apply(GATES + web(cores=2, memory="48Mi"))
    assert found.running.memory_kib == 48 << 10
    assert waiting(lab) == []
    assert len(said(lab, "ChangesApplied")) == 3


def test_fewer_cores_wait_and_hold_nothing_else_back(lab: Lab) -> None:
    found = running(lab, GATES + web(cores=2))
    lab.apply(GATES + web(memory="80Mi", extra="osType: Windows"))
    assert [entry["path"] for entry in waiting(lab)] == ["osType", "cpu.cores"]
    assert found.running is not None
    assert (found.running.cpu.cores, found.running.memory_kib) == (2, 80 << 10)


def test_a_gate_that_was_opened_after_the_start_helps_from_the_next_one(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(GATES + web(cores=2))
    (entry,) = waiting(lab)
    assert entry["path"] == "cpu.cores"
    lab.world.crash(found.uid)
    lab.resume()
    assert waiting(lab) == []
    lab.world.boot_finished(found.uid, AGENT)
    lab.apply(GATES + web(cores=4))
    assert found.running is not None
    assert found.running.cpu.cores == 4


def test_cores_wait_for_an_agent_that_can_say_that_the_guest_has_them(lab: Lab) -> None:
    lab.apply(GATES + web())
    lab.apply(GATES + web(cores=2))
    assert [entry["path"] for entry in waiting(lab)] == ["cpu.cores"]
    found = lab.world.machines[lab.uid("web")]
    lab.world.boot_finished(found.uid, AGENT)
    lab.resume()
    assert waiting(lab) == []
    assert found.running is not None
    assert found.running.cpu.cores == 2


def test_memory_that_the_guest_keeps_waits_with_its_words_and_is_asked_for_once(lab: Lab) -> None:
    found = running(lab, GATES + web(memory="128Mi"))
    found.keeps_memory_kib = 96 << 10
    lab.apply(GATES + web(memory="64Mi"))
    assert waiting(lab) == [
        {"currentValue": "96Mi", "desiredValue": "64Mi", "operation": "replace", "path": "memory.size"}
    ]
    lab.resume()
    lab.resume()
    assert [text for text in said(lab, "ChangeRefused") if "gave back 32Mi of 64Mi" in text] == said(
        lab, "ChangeRefused"
    )
    assert len(said(lab, "ChangeRefused")) == 1
    assert not said(lab, "DriftDetected")


def test_a_disk_comes_and_goes_while_the_machine_runs(lab: Lab) -> None:
    found = running(lab, GATES + web())
    lab.apply(GATES + web("root", "data"))
    assert found.running is not None
    assert [disk.alias for disk in found.running.disks] == ["ua-spec-vd-root", "ua-spec-vd-data"]
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    assert [(entry["name"], entry["attached"]) for entry in item.status["blockDeviceRefs"]] == [
        ("root", True),
        ("data", True),
    ]
    lab.apply(GATES + web())
    assert [disk.alias for disk in found.running.disks] == ["ua-spec-vd-root"]
    assert waiting(lab) == []


def test_a_disk_that_is_not_ready_is_attached_when_it_is(lab: Lab) -> None:
    found = running(lab, GATES + web())
    late = GATES + DISKS + machine("web", "root", "late")
    lab.apply(late)
    assert [entry["path"] for entry in waiting(lab)] == ["blockDeviceRefs.1"]
    lab.apply(late + blank("late"))
    assert waiting(lab) == []
    assert found.running is not None
    assert found.running.disks[-1].alias == "ua-spec-vd-late"


def test_a_disk_that_the_guest_keeps_waits_with_its_words(lab: Lab) -> None:
    found = running(lab, GATES + web("root", "data"))
    found.keeps_disks.add("ua-spec-vd-data")
    lab.apply(GATES + web())
    assert [entry["operation"] for entry in waiting(lab)] == ["remove"]
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    assert "does not let go" in str(item.status["conditions"])


def test_a_seed_is_detached_live_with_the_gate(lab: Lab) -> None:
    seed = "provisioning: {type: UserData, userData: '#cloud-config'}"
    found = running(lab, GATES + web(extra=seed))
    lab.apply(GATES + web())
    assert found.running is not None
    assert [disk.alias for disk in found.running.disks] == ["ua-spec-vd-root"]
    assert waiting(lab) == []


def test_an_approved_restart_happens_once_and_brings_what_waited(lab: Lab) -> None:
    found = running(lab, web())
    assert found.running is not None
    nonce = found.running.nonce
    lab.apply(web(cores=2, extra="disruptions: {restartApprovalMode: Automatic}"))
    assert found.running.cpu.cores == 2
    assert found.running.nonce != nonce
    after = found.running.nonce
    lab.resume()
    assert found.running.nonce == after
    assert waiting(lab) == []
    assert len(said(lab, "Restarted")) == 1


def test_no_restart_is_approved_for_a_machine_that_is_switched_off(lab: Lab) -> None:
    """It would lie there and start the machine as soon as its policy lets it."""
    found = running(lab, web())
    automatic = "disruptions: {restartApprovalMode: Automatic}"
    lab.apply(web(cores=2, extra=f"runPolicy: AlwaysOff\n  {automatic}"))
    assert found.running is None
    lab.apply(web(cores=2, extra=f"runPolicy: Manual\n  {automatic}"))
    assert found.running is None


def test_no_approved_restart_that_would_leave_the_machine_off(lab: Lab) -> None:
    found = running(lab, web())
    before = found.running
    lab.apply(DISKS + machine("web", "root", "missing", cores=2, extra="disruptions: {restartApprovalMode: Automatic}"))
    assert found.running is before
    assert len(waiting(lab)) == 2


@pytest.mark.parametrize("policy", ["AlwaysOn", "AlwaysOnUnlessStoppedManually"])
def test_a_crash_loop_backs_off_and_says_so(lab: Lab, policy: str) -> None:
    found = running(lab, web(extra=f"runPolicy: {policy}"))
    pauses = []
    for _ in range(5):
        lab.world.crash(found.uid)
        crashed = lab.clock.now()
        lab.resume()
        while found.running is None:
            assert lab.phase("VirtualMachine", "web") == "Pending"
            item = lab.get("VirtualMachine", "web")
            assert item is not None
            assert "times in a row" in str(item.status["conditions"])
            lab.clock.sleep(1.0)
            lab.resume()
        pauses.append(lab.clock.now() - crashed)
    assert pauses == [0, 10, 20, 40, 80]
    lab.clock.sleep(700.0)
    lab.world.crash(found.uid)
    lab.resume()
    assert found.running is not None, "one that stayed on for long enough starts at once"


def test_what_the_host_has_no_room_for_waits_and_the_rest_does_not(lab: Lab) -> None:
    """Grown live beyond what the host can promise, the machine could not be started again."""
    found = running(lab, GATES + web(memory="128Mi"))
    lab.apply(GATES + web(cores=12, memory="64Mi"))
    assert [entry["path"] for entry in waiting(lab)] == ["cpu.cores"]
    assert found.running is not None
    assert (found.running.cpu.cores, found.running.memory_kib) == (1, 64 << 10)
    assert any("the host has 8 CPUs" in text for text in said(lab, "RestartAwaitingChanges"))


def test_what_a_guest_refused_before_it_was_up_is_tried_again_when_it_is(lab: Lab) -> None:
    """A guest in its firmware lets go of no disk (facts: detach)."""
    found = running(lab, GATES + web("root", "data"))
    found.guest = None
    found.keeps_disks.add("ua-spec-vd-data")
    lab.apply(GATES + web())
    assert len(waiting(lab)) == 1
    lab.resume()
    assert len(said(lab, "ChangeRefused")) == 1
    found.keeps_disks.clear()
    lab.world.boot_finished(found.uid, AGENT)
    lab.resume()
    assert waiting(lab) == []


def test_a_shutdown_gives_the_guest_the_time_it_was_started_with(lab: Lab) -> None:
    """A shorter grace period waits for the next start, as diff says; until then it cuts nobody's power earlier."""
    found = running(lab, web(extra="terminationGracePeriodSeconds: 120"))
    found.hears_shutdown = False
    lab.apply(web(extra="terminationGracePeriodSeconds: 1"))
    assert [entry["path"] for entry in waiting(lab)] == ["terminationGracePeriodSeconds"]
    before = lab.clock.passed
    lab.apply(web(extra="terminationGracePeriodSeconds: 1\n  runPolicy: AlwaysOff"))
    assert found.running is None
    assert lab.clock.passed - before >= 120


APPROVED = "disruptions: {restartApprovalMode: Automatic}"


def test_an_approved_restart_whose_edit_is_taken_back_in_time_is_not_made(lab: Lab) -> None:
    found = running(lab, web(extra=APPROVED))
    before = found.running
    with lab.session() as session:  # as a death right after the request was noted leaves it
        nonce = before.nonce if before is not None else ""
        request = requests.Request("Restart", "restartApprovalMode Automatic", nonce=nonce, changes="[…]")
        session.store.note(found.uid, requests.NOTE, request.text(), unsettles=True)
    lab.apply(web(extra=APPROVED))
    assert found.running is before
    assert waiting(lab) == []
    lab.apply(web(cores=2, extra=APPROVED))
    assert found.running is not None
    assert found.running.cpu.cores == 2, "the same edit, made again, is approved again"


def test_what_somebody_else_changed_restarts_no_guest(lab: Lab) -> None:
    """Approved are the changes of the manifest."""
    found = running(lab, web(cores=1, extra=APPROVED))
    assert found.running is not None
    nonce = found.running.nonce
    found.running = replace(found.running, cpu=found.running.cpu.with_cores(2))
    lab.resume()
    assert found.running.nonce == nonce
    assert [entry["path"] for entry in waiting(lab)] == ["cpu.cores"]
