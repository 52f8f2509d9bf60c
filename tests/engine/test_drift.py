"""Changes behind our back: told from our own work and from edits, corrected or only reported as the annotation says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.engine.guests import running, said, waiting
from tests.engine.lab import Death
from tests.engine.manifests import GATES, blank
from tests.engine.manifests import machine as declared
from tests.memory_driver import Died, MemoryDriver
from vmctl.engine import applying
from vmctl.engine.convergence import Convergence
from vmctl.engine.previewing import Look
from vmctl.engine.session import nothing_seen
from vmctl.planning.conditions import find
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from tests.memory_driver import Machine


def web(*, mode: str = "Enforce", cores: int = 1, extra: str = "") -> str:
    annotated = declared("web", "root", "data", cores=cores, extra=extra).replace(
        "metadata: {name: web}", f"metadata: {{name: web, annotations: {{vmctl.dev/reconcile: {mode}}}}}"
    )
    return blank("root") + blank("data") + annotated


def told(lab: Lab) -> str:
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    known = find(item.status, "Drifted")
    return known["message"] if known is not None else ""


def detach(found: Machine) -> None:
    assert found.running is not None
    found.running = replace(found.running, disks=found.running.disks[:1])


def undefine(found: Machine) -> None:
    found.defined = None


def is_defined(lab: Lab) -> bool:
    return lab.world.machines[lab.uid("web")].defined is not None


def edit(found: Machine, cores: int = 4) -> None:
    """`virsh edit`."""
    assert found.defined is not None
    found.defined = replace(found.defined, cpu=found.defined.cpu.with_cores(cores))


def test_a_detached_disk_is_put_back_although_edits_would_wait(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    found = running(lab, web())
    detach(found)
    lab.resume()
    lab.resume()
    (line,) = (record for record in caplog.records if "DriftDetected" in record.getMessage())
    assert (line.levelname, line.getMessage().partition(":")[0]) == ("WARNING", "VirtualMachine web")
    assert found.running is not None
    assert [disk.alias for disk in found.running.disks] == ["ua-spec-vd-root", "ua-spec-vd-data"]
    assert [text for text in said(lab, "DriftDetected") if "VirtualDisk data" in text]
    assert told(lab) == ""
    assert waiting(lab) == []


def test_an_edited_definition_is_written_anew(lab: Lab) -> None:
    found = running(lab, web())
    edit(found)
    lab.resume()
    assert found.defined is not None
    assert found.defined.cpu.cores == 1
    assert [text for text in said(lab, "DriftDetected") if "definition: cpu.cores 1 → 4" in text]
    assert told(lab) == ""


def test_what_is_only_to_be_reported_stays_and_is_told_once(lab: Lab) -> None:
    found = running(lab, web(mode="DetectOnly"))
    edit(found)
    detach(found)
    for _ in range(3):
        lab.resume()
    assert found.defined is not None
    assert found.running is not None
    assert found.defined.cpu.cores == 4
    assert len(found.running.disks) == 1
    assert "cpu.cores 1 → 4" in told(lab)
    assert "VirtualDisk data" in told(lab)
    assert len(said(lab, "DriftDetected")) == 1


def test_what_was_put_back_and_happens_again_is_told_again(lab: Lab) -> None:
    found = running(lab, web(mode="DetectOnly"))
    for cores in (4, 1, 4):
        edit(found, cores)
        for _ in range(2):
            lab.resume()
    with lab.session() as session:
        assert [event.count for event in session.store.events() if event.reason == "DriftDetected"] == [2]


def test_an_edit_of_the_manifest_counts_where_drift_is_only_reported(lab: Lab) -> None:
    found = running(lab, web(mode="DetectOnly"))
    lab.apply(web(mode="DetectOnly", cores=2))
    assert found.defined is not None
    assert found.defined.cpu.cores == 2
    assert told(lab) == ""
    assert len(waiting(lab)) == 1


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_what_we_had_begun_ourselves_is_nobody_elses_doing(lab: Lab, at: int, after: bool) -> None:
    """The manifest is edited again before the first edit has been carried out, or seen to be."""
    found = running(lab, GATES + web())
    lab.death = Death(at, after)
    with pytest.raises(Died):
        lab.apply(GATES + web(cores=2))
    lab.death = Death()
    lab.apply(GATES + web())
    lab.apply(GATES + web(cores=4))
    assert said(lab, "DriftDetected") == []
    assert found.running is not None
    assert found.running.cpu.cores == 4
    found.running = replace(found.running, cpu=found.running.cpu.with_cores(3))
    lab.resume()
    assert len(said(lab, "DriftDetected")) == 1, "and what somebody else does is told as before"


def test_a_paused_machine_is_left_alone_and_goes_on_later(lab: Lab) -> None:
    found = running(lab, web())
    lab.apply(web(mode="Paused", cores=2))
    edit(found)
    detach(found)
    lab.resume()
    assert found.defined is not None
    assert found.running is not None
    assert (found.defined.cpu.cores, len(found.running.disks)) == (4, 1)
    lab.apply(web(mode="Enforce", cores=2))
    assert (found.defined.cpu.cores, len(found.running.disks)) == (2, 2)


def test_a_machine_that_is_created_paused_is_not_started(lab: Lab) -> None:
    lab.apply(web(mode="Paused"))
    assert lab.world.machines == {}
    assert lab.phase("VirtualMachine", "web") == "Stopped"


@pytest.mark.parametrize("policy", ["AlwaysOn", "AlwaysOnUnlessStoppedManually"])
@pytest.mark.parametrize(("mode", "back"), [("Enforce", True), ("DetectOnly", False)])
def test_a_machine_that_somebody_destroyed(lab: Lab, mode: str, back: bool, policy: str) -> None:
    found = running(lab, web(mode=mode, extra=f"runPolicy: {policy}"))
    with lab.session() as session:
        session.driver.destroy(found.uid)
    lab.resume()
    assert (found.running is not None) == back
    assert ("destroyed" in told(lab)) != back


def test_a_machine_whose_qemu_somebody_ended_is_left_off_where_drift_is_only_reported(lab: Lab) -> None:
    found = running(lab, web(mode="DetectOnly"))
    with lab.session() as session:
        session.driver.watch(lambda _uid: None)
        lab.world.terminate(found.uid)
        session.converge([Key("VirtualMachine", "default", "web")])
    lab.resume()
    assert found.running is None
    assert "switched off (terminated) behind our back" in told(lab)


@pytest.mark.parametrize("policy", ["AlwaysOn", "AlwaysOnUnlessStoppedManually"])
def test_a_restart_of_the_host_starts_nothing_that_is_only_watched(lab: Lab, policy: str) -> None:
    """The host has forgotten by then who switched the machine off; the one who asks for it by name gets it."""
    found = running(lab, web(mode="DetectOnly", extra=f"runPolicy: {policy}"))
    with lab.session() as session:
        session.driver.destroy(found.uid)
    lab.resume()
    lab.boot = "boot-2"
    lab.world.restart_host()
    lab.resume()
    assert found.running is None
    assert "destroyed" in told(lab)
    lab.apply(web(mode="Enforce", extra=f"runPolicy: {policy}"))
    assert found.running is not None


def test_a_definition_that_somebody_removed_while_the_machine_runs_comes_back(lab: Lab) -> None:
    undefine(running(lab, web()))
    lab.resume()
    found = lab.world.machines[lab.uid("web")]
    assert found.defined is not None
    assert found.running is not None


def test_a_removed_definition_is_only_reported_where_that_is_asked_for(lab: Lab) -> None:
    found = running(lab, web(mode="DetectOnly"))
    undefine(found)
    for _ in range(3):
        lab.resume()
    assert not is_defined(lab)
    assert "definition: removed" in told(lab)
    assert len(said(lab, "DriftDetected")) == 1
    lab.apply(web(mode="DetectOnly", cores=2))
    assert is_defined(lab), "an edit of the manifest counts"
    assert told(lab) == ""


def test_a_removed_machine_comes_back(lab: Lab) -> None:
    found = running(lab, web())
    del lab.world.machines[found.uid]
    lab.resume()
    assert lab.world.machines[found.uid].running is not None


def test_a_machine_that_is_off_gets_its_name_back(lab: Lab) -> None:
    found = running(lab, web(extra="runPolicy: AlwaysOff"))
    assert found.running is None
    assert found.defined is not None
    found.domain = "other"
    found.defined = replace(found.defined, domain="other")
    lab.resume()
    assert lab.world.machines[found.uid].domain == "web"


class Meddled(MemoryDriver):
    """Somebody removes the definition just before the start."""

    def start(self, uid: str) -> None:
        del self.world.machines[uid]
        super().start(uid)


def test_a_machine_that_vanishes_during_its_start_is_tried_again(lab: Lab) -> None:
    manifests = lab.load(web())
    with lab.session() as session:
        session.driver = Meddled(lab.world, session.store.installation)
        applying.store_all(session.store, session.ledger, manifests)
        convergence = Convergence(session.passes(nothing_seen).run, session.ledger, session.clock)
        convergence.add([*session.prepare(), *session.ledger.snapshot().by_key])
        convergence.run(lambda: True)
        convergence.drain()
    [failed] = [outcome for outcome in convergence.outcomes.values() if outcome.failure is not None]
    assert failed.key.kind == "VirtualMachine"
    assert failed.look_again is not None
    lab.resume()
    assert lab.world.machines[lab.uid("web")].running is not None


def test_our_own_work_is_never_drift(lab: Lab) -> None:
    running(lab, web())
    for cores in (2, 1, 4):
        lab.apply(web(cores=cores))
        lab.resume()
    assert said(lab, "DriftDetected") == []


def test_drift_that_is_only_reported_holds_no_edit_back(lab: Lab) -> None:
    found = running(lab, GATES + web(mode="DetectOnly"))
    detach(found)
    lab.apply(GATES + web(mode="DetectOnly", cores=2))
    assert found.running is not None
    assert (found.running.cpu.cores, len(found.running.disks)) == (2, 1)
    assert [entry["path"] for entry in waiting(lab)] == ["blockDeviceRefs.1"]


def replug(found: Machine, cores: int) -> None:
    """`virsh setvcpus --live`."""
    assert found.running is not None
    found.running = replace(found.running, cpu=found.running.cpu.with_cores(cores))


def test_drift_that_is_only_reported_approves_no_restart(lab: Lab) -> None:
    approved = "disruptions: {restartApprovalMode: Automatic}"
    found = running(lab, web(mode="DetectOnly", extra=approved))
    assert found.running is not None
    before = found.running.nonce
    replug(found, 4)
    for _ in range(3):
        lab.resume()
    assert (found.running.nonce, found.running.cpu.cores) == (before, 4)
    assert [entry["path"] for entry in waiting(lab)] == ["cpu.cores"]
    lab.apply(web(mode="DetectOnly", extra=f"{approved}\n  osType: Windows"))
    assert found.running.nonce != before, "an edit is what was approved"


def test_a_change_of_a_paused_machine_waits_and_is_told_so(lab: Lab) -> None:
    found = running(lab, GATES + web())
    lab.apply(GATES + web(mode="Paused", cores=2))
    assert [entry["path"] for entry in waiting(lab)] == ["cpu.cores"]
    manifests = lab.load(GATES + web(mode="Paused", cores=2))
    with lab.session() as session:
        look = Look.over(session.store, session.driver, session.ledger, session.place, session.clock)
        (machine,) = [each for each in look.previews(manifests) if each.key.name == "web"]
    (change,) = machine.changes
    assert (change.effect, change.reason, machine.steps) == ("at next restart", "vmctl.dev/reconcile is Paused", ())
    lab.apply(GATES + web(mode="Paused", cores=2, extra="runPolicy: AlwaysOff"))
    assert (found.power, lab.phase("VirtualMachine", "web")) == ("running", "Running")
    lab.apply(GATES + web(cores=2))
    assert found.running is not None
    assert (found.running.cpu.cores, waiting(lab)) == (2, [])
