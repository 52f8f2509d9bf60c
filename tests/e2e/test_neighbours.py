"""Machines that are not ours are never touched: foreign domains, and those of another installation on the same host."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Document, Product, disk, image, installation, machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.private_host import PrivateHost
    from tests.http_images import ImageServer

FOREIGN = """
<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid>{metadata}<memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""
METADATA = """
<metadata><other:tool xmlns:other='http://example.com/tool'><other:owner>somebody</other:owner></other:tool></metadata>"""
QUICKLY: Document = {"terminationGracePeriodSeconds": 1}
OTHER_RANGE: Document = {
    "apiVersion": "deckhouse.io/v1alpha1",
    "kind": "ModuleConfig",
    "metadata": {"name": "virtualization"},
    "spec": {"version": 1, "enabled": True, "settings": {"virtualMachineCIDRs": ["10.78.0.0/24"]}},
}


@pytest.fixture
def second(libvirt_host: PrivateHost, host_directory: Path) -> Iterator[Product]:
    """Another installation on the same host."""
    with installation(libvirt_host, host_directory, alone=False) as other:
        yield other


def of(namespace: str, images: ImageServer) -> tuple[Document, ...]:
    """An image, a disk and a machine of the same names in a namespace."""
    return (
        image("guest", images.url("guest.qcow2"), namespace=namespace),
        disk("root", "guest", namespace=namespace),
        machine("same", "vd/root", namespace=namespace, **QUICKLY),
    )


def seen(product: Product, name: str) -> tuple[int, int, str, str]:
    domain = product.domains()[name]
    return domain.ID(), domain.state()[0], domain.XMLDesc(0), domain.XMLDesc(2)


@pytest.mark.parametrize("metadata", ["", METADATA], ids=["without metadata", "with foreign metadata"])
def test_foreign_domains_are_left_alone(product: Product, images: ImageServer, metadata: str) -> None:
    running = product.libvirt.createXML(FOREIGN.format(name="theirs", uuid=uuid.uuid4(), metadata=metadata))
    defined = product.libvirt.defineXML(FOREIGN.format(name="same", uuid=uuid.uuid4(), metadata=metadata))
    before = seen(product, "theirs"), seen(product, "same")

    product.apply(*of("default", images), wait=False)
    assert product.phase("vm", "same") == "Pending", "its name is taken"
    product.apply(*of("ours", images))
    product.run("delete", "vm", "same", "--force", "--yes", "--wait")
    product.run("delete", "vm", "same", "-n", "ours", "--force", "--yes", "--wait")
    assert (seen(product, "theirs"), seen(product, "same")) == before
    assert set(product.domains()) == {"theirs", "same"}
    running.destroy()
    defined.undefine()


def test_a_domain_with_the_uid_of_our_machine_that_is_not_ours_is_not_taken(
    product: Product, images: ImageServer
) -> None:
    product.apply(*of("default", images))
    uid = product.document("vm", "same")["metadata"]["uid"]
    ours = product.domains()["same"]
    ours.destroy()
    ours.undefine()
    foreign = product.libvirt.defineXML(FOREIGN.format(name="copied", uuid=uid, metadata=METADATA))
    before = seen(product, "copied")
    answer = product.apply(*of("default", images), wait=False, code=3)
    assert "was not made by vmctl" in answer.out
    assert product.phase("vm", "same") == "Pending"
    product.run("delete", "vm", "same", "--force", "--yes", "--wait")
    assert seen(product, "copied") == before
    foreign.undefine()


def test_two_installations_share_a_host(product: Product, second: Product, images: ImageServer) -> None:
    product.apply(*of("default", images))
    second.apply(OTHER_RANGE, *of("other", images))
    assert set(product.domains()) == {"same", "other.same"}
    assert product.run("get", "vm", "-A", "-o", "name").lines == second.run("get", "vm", "-A", "-o", "name").lines
    theirs = seen(product, "other.same")

    product.apply(*of("default", images))
    product.run("delete", "vm", "same", "--force", "--yes", "--wait")
    product.run("delete", "vd", "root")
    assert seen(product, "other.same") == theirs
    assert second.phase("vd", "root", "other") == "Ready"
    assert second.layer("root", "other").exists()
    second.run("delete", "vm", "same", "-n", "other", "--force", "--yes", "--wait")
    assert product.domains() == {}


def test_a_name_that_another_installation_has_taken_is_told(
    product: Product, second: Product, images: ImageServer
) -> None:
    product.apply(*of("default", images))
    before = seen(product, "same")
    second.apply(OTHER_RANGE)
    second.apply(*of("default", images), wait=False)
    assert second.phase("vm", "same") == "Pending"
    assert "left alone" in second.condition("vm", "same", "Running")["message"]
    second.run("delete", "vm", "same", "--wait")
    assert seen(product, "same") == before
    product.run("delete", "vm", "same", "--force", "--yes", "--wait")
