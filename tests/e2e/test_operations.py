"""Start, stop and restart as a user types them, without a daemon, asserting inside the guest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Document, Product, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    from tests.http_images import ImageServer

VM = "virtualmachine.virtualization.deckhouse.io/linux-vm"


@pytest.fixture(scope="module")
def base(product: Product, images: ImageServer) -> tuple[Document, ...]:
    """A machine that has booted, and what it needs."""
    needs = (image("linux", images.url("guest.qcow2")), disk("linux-disk", "linux"))
    product.apply(*needs, machine("linux-vm", "vd/linux-disk"))
    product.booted("linux-vm")
    return needs


def test_the_guides_restart(product: Product, base: tuple[Document, ...]) -> None:
    guest = product.guest("linux-vm")
    assert guest.sh("nproc") == "1"
    patched = product.run("patch", "vm", "linux-vm", "--type", "merge", "-p", '{"spec":{"cpu":{"cores":2}}}')
    assert patched.lines == [f"{VM} patched"]
    assert guest.sh("nproc") == "1"
    printed = product.run("get", "vm", "linux-vm", "-o", "jsonpath={.status.restartAwaitingChanges}").out
    assert json.loads(printed) == [{"currentValue": 1, "desiredValue": 2, "operation": "replace", "path": "cpu.cores"}]
    heading, row = product.run("get", "vm", "linux-vm", "-o", "wide").lines
    assert row[heading.index("NEED RESTART") :].split()[0] == "True"

    assert product.run("restart", "linux-vm").lines == [f"{VM} restarted"]
    product.booted("linux-vm")
    assert guest.sh("nproc") == "2"
    assert product.waiting("linux-vm") == []
    heading, row = product.run("get", "vmop").lines
    assert heading.split() == ["NAME", "PHASE", "TYPE", "VIRTUALMACHINE", "AGE"]
    assert row.split()[1:4] == ["Completed", "Restart", "linux-vm"]
    pid = guest.pid
    product.apply(*base)
    assert guest.pid == pid, "a restart is made once"


def test_a_stop_that_comes_too_early_is_repeated_until_the_guest_listens(
    product: Product, base: tuple[Document, ...]
) -> None:
    guest = product.guest("linux-vm")
    product.run("restart", "linux-vm", "--force")
    assert product.run("stop", "linux-vm").lines == [f"{VM} stopped"]
    until(lambda: not guest.live.isActive(), "the machine is off")
    assert product.phase("vm", "linux-vm") == "Stopped"
    assert not product.events("linux-vm", "PowerCut")
    product.apply(*base)
    assert product.run("stop", "linux-vm").lines == [f"{VM} already stopped"]


def test_a_guest_that_does_not_listen_in_time_loses_its_power(product: Product, base: tuple[Document, ...]) -> None:
    product.apply(machine("linux-vm", "vd/linux-disk", terminationGracePeriodSeconds=1))
    assert product.run("start", "linux-vm").lines == [f"{VM} started"]
    assert product.run("stop", "linux-vm").lines == [f"{VM} stopped"]
    (cut,) = product.events("linux-vm", "PowerCut")
    assert "did not power off within 1 s" in cut
    assert "VirtualMachineOperation stop-linux-vm-" in cut
