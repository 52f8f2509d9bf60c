"""`start`, `stop`, `restart`, `evict` as a user types them, on libvirt's own test driver."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vmctl.hypervisor.libvirt_driver import LibvirtDriver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Ran, World

VM = "virtualmachine.virtualization.deckhouse.io"
# A range that no network of the host has: what vmctl itself has set up there must not be in the way.
SETTINGS = """
apiVersion: deckhouse.io/v1alpha1
kind: ModuleConfig
metadata: {name: virtualization}
spec: {version: 1, settings: {virtualMachineCIDRs: [198.18.77.0/24]}}
---"""
DISK = """
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata: {{name: {name}}}
spec:
  persistentVolumeClaim: {{size: 1Mi}}
---"""
MACHINE = """
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata: {{name: {name}, labels: {{tier: {tier}}}}}
spec:
  virtualMachineClassName: host
  runPolicy: {policy}
  cpu: {{cores: 1, coreFraction: 5%}}
  memory: {{size: 64Mi}}
  blockDeviceRefs: [{{kind: VirtualDisk, name: {disk}}}]
---"""


class Host:
    """Machines `web` and `db` and the command line."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path

    def apply(self, *texts: str) -> Ran:
        self.path.write_text("".join(texts))
        return self.world.run("apply", "-q", "-f", str(self.path))

    def phase(self, name: str) -> str:
        return self.world.run("get", "vm", name, "-o", "jsonpath={.status.phase}").out

    def operations(self) -> list[str]:
        rows = self.world.run("get", "vmop", "--no-headers").lines
        return [" ".join(row.split()[1:4]) for row in rows]


def web(policy: str = "AlwaysOnUnlessStoppedManually", disk: str = "web-root") -> str:
    return MACHINE.format(name="web", tier="front", policy=policy, disk=disk)


def db(policy: str = "AlwaysOnUnlessStoppedManually") -> str:
    return MACHINE.format(name="db", tier="back", policy=policy, disk="db-root")


@pytest.fixture
def host(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Two machines that run."""
    monkeypatch.setenv("VMCTL_LIBVIRT_URI", "test:///default")
    keeper = LibvirtDriver("test:///default", "nobody", events=False)  # the last to leave takes all machines along
    keeper.listing()
    made = Host(world, tmp_path / "machines.yaml")
    try:
        ran = made.apply(SETTINGS, DISK.format(name="web-root"), DISK.format(name="db-root"), web(), db())
        assert ran.code == 0, ran.err + ran.out
        yield made
    finally:
        keeper.close()


def test_a_machine_is_stopped_started_and_restarted(host: Host) -> None:
    ran = host.world.run("stop", "web")
    assert (ran.code, ran.out) == (0, f"{VM}/web stopped\n")
    assert host.phase("web") == "Stopped"
    assert host.world.run("start", "web").out == f"{VM}/web started\n"
    assert host.world.run("restart", "web").out == f"{VM}/web restarted\n"
    assert host.phase("web") == "Running"
    assert sorted(host.operations()) == ["Completed Restart web", "Completed Start web", "Completed Stop web"]


def test_what_is_so_already_needs_no_operation(host: Host) -> None:
    ran = host.world.run("start", "web")
    assert (ran.code, ran.out) == (0, f"{VM}/web already running\n")
    host.world.run("stop", "web")
    ran = host.world.run("stop", "web")
    assert (ran.code, ran.out) == (0, f"{VM}/web already stopped\n")
    assert host.operations() == ["Completed Stop web"]


def test_a_refusal_comes_before_anything_is_made(host: Host) -> None:
    host.apply(web("AlwaysOn"))
    ran = host.world.run("stop", "web")
    assert (ran.code, ran.out) == (5, "")
    assert "not stopped: runPolicy AlwaysOn keeps the machine on" in ran.err
    assert "Stop needs runPolicy AlwaysOnUnlessStoppedManually or Manual" in ran.err
    assert host.operations() == []


def test_some_are_refused_and_the_others_are_not(host: Host) -> None:
    host.apply(db("AlwaysOn"))
    ran = host.world.run("stop", "--all")
    assert (ran.code, ran.out) == (3, f"{VM}/web stopped\n")
    assert f"{VM}/db not stopped" in ran.err


def test_machines_are_chosen_by_label(host: Host) -> None:
    assert host.world.run("stop", "-l", "tier=back").out == f"{VM}/db stopped\n"
    assert (host.phase("web"), host.phase("db")) == ("Running", "Stopped")
    nobody = host.world.run("stop", "-l", "tier=none")
    assert (nobody.code, nobody.out) == (0, "")
    assert "no machine in namespace default matches tier=none" in nobody.err


def test_a_kind_may_stand_in_front_as_in_other_verbs(host: Host) -> None:
    assert host.world.run("stop", "vm", "web", "db").out == f"{VM}/web stopped\n{VM}/db stopped\n"
    refused = host.world.run("stop", "vd", "web-root")
    assert (refused.code, refused.out) == (2, "")
    assert '"vd" is no machine' in refused.err
    host.apply(MACHINE.format(name="vm", tier="odd", policy="AlwaysOff", disk="vm-root"))
    both = host.world.run("start", "vm", "web")  # somebody calls a machine so
    assert both.lines == [f"{VM}/web started"]
    assert f"{VM}/vm not started" in both.err


@pytest.mark.parametrize("name", ["web.default", "vm/web", f"{VM}/web"])
def test_other_spellings_of_a_name(host: Host, name: str) -> None:
    assert host.world.run("restart", name).out == f"{VM}/web restarted\n"


@pytest.mark.parametrize("arguments", [(), ("web", "--all"), ("-l", "a=b", "--all"), ("vd/web",)])
def test_it_must_be_said_which(host: Host, arguments: tuple[str, ...]) -> None:
    assert host.world.run("restart", *arguments).code == 2


def test_one_that_is_not_there_stops_all(host: Host) -> None:
    ran = host.world.run("stop", "web", "nobody")
    assert ran.code == 4
    assert 'virtualmachines.virtualization.deckhouse.io "nobody" not found' in ran.err
    assert host.phase("web") == "Running"


def test_a_start_that_lacks_something_says_what(host: Host) -> None:
    host.world.run("stop", "web")
    host.apply(web(disk="missing"))
    ran = host.world.run("start", "web")
    assert ran.code == 0
    assert ran.out.startswith(f"{VM}/web start pending: ")
    assert "missing" in ran.out
    late = host.world.run("stop", "web")
    assert late.out == f"{VM}/web stopped\n"
    assert sorted(host.operations()) == ["Completed Stop web", "Completed Stop web", "Superseded Start web"]
    waited = host.world.run("start", "web", "--wait", "--timeout", "1s")
    assert waited.code == 6
    again = host.world.run("start", "web")
    assert again.code == 5
    assert "(Start) is not over yet" in again.err
    host.apply(DISK.format(name="missing"))
    assert host.phase("web") == "Running"


def test_what_would_not_come_up_again_is_not_restarted(host: Host) -> None:
    host.apply(web(disk="missing"))
    for arguments in ((), ("--force",), ("--create-only",)):
        ran = host.world.run("restart", "web", *arguments)
        assert (ran.code, ran.out) == (5, "")
        assert "a restart now would leave the machine off, because" in ran.err
        assert "VirtualDisk missing" in ran.err
        assert "mend that first, or `vmctl stop` it now and `vmctl start` it later" in ran.err
    assert (host.phase("web"), host.operations()) == ("Running", [])
    some = host.world.run("restart", "--all")
    assert (some.code, some.out) == (3, f"{VM}/db restarted\n")
    host.apply(DISK.format(name="missing"))
    assert host.world.run("restart", "web").out == f"{VM}/web restarted\n"


def test_what_the_host_has_no_room_for_is_not_restarted(host: Host) -> None:
    host.apply(web("AlwaysOn").replace("64Mi", "900Gi"))
    ran = host.world.run("restart", "web")
    assert (ran.code, ran.out) == (5, "")
    assert "web asks for 900Gi; mend that first\n" in ran.err
    assert host.phase("web") == "Running"
    host.apply(web("AlwaysOn"))
    assert host.world.run("restart", "web").out == f"{VM}/web restarted\n"


def test_nothing_changed_and_it_would_not_come_up_again(host: Host) -> None:
    """No change waits, so no condition tells of it; a label that the host lacks counts from the next start on."""
    host.apply(web().replace("runPolicy", "nodeSelector: {disktype: ssd}\n  runPolicy"))
    ran = host.world.run("restart", "web")
    assert (ran.code, ran.out) == (5, "")
    assert "disktype=ssd is not a label of" in ran.err


def test_nothing_can_be_moved_from_the_only_host(host: Host) -> None:
    ran = host.world.run("evict", "web")
    assert (ran.code, ran.out) == (3, "")
    assert "no other host" in ran.err
    assert host.operations() == ["Failed Evict web"]


def test_the_operation_alone(host: Host) -> None:
    ran = host.world.run("restart", "web", "--create-only")
    assert ran.code == 0
    assert ran.out.startswith("virtualmachineoperation.virtualization.deckhouse.io/restart-web-")
    assert "no engine is at work" in ran.err
    name = ran.out.split()[0].rpartition("/")[2]
    assert host.world.run("wait", f"vmop/{name}", "--for=condition=Completed").code == 0
    assert "Completed" in host.world.run("describe", "vmop", name).out


def test_an_engine_at_work_is_told_of_the_operation(host: Host) -> None:
    host.world.work()
    ran = host.world.run("restart", "web", "--create-only")
    assert (ran.code, ran.err) == (0, "")
    name = ran.out.split()[0].rpartition("/")[2]
    (request,) = host.world.store.requests()
    assert [(key.kind, key.name) for key in request.keys] == [("VirtualMachineOperation", name)]
    host.world.rest()


def test_who_is_not_named_is_not_cut_off(host: Host) -> None:
    ran = host.world.run("stop", "--all", "--force")
    assert ran.code == 2
    assert "no machine is named" in ran.err
    assert (host.phase("web"), host.phase("db")) == ("Running", "Running")
    assert host.world.run("stop", "--all", "--force", "--yes").code == 0
    assert (host.phase("web"), host.phase("db")) == ("Stopped", "Stopped")


def test_operations_are_created_as_the_platform_shows_it(host: Host) -> None:
    text = {
        "apiVersion": "virtualization.deckhouse.io/v1alpha2",
        "kind": "VirtualMachineOperation",
        "metadata": {"generateName": "restart-web-"},
        "spec": {"virtualMachineName": "web", "type": "Restart"},
    }
    host.path.write_text(json.dumps(text))
    ran = host.world.run("create", "-f", str(host.path))
    assert ran.code == 0
    assert ran.out.endswith(" created\n")
    heading, row = host.world.run("get", "vmop").lines
    assert heading.split() == ["NAME", "PHASE", "TYPE", "VIRTUALMACHINE", "AGE"]
    assert row.split()[1:4] == ["Completed", "Restart", "web"]
    assert host.world.run("get", "vmop", "-o", "name").out == ran.out.replace(" created", "")


@pytest.mark.parametrize("act", ["Restore", "Clone"])
def test_what_is_not_carried_out_yet_is_refused(host: Host, act: str) -> None:
    block: dict[str, dict[str, object]] = {
        "Restore": {"restore": {"mode": "Strict", "virtualMachineSnapshotName": "s"}},
        "Clone": {"clone": {"mode": "Strict", "customization": {"namePrefix": "a"}}},
    }
    text = {
        "apiVersion": "virtualization.deckhouse.io/v1alpha2",
        "kind": "VirtualMachineOperation",
        "metadata": {"name": "later"},
        "spec": {"virtualMachineName": "web", "type": act, **block[act]},
    }
    host.path.write_text(json.dumps(text))
    ran = host.world.run("apply", "-f", str(host.path))
    assert ran.code == 2
    assert f"{act} is not carried out by this version" in ran.err
    assert host.world.run("validate", "-f", str(host.path)).code == 0
