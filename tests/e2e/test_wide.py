"""The wide cases, run before an issue is called resolved: a real Debian, fifty machines, every form of image."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from tests.e2e.product import Document, Product, as_stream, disk, image, machine

if TYPE_CHECKING:
    from tests.e2e.guests import TinyGuest
    from tests.http_images import ImageServer

pytestmark = pytest.mark.full
PRINTED = Path(__file__).parent.parent / "resources" / "seeds" / "virtualmachine-linux-vm.yaml"
MANY = 50


def test_the_full_manifest_of_the_guide_with_a_real_debian(product: Product, debian: str) -> None:
    """Its packages need the internet, which the guest has not; everything else of its user data is done."""
    wanted: Document = YAML(typ="safe", pure=True).load(PRINTED)
    wanted["spec"]["bootloader"] = "EFI"
    product.apply(image("debian", debian), disk("linux-vm-root", "debian", size="5Gi"), wanted)
    guest = product.booted("linux-vm", timeout="10m")
    guest.sh("cloud-init status --wait", check=False, patience_s=600)
    assert guest.sh("hostname") == "linux-vm"
    assert guest.sh("systemd-detect-virt") in ("qemu", "kvm")
    shadow = guest.sh("getent shadow cloud").split(":")[1]
    assert shadow == re.search(r"passwd: '(.*)'", wanted["spec"]["provisioning"]["userData"])[1]  # type: ignore[index]
    assert guest.sh("getent passwd cloud").endswith(":/bin/bash")
    assert "NOPASSWD" in guest.sh("sudo -l -U cloud")
    assert int(guest.sh("df --output=size -k / | tail -n 1")) > 4 * 1024 * 1024, "the root file system has grown"
    uid = product.document("vm", "linux-vm")["metadata"]["uid"]
    assert guest.sh("cat /var/lib/cloud/data/instance-id") == uid
    assert product.status("vm", "linux-vm")["guestOSInfo"]["id"] == "debian"
    product.run("delete", "vm", "linux-vm", "--wait")
    assert product.domains() == {}, "a real guest shuts down when it is asked to"
    product.run("delete", "vd/linux-vm-root", "vi/debian")


def test_fifty_machines_in_one_apply(product: Product) -> None:
    spec: Document = {"memory": {"size": "64Mi"}, "cpu": {"cores": 1, "coreFraction": "1%"}}
    names = [f"many-{number}" for number in range(MANY)]
    documents = [
        document for name in names for document in (disk(name, size="1Mi"), machine(name, f"vd/{name}", **spec))
    ]
    product.run("apply", "-f", "-", "--wait", "--timeout=5m", stdin=as_stream(*documents), patience_s=600)
    assert {name for name, domain in product.domains().items() if domain.isActive()} == set(names)
    rows = product.run("get", "vm", "--no-headers").lines
    assert [row.split()[1] for row in rows] == ["Running"] * MANY
    assert len({row.split()[3] for row in rows}) == MANY, "each has an address of its own"
    product.run("apply", "-f", "-", stdin=as_stream(*documents))  # takes note of what the firmware said
    again = product.run("apply", "-f", "-", stdin=as_stream(*documents))
    assert {line.split()[1] for line in again.lines} == {"unchanged"}
    product.run("delete", "vm", "--all", "--force", "--yes", "--wait", patience_s=600)
    product.run("delete", "vd", "--all", "--yes")
    assert product.domains() == {}
    assert product.files() == set()


def _raw(source: Path, target: Path) -> None:
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(source), str(target)], check=True)


def write_form(form: str, source: Path, target: Path) -> None:
    """Write a guest's disk in one of the forms that images come in."""
    match form:
        case "raw" | "vmdk" | "vdi":
            subprocess.run(["qemu-img", "convert", "-O", form, str(source), str(target)], check=True)
        case "raw.gz":
            raw = target.with_suffix("")
            _raw(source, raw)
            with raw.open("rb") as plain, gzip.open(target, "wb", compresslevel=1) as packed:
                shutil.copyfileobj(plain, packed)
        case "qcow2.xz":
            with source.open("rb") as plain, lzma.open(target, "wb", preset=0) as packed:
                shutil.copyfileobj(plain, packed)
        case _:
            raise ValueError(form)


@pytest.mark.parametrize("form", ["raw", "vmdk", "vdi", "raw.gz", "qcow2.xz"])
def test_every_form_of_image_boots(product: Product, images: ImageServer, tiny_guest: TinyGuest, form: str) -> None:
    file = images.directory / f"form.{form}"
    write_form(form, tiny_guest.disk, file)
    name = form.replace(".", "-")
    product.apply(
        image(name, images.url(file.name), kind="ClusterVirtualImage"),
        disk(name, name, kind="ClusterVirtualImage"),
        machine(name, f"vd/{name}"),
    )
    assert product.booted(name).sh("hostname") == "vmctl-guest"
    status = product.status("cvi", name)
    assert (status["format"], status["size"]["unpackedBytes"]) == (form.split(".")[0], str(64 * 2**20))
    product.run("delete", f"vm/{name}", f"vd/{name}", "--wait", "--force", "--yes")
    product.run("delete", "cvi", name)
