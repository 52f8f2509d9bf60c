"""What `diff` prints is what `apply` then does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.guests import DISKS, running
from tests.engine.manifests import GATES, blank, disk, image, machine
from tests.engine.operating import ask, operation
from vmctl.cli.diff import lines
from vmctl.engine import applying
from vmctl.engine.previewing import Look
from vmctl.errors import ChangeRefused
from vmctl.manifests import loading
from vmctl.manifests.sources import source_of
from vmctl.planning.requests import NOTE, Request

if TYPE_CHECKING:
    from tests.engine.lab import Lab


def diff(lab: Lab, text: str) -> list[str]:
    """The lines of `vmctl diff`."""
    with lab.session() as session:
        look = Look.over(session.store, session.driver, session.ledger, session.place, session.clock)
        previews = look.previews(lab.load(text))
        return [line for preview in previews if preview.differs for line in lines(preview)]


def said(printed: list[str], words: str) -> bool:
    return any(words in line for line in printed)


WEB = blank("root") + machine("web", "root")


def test_a_shutdown_is_told_although_a_new_disk_has_to_come_first(lab: Lab) -> None:
    lab.apply(WEB)
    text = blank("root") + blank("more") + machine("web", "root", "more", extra="runPolicy: AlwaysOff")
    printed = diff(lab, text)
    assert said(printed, "    shut the machine down (runPolicy AlwaysOff")
    assert said(printed, "after VirtualDisk more is Ready: define the machine")
    lab.apply(text)
    assert lab.phase("VirtualMachine", "web") == "Stopped"


def test_no_start_is_announced_for_a_machine_that_runs(lab: Lab) -> None:
    lab.apply(WEB)
    printed = diff(lab, blank("root") + blank("more") + machine("web", "root", "more", cores=2))
    assert not said(printed, "start the machine")


def test_labels_and_run_policy_of_a_running_machine_are_told(lab: Lab) -> None:
    lab.apply(WEB)
    labelled = WEB.replace("{name: web}", "{name: web, labels: {tier: front}}")
    assert said(diff(lab, labelled), "+ metadata.labels.tier: front    at once")
    lab.apply(labelled)
    assert diff(lab, labelled) == []
    assert said(diff(lab, WEB), "- metadata.labels.tier: front    at once")
    manual = blank("root") + machine("web", "root", extra="runPolicy: Manual")
    assert said(diff(lab, manual), "~ runPolicy: AlwaysOnUnlessStoppedManually → Manual    at once")


def test_a_label_that_was_set_by_hand_is_no_difference(lab: Lab) -> None:
    lab.apply(WEB)
    with lab.session() as session:
        for item in (one for one in session.ledger.snapshot().by_key.values() if one.key.name == "root"):
            metadata = {**item.metadata, "labels": {"by": "hand"}}
            session.store.replace(item.key, {**item.document, "metadata": metadata})
    assert diff(lab, WEB) == []


def test_another_spelling_is_called_one(lab: Lab) -> None:
    lab.apply(WEB)
    assert said(diff(lab, blank("root") + machine("web", "root", memory="65536Ki")), "written differently")


def test_the_start_after_always_off_is_told_and_done(lab: Lab) -> None:
    lab.apply(WEB)
    lab.apply(blank("root") + machine("web", "root", extra="runPolicy: AlwaysOff"))
    assert said(diff(lab, WEB), "    start the machine (runPolicy is AlwaysOff no more)")
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_the_start_of_a_new_machine_on_a_disk_that_is_there_is_told(lab: Lab) -> None:
    lab.apply(blank("root"))
    printed = diff(lab, WEB)
    assert said(printed, "    define the machine")
    assert said(printed, "    start the machine (first start)")
    assert said(printed, "    reserve its address")


def test_a_new_machine_that_has_to_wait_for_a_disk_in_use_is_said_to_wait(lab: Lab) -> None:
    lab.apply(WEB)
    printed = diff(lab, machine("other", "root"))
    assert said(printed, "in use by VirtualMachine web")
    assert not said(printed, "    start the machine")


def test_what_apply_does_beside_the_manifests_is_told_too(lab: Lab) -> None:
    """apply looks after everything it has applied, so a machine of another directory that crashed is started again."""
    lab.apply(WEB)
    assert diff(lab, blank("other")) == [
        "+ virtualdisk.virtualization.deckhouse.io/other",
        "    create an empty disk in storage class local",
    ]
    lab.world.crash(lab.uid("web"))
    printed = diff(lab, blank("other"))
    assert said(printed, "~ virtualmachine.virtualization.deckhouse.io/web")
    assert said(printed, "start the machine (it went off without being told to")


def test_what_another_directory_owns_is_refused_before_anything_is_planned(lab: Lab) -> None:
    """diff and --dry-run ask the same question as apply, which would refuse."""
    one, two = (lab.directory / name for name in ("one", "two"))
    for directory in (one, two):
        directory.mkdir()
        (directory / "web.yaml").write_text(WEB)
    mine, yours = (applying.judge(loading.load([str(directory)])) for directory in (one, two))
    with lab.session() as session:
        applying.store_all(session.store, session.ledger, mine, sources=[source_of(str(one))])
        applying.refuse_other_owners(session.store, mine, [source_of(str(one))])
        with pytest.raises(ChangeRefused, match=r"belongs to .*/one \(.*/one/web\.yaml:2\)"):
            applying.refuse_other_owners(session.store, yours, [source_of(str(two))])


def test_a_running_machine_is_told_what_its_new_spec_lacks(lab: Lab) -> None:
    lab.apply(WEB)
    printed = diff(lab, blank("root") + machine("web", "root", "nodisk"))
    assert said(printed, "lacks: 1 of 2 block devices are ready: VirtualDisk nodisk does not exist; known: root")
    assert not said(diff(lab, blank("root") + machine("web", "root", cores=2)), "lacks")


def test_what_nobody_has_declared_is_among_what_comes_first(lab: Lab) -> None:
    printed = diff(lab, blank("root") + machine("web", "root", "nodisk"))
    assert said(printed, "after VirtualDisk root is Ready, and VirtualDisk nodisk is declared: start the machine")


def test_a_machine_that_waits_is_said_to_start_once_its_disk_is_declared(lab: Lab) -> None:
    lab.apply(blank("root") + machine("web", "root", "late"))
    text = blank("root") + blank("late") + machine("web", "root", "late")
    assert said(diff(lab, text), "after VirtualDisk late is Ready: start the machine")
    lab.apply(text)
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_a_running_machine_is_said_to_be_defined_anew_once_its_disk_is_declared(lab: Lab) -> None:
    lab.apply(WEB)
    printed = diff(lab, blank("root") + blank("late") + machine("web", "root", "late"))
    assert said(printed, "after VirtualDisk late is Ready: define the machine")


def test_what_no_host_would_take_is_not_said_to_start_later(lab: Lab) -> None:
    printed = diff(lab, blank("root") + machine("web", "root", extra="nodeSelector: {disktype: ssd}"))
    assert said(printed, "waits: after VirtualDisk root is Ready; then nodeSelector disktype=ssd is not a label of")
    assert not said(printed, "start the machine")


def test_an_edit_of_a_machine_that_finds_no_room_is_told(lab: Lab) -> None:
    lab.apply(blank("root") + machine("web", "root"))
    lab.apply(blank("root") + machine("web", "root", cores=16))
    ask(lab, "again", "Restart")
    printed = diff(lab, blank("root") + machine("web", "root", cores=32))
    assert said(printed, "~ cpu.cores: 16 → 32    at next start")
    assert said(printed, "waits: the host has")


@pytest.mark.parametrize("disks", [("root",), ("root", "nodisk")])
def test_what_a_machine_waits_for_now_and_later_is_told_once(lab: Lab, disks: tuple[str, ...]) -> None:
    lab.apply(blank("root"))
    printed = diff(lab, machine("web", *disks).replace("ClassName: host", "ClassName: nope"))
    (waits,) = (line for line in printed if "waits: " in line)
    assert waits.count("VirtualMachineClass nope does not exist") == 1
    assert "; then " not in waits


def test_nothing_is_announced_for_a_machine_that_is_paused(lab: Lab) -> None:
    paused = machine("web", "root").replace("{name: web}", "{name: web, annotations: {vmctl.dev/reconcile: Paused}}")
    printed = diff(lab, blank("root") + paused)
    assert not said(printed, "the machine")
    lab.apply(blank("root") + paused)
    assert lab.world.machines == {}


def test_what_changes_live_is_told_although_a_new_disk_has_to_come_first(lab: Lab) -> None:
    start = GATES + DISKS + machine("web", "root")
    running(lab, start)
    text = GATES + DISKS + blank("late") + machine("web", "root", "late", memory="96Mi")
    assert said(diff(lab, text), "    set the memory to 96Mi while the machine runs")


def test_a_restart_under_way_is_told_to_its_end(lab: Lab) -> None:
    """The process died between the request and the shutdown."""
    found = running(lab, WEB)
    assert found.running is not None
    request = Request("Restart", "somebody asked", nonce=found.running.nonce)
    with lab.session() as session:
        session.store.note(found.uid, NOTE, request.text())
    printed = diff(lab, WEB)
    assert said(printed, "    shut the machine down (somebody asked")
    assert said(printed, "    start the machine (somebody asked)")


def test_the_definition_of_a_new_machine_that_stays_off_is_told(lab: Lab) -> None:
    lab.apply(blank("root"))
    for policy in ("Manual", "AlwaysOff"):
        printed = diff(lab, blank("root") + machine("web", "root", extra=f"runPolicy: {policy}"))
        assert said(printed, "    define the machine")
        assert not said(printed, "start the machine")


def test_an_address_that_is_not_drawn_yet_is_not_named(lab: Lab) -> None:
    """A machine that was created while it was paused has none."""
    paused = WEB.replace("{name: web}", "{name: web, annotations: {vmctl.dev/reconcile: Paused}}")
    lab.apply(paused)
    printed = diff(lab, WEB)
    assert said(printed, "    reserve its address")
    assert not said(printed, "reserve 10.")


def test_what_an_operation_asks_for_is_told(lab: Lab) -> None:
    lab.apply(WEB)
    printed = diff(lab, WEB + operation("again", "Restart"))
    assert printed == [
        "+ virtualmachineoperation.virtualization.deckhouse.io/again",
        "    restart the machine (VirtualMachineOperation again)",
    ]
    printed = diff(lab, WEB + operation("on", "Start"))
    assert printed[1:] == ["    fails: the machine runs already"]


def test_what_is_not_made_yet_starts_over(lab: Lab) -> None:
    lab.apply(disk("root", "ubuntu"))
    other = disk("root", "debian")
    assert said(diff(lab, other), "~ dataSource.objectRef.name: ubuntu → debian    at once")
    lab.apply(other)


@pytest.mark.parametrize(
    ("size", "words"), [("16Mi", "live"), ("4Mi", "refused: a disk never shrinks"), ("8Mi", "written differently")]
)
def test_a_size_that_is_named_later_is_told_from_the_one_that_the_disk_has(
    lab: Lab, image_url: str, size: str, words: str
) -> None:
    """A disk whose manifest names none is as large as its image, 8 MiB."""
    lab.apply(image("os", image_url) + disk("root", "os"))
    named = image("os", image_url) + disk("root", "os", size)
    assert said(diff(lab, named), words)
    if size == "4Mi":
        with pytest.raises(ChangeRefused):
            lab.apply(named)
    else:
        lab.apply(named)
        assert diff(lab, named) == []


def test_a_class_that_is_named_later_is_told_from_the_one_that_the_disk_lies_in(lab: Lab) -> None:
    lab.apply(blank("root"))
    same, other = (blank("root", f"1Mi, storageClassName: {name}") for name in ("local", "fast"))
    assert not said(diff(lab, same), "refused")
    assert said(diff(lab, other), "refused: a disk stays in the storage class it was made in")
    with pytest.raises(ChangeRefused):
        lab.apply(other)
    lab.apply(same)


@pytest.mark.parametrize("policy", ["AlwaysOff", "AlwaysOn"])
def test_an_edit_of_a_machine_that_is_off_comes_with_its_next_start(lab: Lab, policy: str) -> None:
    lab.apply(GATES + blank("root") + machine("web", "root", extra="runPolicy: AlwaysOff"))
    text = GATES + blank("root") + machine("web", "root", cores=2, extra=f"runPolicy: {policy}")
    printed = diff(lab, text)
    assert "    ~ cpu.cores: 1 → 2    at next start" in printed
    assert said(printed, "    start the machine") == (policy == "AlwaysOn")
    lab.apply(text)
    assert diff(lab, text) == []


def test_an_edit_of_a_machine_that_is_switched_off_comes_with_its_next_start(lab: Lab) -> None:
    lab.apply(WEB)
    text = blank("root") + machine("web", "root", cores=2, extra="runPolicy: AlwaysOff")
    assert "    ~ cpu.cores: 1 → 2    at next start" in diff(lab, text)
