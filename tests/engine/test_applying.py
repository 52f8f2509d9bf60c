"""What apply does and does not do, over a hypervisor in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine import manifests as texts
from tests.memory_driver import MemoryDriver
from vmctl.engine import applying
from vmctl.errors import ChangeRefused, HypervisorError, Rejected
from vmctl.planning import conditions
from vmctl.planning.observed import Guest
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from vmctl.planning.objects import Object
    from vmctl.planning.observed import Domain

WEB = texts.blank("root") + texts.machine("web", "root")
VM = Key("VirtualMachine", "default", "web")
DISK = Key("VirtualDisk", "default", "root")


def condition(item: Object | None, kind: str) -> tuple[str, str, str]:
    assert item is not None
    found = conditions.find(item.status, kind)
    assert found is not None, f"{kind} is not there"
    return found["status"], found["reason"], found["message"]


def files(lab: Lab) -> list[str]:
    return sorted(path.name for path in (lab.state / "storage" / "local").glob("*.qcow2"))


def test_a_machine_runs_after_one_apply(lab: Lab) -> None:
    result = lab.apply(WEB)
    assert not result.failed
    assert lab.phase("VirtualDisk", "root") == "Ready"
    assert lab.phase("VirtualMachine", "web") == "Running"
    machine = lab.world.machines[lab.uid("web")]
    assert machine.running is not None
    assert machine.running.memory_kib == 64 * 1024
    assert [disk.alias for disk in machine.running.disks] == ["ua-spec-vd-root"]


def test_a_second_apply_does_nothing(lab: Lab) -> None:
    lab.apply(WEB)
    before = lab.world.machines[lab.uid("web")]
    changes, steps = before.changes, len(lab.death.seen)
    lab.apply(WEB)
    assert len(lab.death.seen) == steps
    assert lab.world.machines[lab.uid("web")].changes == changes


def test_an_idle_apply_runs_no_pass(lab: Lab) -> None:
    lab.apply(WEB)
    with lab.session() as session:
        assert session.unsettled() == []


@pytest.mark.parametrize("drift", ["destroyed", "undefined", "file gone", "agent came"])
def test_what_moves_behind_our_back_is_looked_at_again(lab: Lab, drift: str) -> None:
    lab.apply(WEB)
    uid = lab.uid("web")
    match drift:
        case "destroyed":
            lab.world.crash(uid)
        case "undefined":
            del lab.world.machines[uid]
        case "file gone":
            next((lab.state / "storage" / "local").glob("*.qcow2")).unlink()
        case _:
            lab.world.boot_finished(uid, Guest({"id": "debian"}))
    with lab.session() as session:
        assert session.unsettled()


def test_an_edit_of_a_running_machine_waits_and_reverting_it_empties_the_queue(lab: Lab) -> None:
    lab.apply(WEB)
    nonce = lab.world.machines[lab.uid("web")].running
    lab.apply(texts.blank("root") + texts.machine("web", "root", cores=2))
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    assert item.status["restartAwaitingChanges"] == [
        {"currentValue": 1, "desiredValue": 2, "operation": "replace", "path": "cpu.cores"}
    ]
    assert condition(item, "AwaitingRestartToApplyConfiguration")[0] == "True"
    lab.apply(WEB)
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    assert "restartAwaitingChanges" not in item.status
    assert conditions.find(item.status, "AwaitingRestartToApplyConfiguration") is None
    assert lab.world.machines[lab.uid("web")].running is nonce


def test_the_definition_follows_the_manifest_while_the_machine_runs_on(lab: Lab) -> None:
    lab.apply(WEB)
    lab.apply(texts.blank("root") + texts.machine("web", "root", cores=2))
    machine = lab.world.machines[lab.uid("web")]
    assert machine.defined is not None
    assert machine.running is not None
    assert (machine.defined.cpu.cores, machine.running.cpu.cores) == (2, 1)


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        ("AlwaysOn", "Running"),
        ("AlwaysOnUnlessStoppedManually", "Stopped"),
        ("Manual", "Stopped"),
    ],
)
def test_a_guest_that_powers_itself_off(lab: Lab, policy: str, ends: str) -> None:
    text = texts.blank("root") + texts.machine("web", "root", extra=f"runPolicy: {policy}")
    lab.apply(text)
    if policy == "Manual":
        assert lab.phase("VirtualMachine", "web") == "Stopped"
        return
    lab.world.power_off_inside(lab.uid("web"))
    lab.apply(text)
    assert lab.phase("VirtualMachine", "web") == ends


def test_a_crashed_machine_and_a_restarted_host_come_back(lab: Lab) -> None:
    lab.apply(WEB)
    lab.world.crash(lab.uid("web"))
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Running"
    lab.world.restart_host()
    lab.boot = "boot-2"
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_always_off_switches_a_running_machine_off(lab: Lab) -> None:
    lab.apply(WEB)
    lab.apply(texts.blank("root") + texts.machine("web", "root", extra="runPolicy: AlwaysOff"))
    assert lab.phase("VirtualMachine", "web") == "Stopped"


def test_a_guest_that_does_not_listen_is_cut_off_after_its_grace_period(lab: Lab) -> None:
    lab.apply(texts.blank("root") + texts.machine("web", "root", extra="terminationGracePeriodSeconds: 7"))
    lab.world.machines[lab.uid("web")].hears_shutdown = False
    before = lab.clock.now()
    lab.delete(VM)
    assert lab.phase("VirtualMachine", "web") == "gone"
    assert 7 <= lab.clock.now() - before < 9


def test_a_disk_is_never_removed_while_a_machine_may_have_it_open(lab: Lab) -> None:
    """Also not when the manifest no longer names it, for the machine keeps it until its next restart."""
    lab.apply(texts.blank("root") + texts.blank("data") + texts.machine("web", "root", "data"))
    lab.apply(texts.blank("root") + texts.blank("data") + texts.machine("web", "root"))
    lab.delete(Key("VirtualDisk", "default", "data"))
    assert lab.phase("VirtualDisk", "data") == "Terminating"
    assert len(files(lab)) == 2
    lab.delete(VM)
    assert lab.phase("VirtualDisk", "data") == "gone"
    assert len(files(lab)) == 1


def test_a_machine_that_is_deleted_and_still_runs_keeps_its_disk(lab: Lab) -> None:
    lab.apply(WEB)
    uid = lab.uid("web")
    lab.world.machines[uid].refuses_start = None
    lab.world.machines[uid].hears_shutdown = False
    with lab.session() as session:
        session.store.mark_deleted(VM)
        session.store.mark_deleted(DISK)
        session.ledger.refresh()
        session.cancel()  # the shutdown is interrupted at once
        session.converge([VM, DISK])
    assert lab.world.machines[uid].running is not None
    assert len(files(lab)) == 1
    assert lab.phase("VirtualDisk", "root") == "Terminating"


def test_delete_by_file_keeps_data_unless_the_annotation_says_otherwise(lab: Lab) -> None:
    lab.apply(
        texts.blank("root")
        + texts.blank("scratch").replace(
            "{name: scratch}", "{name: scratch, annotations: {vmctl.dev/deletion-policy: Delete}}"
        )
    )
    lab.delete(DISK, Key("VirtualDisk", "default", "scratch"), by_name=False)
    assert lab.phase("VirtualDisk", "root") == "Ready"
    assert lab.phase("VirtualDisk", "scratch") == "gone"


def test_the_second_machine_waits_for_the_disk_and_says_for_whom(lab: Lab) -> None:
    two = WEB + texts.machine("db", "root")
    lab.apply(WEB)
    lab.apply(two)
    status, reason, message = condition(lab.get("VirtualMachine", "db"), "BlockDevicesReady")
    assert (status, reason) == ("False", "BlockDevicesNotReady")
    assert "VirtualMachine web" in message
    assert lab.phase("VirtualMachine", "db") == "Pending"
    lab.delete(VM)
    assert lab.phase("VirtualMachine", "db") == "Running"


def test_two_machines_that_want_one_disk_at_once_do_not_both_start(lab: Lab) -> None:
    lab.apply(WEB + texts.machine("db", "root"))
    assert sorted([lab.phase("VirtualMachine", "web"), lab.phase("VirtualMachine", "db")]) == ["Pending", "Running"]


def test_a_machine_without_room_stays_pending_and_says_why(lab: Lab) -> None:
    lab.apply(texts.blank("root") + texts.machine("web", "root", memory="100Gi"))
    item = lab.get("VirtualMachine", "web")
    assert lab.phase("VirtualMachine", "web") == "Pending"
    assert "32Gi" in condition(item, "Running")[2]
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_guaranteed_shares_are_not_promised_twice(lab: Lab) -> None:
    first = texts.blank("a") + texts.machine("one", "a", cores=6)
    second = texts.blank("b") + texts.machine("two", "b", cores=4)
    lab.apply(first)
    lab.apply(first + second)
    assert lab.phase("VirtualMachine", "two") == "Pending"
    assert "2 of them" in condition(lab.get("VirtualMachine", "two"), "Running")[2]
    lab.apply(first + second.replace("{cores: 4}", "{cores: 4, coreFraction: 50%}"))
    assert lab.phase("VirtualMachine", "two") == "Running"


def test_a_domain_that_is_not_ours_is_left_alone(lab: Lab) -> None:
    foreign = "11111111-1111-4111-8111-111111111111"
    lab.world.add_foreign(foreign, "web")
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Pending"
    assert foreign in condition(lab.get("VirtualMachine", "web"), "Running")[2]
    assert lab.world.machines[foreign].defined is None
    lab.delete(VM)
    assert foreign in lab.world.machines


def test_a_refused_start_says_so_and_the_next_apply_tries_again(lab: Lab) -> None:
    lab.apply(texts.blank("root") + texts.machine("web", "root", extra="runPolicy: AlwaysOff"))
    uid = lab.uid("web")
    lab.world.machines[uid].refuses_start = Rejected("QEMU says no", remedy="say please")
    result = lab.apply(WEB)
    assert VM in result.failed
    assert lab.phase("VirtualMachine", "web") == "Pending"
    status, reason, message = condition(lab.get("VirtualMachine", "web"), "Running")
    assert (status, reason) == ("False", "InternalVirtualMachineError")
    assert "QEMU says no; say please" in message
    lab.world.machines[uid].refuses_start = None
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_what_may_pass_is_tried_again_later_not_in_a_loop(lab: Lab) -> None:
    lab.apply(texts.blank("root") + texts.machine("web", "root", extra="runPolicy: AlwaysOff"))
    uid = lab.uid("web")
    lab.world.machines[uid].refuses_start = HypervisorError("busy with something else")
    steps = len(lab.death.seen)
    lab.apply(WEB)
    assert [name for name in lab.death.seen[steps:] if name.endswith(" Start")] == ["VirtualMachine Start"]
    assert "tried again (attempt 2)" in condition(lab.get("VirtualMachine", "web"), "Running")[2]


def test_missing_pieces_are_all_named_and_the_machine_starts_when_they_come(lab: Lab) -> None:
    wanted = texts.machine("web", "root", extra="provisioning: {type: UserDataRef, userDataRef: {name: seed}}")
    lab.apply(wanted.replace("virtualMachineClassName: host", "virtualMachineClassName: big"))
    item = lab.get("VirtualMachine", "web")
    assert "known: generic, host" in condition(item, "VirtualMachineClassReady")[2]
    assert "VirtualDisk root does not exist" in condition(item, "BlockDevicesReady")[2]
    assert "Secret seed does not exist" in condition(item, "ProvisioningReady")[2]
    secret = """
apiVersion: v1
kind: Secret
metadata: {name: seed}
type: provisioning.virtualization.deckhouse.io/cloud-init
stringData: {userData: "#cloud-config"}
---"""
    lab.apply(wanted + secret + texts.blank("root"))
    assert lab.phase("VirtualMachine", "web") == "Running"


@pytest.mark.parametrize(
    ("new", "path"),
    [
        (texts.blank("root", "512Ki"), "persistentVolumeClaim.size"),
        (texts.disk("root", "os"), "spec.dataSource"),
    ],
)
def test_what_would_lose_data_is_refused_and_nothing_is_changed(lab: Lab, new: str, path: str) -> None:
    lab.apply(WEB)
    with pytest.raises(ChangeRefused, match=path):
        lab.apply(new + texts.machine("web", "root", cores=2))
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    assert item.generation == 1


def test_a_disk_grows_offline_and_online(lab: Lab) -> None:
    lab.apply(texts.blank("root", "1Mi"))
    lab.apply(texts.blank("root", "2Mi"))
    item = lab.get("VirtualDisk", "root")
    assert item is not None
    assert item.status["capacity"] == "2Mi"


def test_lost_data_is_said_and_never_replaced_by_an_empty_disk(lab: Lab) -> None:
    lab.apply(WEB)
    (lab.state / "storage" / "local" / files(lab)[0]).unlink()
    lab.apply(WEB)
    assert lab.phase("VirtualDisk", "root") == "PVCLost"
    assert files(lab) == []


def test_an_image_under_a_disk_goes_with_its_last_user(lab: Lab, image_url: str) -> None:
    lab.apply(texts.image("os", image_url) + texts.disk("root", "os"))
    lab.delete(Key("VirtualImage", "default", "os"))
    assert lab.phase("VirtualImage", "os") == "gone"
    assert len(files(lab)) == 2
    lab.delete(DISK)
    assert files(lab) == []


def test_an_image_made_again_is_another_image(lab: Lab, image_url: str) -> None:
    lab.apply(texts.image("os", image_url) + texts.disk("root", "os"))
    lab.delete(Key("VirtualImage", "default", "os"))
    lab.apply(texts.image("os", image_url) + texts.disk("root", "os"))
    assert lab.phase("VirtualImage", "os") == "Ready"
    assert len(files(lab)) == 3


def test_addresses_stay_and_are_given_back(lab: Lab) -> None:
    lab.apply(WEB)
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    address = item.status["ipAddress"]
    lease = f"ip-{address.replace('.', '-')}"
    assert lab.phase("VirtualMachineIPAddressLease", lease) == "Bound"
    lab.delete(VM)
    assert lab.phase("VirtualMachineIPAddressLease", lease) == "Released"
    lab.clock.sleep(601)
    lab.resume()
    assert lab.phase("VirtualMachineIPAddressLease", lease) == "gone"


def test_the_network_goes_with_the_last_machine_and_comes_with_the_next(lab: Lab) -> None:
    lab.apply(WEB)
    assert lab.world.networks
    lab.delete(VM)
    assert not lab.world.networks
    lab.apply(WEB)
    assert lab.world.networks


def test_what_the_host_has_is_promised_once_also_to_machines_that_start_together(lab: Lab) -> None:
    names = [f"m{number}" for number in range(10)]
    lab.apply(
        "".join(texts.blank(f"{name}-disk") + texts.machine(name, f"{name}-disk", memory="8Gi") for name in names)
    )
    running = [name for name in names if lab.phase("VirtualMachine", name) == "Running"]
    assert len(running) == 4  # of a host with 32 GiB


def test_one_machine_that_cannot_be_looked_at_stops_no_other(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.apply(WEB)
    blind = lab.uid("web")
    lab.world.crash(blind)
    observe = MemoryDriver.observe

    def stumbling(driver: MemoryDriver, uid: str) -> Domain | None:
        if uid == blind:
            raise HypervisorError("libvirt hiccups")
        return observe(driver, uid)

    monkeypatch.setattr(MemoryDriver, "observe", stumbling)
    result = lab.apply(WEB + texts.blank("other") + texts.machine("db", "other"))
    assert result.failed == {VM: "libvirt hiccups"}
    assert lab.phase("VirtualMachine", "db") == "Running"
    monkeypatch.undo()
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Running"


def test_a_finalizer_holds_data_until_it_is_taken_away(lab: Lab) -> None:
    """The machine is switched off and undefined; its object, and the disk with its bytes, wait for who put it there."""
    held = WEB.replace("{name: root}", "{name: root, finalizers: [example.org/backup]}").replace(
        "{name: web}", "{name: web, finalizers: [example.org/audit]}"
    )
    lab.apply(held)
    uid = lab.uid("web")
    lab.delete(VM, DISK)
    assert uid not in lab.world.machines
    assert (lab.phase("VirtualMachine", "web"), lab.phase("VirtualDisk", "root")) == ("Terminating", "Terminating")
    assert len(files(lab)) == 1
    with pytest.raises(ChangeRefused, match="is being deleted"):
        lab.apply(texts.blank("root", "2Mi"))
    lab.apply(WEB)
    assert (lab.phase("VirtualMachine", "web"), lab.phase("VirtualDisk", "root")) == ("gone", "gone")
    assert files(lab) == []


def test_a_wait_ends_when_what_it_waits_for_has_failed_for_good(lab: Lab) -> None:
    lab.apply(texts.blank("root") + texts.machine("web", "root", extra="runPolicy: Manual"))
    lab.world.machines[lab.uid("web")].refuses_start = Rejected("QEMU refuses it")
    key = Key("VirtualMachine", "default", "web")
    manifests = lab.load(texts.blank("root") + texts.machine("web", "root", extra="runPolicy: AlwaysOn"))
    with lab.session() as session:
        applying.store_all(session.store, session.ledger, manifests)
        result = session.converge([key], goal=[key], timeout_s=600.0)
    assert (key in result.failed, result.timed_out) == (True, False)


@pytest.mark.parametrize("policy", ["AlwaysOff", "AlwaysOn"])
def test_the_medium_is_written_where_it_changes_and_not_with_every_definition(
    lab: Lab, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    def steps(cores: int, words: str) -> list[str]:
        caplog.clear()
        seed = f"runPolicy: {policy}\n  provisioning: {{type: UserData, userData: '#cloud-config {words}'}}"
        with caplog.at_level("INFO", logger="vmctl.engine.executing"):
            lab.apply(texts.blank("root") + texts.machine("web", "root", cores=cores, extra=seed))
        known = ("write the cloud-init medium", "define the machine")
        return [said for text in caplog.messages if (said := text.partition("web: ")[2]) in known]

    assert steps(1, "one") == ["write the cloud-init medium", "define the machine"]
    assert steps(2, "one") == ["define the machine"]
    assert steps(2, "two") == ["write the cloud-init medium", "define the machine"]
