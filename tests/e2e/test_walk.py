"""The guide's walk "Change virtual machine configuration" in all its variants, with the daemon at work."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Daemon, Guest, Manifests, Product, disk, image
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http_images import ImageServer

MACHINE = """\
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata:
  name: linux-vm
spec:
  virtualMachineClassName: host
  cpu:
    cores: 1  # one is enough for now
    coreFraction: 10%
  memory:
    size: 256Mi
  blockDeviceRefs:
    - kind: VirtualDisk
      name: linux-disk
"""
ENTRY = {"currentValue": 1, "desiredValue": 2, "operation": "replace", "path": "cpu.cores"}
PATCHED = ["virtualmachine.virtualization.deckhouse.io/linux-vm patched"]


@dataclass(frozen=True)
class Walk:
    """The machine of the guide, declared in a directory that a daemon watches."""

    product: Product
    directory: Manifests
    daemon: Daemon
    guest: Guest

    def patch(self, spec: str) -> list[str]:
        """What `vmctl patch` says, called as the guide has it."""
        return self.product.run("patch", "vm", "linux-vm", "--type", "merge", "-p", f'{{"spec":{spec}}}').lines

    def wants(self, cores: int, *, waits: bool) -> None:
        """Have the manifest say so many cores, and see that this waits, or that nothing does any more."""
        self.patch(f'{{"cpu":{{"cores":{cores}}}}}')
        until(lambda: bool(self.waiting()) == waits, "the change in the list" if waits else "an empty list")

    def waiting(self) -> object:
        """What `get` prints of the changes that wait."""
        out = self.product.run("get", "vm", "linux-vm", "-o", "jsonpath={.status.restartAwaitingChanges}").out
        return json.loads(out) if out.strip() else []

    def wide(self) -> dict[str, str]:
        """The row of `get vm linux-vm -o wide`, by heading, up to the columns of this host."""
        heading, row = self.product.run("get", "vm", "linux-vm", "-o", "wide").lines
        names = heading.replace("NEED RESTART", "NEED_RESTART").split()
        return dict(zip(names, row.split(), strict=True))

    def diff(self, cores: int) -> str:
        """What `diff` says of another number of cores."""
        return self.product.run("diff", "-f", "-", stdin=MACHINE.replace("cores: 1", f"cores: {cores}"), code=1).out


@pytest.fixture(scope="module")
def walk(product: Product, images: ImageServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    directory = Manifests(tmp_path_factory.mktemp("walk"))
    directory.write(image("linux", images.url("guest.qcow2")), disk("linux-disk", "linux"))
    (directory.path / "linux-vm.yaml").write_text(MACHINE)
    with product.daemon(directory.path) as daemon:
        yield Walk(product, directory, daemon, product.booted("linux-vm"))


def test_an_edit_waits_and_everything_says_so(walk: Walk) -> None:
    pid = walk.guest.pid
    [_, change, *rest] = walk.diff(cores=2).splitlines()
    assert change == (
        "    ~ cpu.cores: 1 → 2    at next restart: the hardware is built at start; "
        "live with feature gate HotplugCPUAndMemoryWithInPlaceResize, from the next start on"
    )
    assert [line.strip() for line in rest] == ["define the machine"]

    assert walk.patch('{"cpu":{"cores":2}}') == PATCHED
    assert "cores: 2  # one is enough for now" in (walk.directory.path / "linux-vm.yaml").read_text()
    until(walk.waiting, "the change in the list")
    assert walk.waiting() == [ENTRY]
    row = walk.wide()
    assert (row["PHASE"], row["CORES"], row["MEMORY"], row["NEED_RESTART"]) == ("Running", "2", "256Mi", "True")
    assert walk.guest.sh("nproc") == "1"
    assert walk.guest.pid == pid


def test_an_edit_that_is_taken_back_leaves_nothing(walk: Walk) -> None:
    pid = walk.guest.pid
    walk.wants(2, waits=True)
    walk.wants(1, waits=False)
    conditions = {item["type"] for item in walk.product.status("vm", "linux-vm")["conditions"]}
    assert not conditions & {"AwaitingRestartToApplyConfiguration", "ConfigurationApplied"}
    assert walk.wide()["NEED_RESTART"] == "False"
    assert walk.guest.sh("nproc") == "1"
    assert walk.guest.pid == pid


def test_a_reboot_inside_with_nothing_waiting_is_the_guests_own_business(walk: Walk) -> None:
    walk.wants(1, waits=False)
    pid, boot = walk.guest.pid, walk.guest.boot()
    walk.guest.write("sleep 0.2; reboot")
    walk.guest.booted_since(boot)
    assert walk.guest.pid == pid
    assert not walk.product.events("linux-vm", "Restarted")


def test_a_reboot_inside_brings_what_waits(walk: Walk) -> None:
    walk.wants(2, waits=True)
    walk.guest.sh("echo kept >/disk/mark")
    pid, boot = walk.guest.pid, walk.guest.boot()
    walk.guest.write("sleep 0.2; reboot")
    walk.guest.booted_since(boot)
    assert walk.guest.sh("nproc") == "2"
    assert walk.guest.sh("cat /disk/mark") == "kept"
    assert walk.guest.pid != pid
    until(lambda: not walk.waiting(), "an empty list")
    assert walk.wide()["NEED_RESTART"] == "False"
    [told] = walk.product.events("linux-vm", "Restarted")
    assert "its guest rebooted, and changes waited for that" in told


def test_an_approved_restart_comes_by_itself_and_once(walk: Walk) -> None:
    runs = int(walk.guest.sh("nproc"))
    wanted = 3 - runs
    walk.wants(runs, waits=False)
    pid, boot = walk.guest.pid, walk.guest.boot()
    walk.patch('{"disruptions":{"restartApprovalMode":"Automatic"}}')
    assert walk.guest.pid == pid, "an approval alone restarts nothing"

    walk.patch(f'{{"cpu":{{"cores":{wanted}}}}}')
    walk.guest.booted_since(boot)
    assert walk.guest.sh("nproc") == str(wanted)
    until(lambda: not walk.waiting(), "an empty list")
    pid = walk.guest.pid
    walk.patch('{"disruptions":{"restartApprovalMode":"Manual"}}')
    told = walk.product.events("linux-vm", "Restarted")
    assert len([line for line in told if "restartApprovalMode Automatic" in line]) == 1
    assert walk.guest.pid == pid
