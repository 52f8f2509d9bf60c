"""What goes wrong is said where it shows, with what to do about it; and what was lost is not replaced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Document, Product, disk, image, installation, machine, manifest
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.private_host import PrivateHost
    from tests.http_images import ImageServer

pytestmark = pytest.mark.usefixtures("machines_gone")
QUICKLY: Document = {"terminationGracePeriodSeconds": 1}
FOREIGN = """
<domain type='qemu'><name>taken</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""
NETWORKS = {
    "apiVersion": "deckhouse.io/v1alpha1",
    "kind": "ModuleConfig",
    "metadata": {"name": "virtualization"},
    "spec": {"version": 1, "enabled": True, "settings": {"virtualMachineCIDRs": ["10.77.0.0/24"]}},
}


@pytest.fixture(scope="module")
def root(product: Product, images: ImageServer) -> Document:
    """A disk that boots."""
    product.apply(image("guest", images.url("guest.qcow2")), disk("root", "guest"))
    return disk("root", "guest")


def test_an_image_that_is_not_there_fails_with_its_address(product: Product, images: ImageServer) -> None:
    url = images.url("missing.qcow2")
    answer = product.apply(image("missing", url), disk("orphan", "missing"), code=3)
    assert "virtualimage.virtualization.deckhouse.io/missing failed" in answer.out
    assert product.phase("vi", "missing") == "Failed"
    message = product.condition("vi", "missing", "Ready")["message"]
    assert "404" in message
    assert url in message
    assert product.phase("vd", "orphan") == "Pending"
    assert "missing is Failed" in product.condition("vd", "orphan", "DatasourceReady")["message"]

    product.apply(image("missing", images.url("guest.qcow2")), disk("orphan", "missing"))
    assert product.phase("vd", "orphan") == "Ready"
    product.run("delete", "vd/orphan", "vi/missing")


def test_lost_files_are_told_and_not_replaced(product: Product, images: ImageServer) -> None:
    documents = (image("fragile", images.url("guest.qcow2")), disk("brittle", "fragile"))
    product.apply(*documents)
    image_name = product.status("vi", "fragile")["target"]["registryURL"].rpartition("/")[2]
    image_file = product.layer("brittle").with_name(f"{image_name}.qcow2")
    disk_file = product.layer("brittle")
    kept = {file: file.with_suffix(".elsewhere") for file in (image_file, disk_file)}
    for file, elsewhere in kept.items():
        file.rename(elsewhere)
    asked = len(images.behaviour.requests)

    answer = product.apply(*documents, wait=False, code=None)
    assert answer.code == 3
    assert product.phase("vi", "fragile") == "ImageLost"
    assert product.phase("vd", "brittle") == "PVCLost"
    assert str(image_file) in product.condition("vi", "fragile", "Ready")["message"]
    assert str(disk_file) in product.condition("vd", "brittle", "Ready")["message"]
    assert not image_file.exists()
    assert not disk_file.exists()
    again = product.apply(*documents, wait=False, code=3)
    assert "virtualdisk.virtualization.deckhouse.io/brittle failed: the file" in again.out
    assert len(images.behaviour.requests) == asked, "nothing is fetched in place of what was lost"

    for file, elsewhere in kept.items():
        elsewhere.rename(file)
    product.apply(*documents)
    assert (product.phase("vi", "fragile"), product.phase("vd", "brittle")) == ("Ready", "Ready")
    product.run("delete", "vd/brittle", "vi/fragile")


def test_a_blank_disk_boots_nothing_and_says_so(product: Product) -> None:
    product.apply(disk("blank", size="8Mi"), machine("empty", "vd/blank", **QUICKLY))
    until(lambda: "No bootable device" in product.run("console", "empty", "--log").out, "the firmware's last words")
    product.apply(machine("empty", "vd/blank", **QUICKLY), wait=False)
    running = product.condition("vm", "empty", "Running")
    assert (running["status"], running["reason"]) == ("True", "NoBootableDevice")
    assert "BIOS" in running["message"]
    assert "VirtualDisk blank" in running["message"]
    assert product.phase("vm", "empty") == "Running"
    product.run("delete", "vm/empty", "vd/blank", "--wait")


@pytest.mark.usefixtures("root")
def test_a_foreign_domain_of_that_name_is_left_alone(product: Product) -> None:
    foreign = product.libvirt.defineXML(FOREIGN)
    before = foreign.XMLDesc(0)
    product.apply(machine("taken", "vd/root", **QUICKLY), wait=False)
    assert product.phase("vm", "taken") == "Pending"
    message = product.condition("vm", "taken", "Running")["message"]
    assert foreign.UUIDString() in message
    assert "left alone" in message
    product.run("delete", "vm", "taken", "--wait")
    assert foreign.XMLDesc(0) == before
    foreign.undefine()


@pytest.mark.usefixtures("root")
def test_a_machine_larger_than_the_host_stays_pending(product: Product) -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**30
    wanted = machine("huge", "vd/root", **QUICKLY)
    product.apply({**wanted, "spec": {**wanted["spec"], "memory": {"size": f"{memory + 1}Gi"}}}, wait=False)
    assert product.phase("vm", "huge") == "Pending"
    running = product.condition("vm", "huge", "Running")
    assert running["status"] == "False"
    assert f"huge asks for {memory + 1}Gi" in running["message"]
    assert "huge" not in product.domains()
    product.apply(wanted)
    assert product.phase("vm", "huge") == "Running"
    product.run("delete", "vm", "huge", "--wait")


@pytest.mark.usefixtures("root")
def test_a_machine_waits_for_the_label_that_it_selects(product: Product) -> None:
    product.apply(machine("picky", "vd/root", nodeSelector={"disktype": "ssd"}, **QUICKLY), wait=False)
    assert product.phase("vm", "picky") == "Pending"
    assert "disktype=ssd is not a label of host1" in product.condition("vm", "picky", "Running")["message"]
    product.run("label", "node", "host1", "disktype=ssd")
    assert product.phase("vm", "picky") == "Running"
    product.run("delete", "vm", "picky", "--wait")


def test_addresses_that_others_use_are_refused_until_others_are_chosen(
    product: Product, root: Document, libvirt_host: PrivateHost, host_directory: Path, images: ImageServer
) -> None:
    product.apply(machine("owner", "vd/root", **QUICKLY))
    with installation(libvirt_host, host_directory, alone=False) as second:
        documents = (image("guest", images.url("guest.qcow2")), root, machine("second", "vd/root", **QUICKLY))
        answer = second.apply(*documents, wait=False, code=3)
        assert "10.66.0.0/16" in answer.out
        assert "overlap" in answer.out
        assert "virtualMachineCIDRs" in answer.out
        assert "second" not in product.domains()

        second.run("delete", "vm", "second", "--wait")  # and with it the address it had
        second.apply(NETWORKS, *documents)
        assert second.status("vm", "second")["ipAddress"].startswith("10.77.0.")
        assert product.phase("vm", "owner") == "Running"
        second.run("delete", "vm", "second", "--wait")
    product.run("delete", "vm", "owner", "--wait")


def test_a_setting_of_another_kind_is_refused_before_anything_happens(product: Product) -> None:
    wrong = manifest("VirtualMachine", "wrong", {"cpu": {"cors": 1}})
    answer = product.apply(wrong, wait=False, code=2)
    assert 'did you mean "cores"' in answer.err
    product.run("get", "vm", "wrong", code=4)
