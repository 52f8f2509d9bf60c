"""A machine that runs while its manifest changes, loses a disk, is killed, and is switched off by its own guest."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Document, Guest, Product, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    from tests.http_images import ImageServer

MORE_CORES = {"cores": 2, "coreFraction": "5%"}


@pytest.fixture(scope="module")
def base(images: ImageServer) -> tuple[Document, ...]:
    return (
        image("guest", images.url("guest.qcow2")),
        disk("root", "guest"),
        disk("data", size="64Mi"),
    )


@pytest.fixture(scope="module")
def guest(product: Product, base: tuple[Document, ...]) -> Guest:
    """A booted machine with a system disk and one for data."""
    product.apply(*base, machine("web", "vd/root", "vd/data"))
    return product.booted("web")


def need_restart(product: Product) -> str:
    """The column NEED RESTART of `get vm -o wide`."""
    heading, row = product.run("get", "vm", "web", "-o", "wide").lines
    return row[heading.index("NEED RESTART") :].split()[0]


def test_a_change_of_cores_waits_for_a_restart_and_can_be_taken_back(
    product: Product, base: tuple[Document, ...], guest: Guest
) -> None:
    pid = guest.pid
    assert need_restart(product) == "False"

    product.apply(machine("web", "vd/root", "vd/data", cpu=MORE_CORES))
    assert guest.sh("nproc") == "1"
    assert product.status("vm", "web")["restartAwaitingChanges"] == [
        {"currentValue": 1, "desiredValue": 2, "operation": "replace", "path": "cpu.cores"}
    ]
    assert product.condition("vm", "web", "AwaitingRestartToApplyConfiguration")["status"] == "True"
    assert need_restart(product) == "True"
    assert product.status("vm", "web")["resources"]["cpu"]["cores"] == 1
    assert guest.pid == pid

    product.apply(machine("web", "vd/root", "vd/data"))
    status = product.status("vm", "web")
    assert "restartAwaitingChanges" not in status
    assert not [item for item in status["conditions"] if item["type"] == "AwaitingRestartToApplyConfiguration"]
    assert need_restart(product) == "False"
    assert guest.sh("nproc") == "1"
    assert guest.pid == pid


def test_labels_change_at_once(product: Product, guest: Guest) -> None:
    pid = guest.pid
    labelled = machine("web", "vd/root", "vd/data")
    labelled["metadata"]["labels"] = {"tier": "front"}
    product.apply(labelled)
    assert product.run("get", "vm", "-l", "tier=front", "-o", "name").lines == [
        "virtualmachine.virtualization.deckhouse.io/web"
    ]
    assert "restartAwaitingChanges" not in product.status("vm", "web")
    assert guest.pid == pid


def test_a_killed_machine_is_started_again_with_what_waited(product: Product, guest: Guest) -> None:
    product.apply(machine("web", "vd/root", "vd/data", cpu=MORE_CORES))
    guest.sh("echo kept >/disk/mark")
    pid = guest.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not guest.live.isActive(), "libvirt's notice of the end")
    product.apply(machine("web", "vd/root", "vd/data", cpu=MORE_CORES))
    product.booted("web")
    assert guest.pid != pid
    assert guest.sh("nproc") == "2"
    assert guest.sh("cat /disk/mark") == "kept"
    status = product.status("vm", "web")
    assert "restartAwaitingChanges" not in status
    assert status["resources"]["cpu"]["cores"] == 2


def test_a_disk_that_leaves_the_manifest_stays_until_the_machine_is_off(product: Product, guest: Guest) -> None:
    serial = guest.sh("cd /sys/block && for d in sd*; do [ $(cat $d/size) = 131072 ] && echo $d; done | tail -n 1")
    guest.sh(f"printf 'precious' | dd of=/dev/{serial} conv=notrunc,fsync 2>/dev/null")
    file = product.layer("data")

    product.apply(machine("web", "vd/root", cpu=MORE_CORES))
    [waits] = product.status("vm", "web")["restartAwaitingChanges"]
    assert (waits["operation"], waits["path"]) == ("remove", "blockDeviceRefs.1")
    answer = product.run("delete", "vd", "data")
    assert "terminating" in answer.out
    assert "web" in answer.out
    assert product.phase("vd", "data") == "Terminating"
    assert file.exists()
    guest.sh("echo 3 >/proc/sys/vm/drop_caches")
    assert guest.sh(f"dd if=/dev/{serial} bs=8 count=1 2>/dev/null") == "precious"


def test_a_machine_that_its_guest_switched_off_stays_off(product: Product, guest: Guest) -> None:
    wanted = machine("web", "vd/root", cpu=MORE_CORES)
    file = product.layer("data")
    guest.write("sleep 0.2; poweroff")
    until(lambda: not guest.live.isActive(), "the end of the guest")
    product.apply(wanted)
    status = product.status("vm", "web")
    assert status["phase"] == "Stopped"
    assert "restartAwaitingChanges" not in status
    assert "nodeName" not in status
    product.apply(wanted)
    assert product.phase("vm", "web") == "Stopped"
    assert not guest.live.isActive()
    assert product.run("get", "vd", "-o", "name").lines == ["virtualdisk.virtualization.deckhouse.io/root"]
    assert not file.exists(), "the disk that was to be deleted goes when nothing has it open"
