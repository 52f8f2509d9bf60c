"""Machines that wait for a disk that another one has, a secret, a class; and what cannot be deleted under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Document, Product, as_stream, disk, image, machine, manifest, secret

if TYPE_CHECKING:
    from tests.http_images import ImageServer

pytestmark = pytest.mark.usefixtures("machines_gone")
QUICKLY: Document = {"terminationGracePeriodSeconds": 1}
CLASS = manifest("VirtualMachineClass", "small", {"cpu": {"type": "Host"}})


@pytest.fixture(scope="module")
def shared(product: Product, images: ImageServer) -> tuple[Document, ...]:
    """An image and a disk from it, ready."""
    documents = (image("guest", images.url("guest.qcow2")), disk("shared", "guest"))
    product.apply(*documents)
    return documents


@pytest.mark.usefixtures("shared")
def test_the_second_machine_of_a_disk_waits_for_the_first(product: Product) -> None:
    first, second = machine("first", "vd/shared", **QUICKLY), machine("second", "vd/shared", **QUICKLY)
    product.apply(first)
    product.apply(second, wait=False)
    assert product.phase("vm", "second") == "Pending"
    trouble = product.condition("vm", "second", "BlockDevicesReady")
    assert trouble["status"] == "False"
    assert "in use by VirtualMachine first" in trouble["message"]
    assert product.status("vd", "shared")["attachedToVirtualMachines"] == [
        {"name": "first", "mounted": True},
        {"name": "second", "mounted": False},
    ]
    late = product.run("apply", "-f", "-", "--wait", "--timeout=1s", stdin=as_stream(second), code=6)
    assert "first" in late.out

    product.run("delete", "vm", "first", "--wait")
    product.apply(second)
    assert product.phase("vm", "second") == "Running"
    assert "first" not in product.domains()
    product.run("delete", "vm", "second", "--wait")


@pytest.mark.usefixtures("shared")
def test_an_image_that_a_machine_has_attached_is_held(product: Product, images: ImageServer) -> None:
    product.apply(image("tools", images.url("guest.iso")), machine("reader", "vd/shared", "vi/tools", **QUICKLY))
    answer = product.run("delete", "vi", "tools")
    assert "terminating" in answer.out
    assert "reader" in answer.out
    assert product.phase("vi", "tools") == "Terminating"
    held = product.run("delete", "vi", "tools", "--wait", "--timeout=1s", code=6)
    assert "tools" in held.err
    product.run("delete", "vm", "reader", "--wait")
    product.run("get", "vi", "tools", code=4)
    assert len([path for path in product.files() if path.endswith(".qcow2")]) == 2, "the guest's image and the disk"


@pytest.mark.usefixtures("shared")
def test_an_image_under_a_disk_goes_for_the_user_and_stays_for_the_disk(product: Product, images: ImageServer) -> None:
    product.apply(image("base", images.url("guest.qcow2")), disk("derived", "base"))
    before = product.files()
    product.run("delete", "vi", "base")
    product.run("get", "vi", "base", code=4)
    assert {path for path in product.files() if path.endswith(".qcow2")} == {
        path for path in before if path.endswith(".qcow2")
    }
    product.apply(machine("heir", "vd/derived"))
    product.booted("heir")
    product.run("delete", "vm", "heir", "--wait")
    product.run("delete", "vd", "derived")
    assert len([path for path in product.files() if path.endswith(".qcow2")]) == 2, "the layer went with its last disk"


@pytest.mark.usefixtures("shared")
def test_a_machine_waits_for_its_class_and_then_holds_it(product: Product) -> None:
    wanted = machine("classy", "vd/shared", virtualMachineClassName="small", **QUICKLY)
    answer = product.apply(wanted, wait=False)
    assert "classy pending" in answer.out
    assert product.phase("vm", "classy") == "Pending"
    trouble = product.condition("vm", "classy", "VirtualMachineClassReady")
    assert "small does not exist" in trouble["message"]
    assert "generic, host" in trouble["message"]

    product.apply(CLASS)
    assert product.phase("vm", "classy") == "Running"
    product.run("delete", "vmclass", "small")
    assert product.phase("vmclass", "small") == "Terminating"
    assert "classy" in product.condition("vmclass", "small", "InUse")["message"]
    product.run("delete", "vm", "classy", "--wait")
    product.run("get", "vmclass", "small", code=4)


@pytest.mark.usefixtures("shared")
def test_a_machine_waits_for_its_secret_and_says_what_is_wrong_with_it(product: Product) -> None:
    provisioning = {"type": "UserDataRef", "userDataRef": {"kind": "Secret", "name": "setup"}}
    product.apply(machine("secretive", "vd/shared", provisioning=provisioning, **QUICKLY), wait=False)
    assert product.phase("vm", "secretive") == "Pending"
    assert "Secret setup does not exist" in product.condition("vm", "secretive", "ProvisioningReady")["message"]

    product.apply(secret("setup", "sysprep", userData="#cloud-config\n"), wait=False, code=None)
    assert product.phase("vm", "secretive") == "Pending"
    assert "must be" in product.condition("vm", "secretive", "ProvisioningReady")["message"]

    product.run("delete", "secret", "setup")
    product.apply(secret("setup", "cloud-init", userData="#cloud-config\nhostname: told\n"))
    assert product.phase("vm", "secretive") == "Running"
    assert product.booted("secretive").sh("hostname") == "told"
    product.run("delete", "vm", "secretive", "--wait")
