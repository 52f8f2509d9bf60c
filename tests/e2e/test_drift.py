"""Changes behind our back on a real libvirt: noticed, told, and put back or only reported, as the annotation says."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import libvirt
import pytest

from tests.e2e.product import Document, Guest, Manifests, Product, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.http_images import ImageServer

MODES = {"enforced": "Enforce", "detected": "DetectOnly", "paused": "Paused"}
ANNOTATION = "vmctl.dev/reconcile"
SPARE = 8 * 2**20 // 512  # sectors


@pytest.fixture(scope="module")
def disks(product: Product, images: ImageServer) -> None:
    """Two disks for the machine of each mode, the first one to boot from."""
    spares = (disk(f"{name}-spare", size="8Mi") for name in MODES)
    product.apply(image("guest", images.url("guest.qcow2")), *(disk(name, "guest") for name in MODES), *spares)


def asked(name: str, **spec: Any) -> Document:
    found = machine(name, f"vd/{name}", f"vd/{name}-spare", terminationGracePeriodSeconds=1, **spec)
    found["metadata"]["annotations"] = {ANNOTATION: MODES[name]}
    return found


@dataclass(frozen=True)
class Host:
    """The machines of all modes; with a daemon, or with the apply that comes by."""

    product: Product
    directory: Manifests
    daemon: bool

    def look(self, times: int = 2) -> None:
        """Let whoever keeps the machines have seen them; a second apply sees what the first one left."""
        for _ in range(0 if self.daemon else times):
            self.product.run("apply", "-f", str(self.directory.path), code=None)

    def sees(self, what: Callable[[], Any], words: str) -> None:
        """Wait until something is so."""
        self.look()
        until(what, words, patience_s=30 if self.daemon else 1)

    def drifted(self, name: str) -> str:
        """What the condition says that somebody else changed; empty without one."""
        conditions = self.product.status("vm", name)["conditions"]
        return next((str(item["message"]) for item in conditions if item["type"] == "Drifted"), "")

    def told(self, name: str, words: str) -> bool:
        return any(words in line for line in self.product.events(name, "DriftDetected"))

    def domain(self, name: str) -> Any:
        return self.product.domains().get(name)

    def cores(self, name: str) -> int:
        """The cores in the definition."""
        text = self.domain(name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        [found] = re.findall(r"<vcpu[^>]*>(\d+)</vcpu>", text)
        return int(found)

    def has_spare(self, name: str) -> bool:
        """Whether the running machine has its second disk."""
        return f"<alias name='ua-spec-vd-{name}-spare'/>" in self.domain(name).XMLDesc(0)


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.full)], ids=["run", "apply"])
def host(product: Product, disks: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    """All machines running, and seen once."""
    directory = Manifests(tmp_path)
    directory.write(*(asked(name, runPolicy="AlwaysOn") for name in MODES))
    with contextlib.ExitStack() as opened:
        if request.param:
            opened.enter_context(product.daemon(directory.path))
        found = Host(product, directory, request.param)
        unpaused(found)
        yield found
    product.run("delete", "vm", "--all", "--force", "--yes", "--wait", "--timeout=60s")


def unpaused(host: Host) -> None:
    """Start all machines: one that is paused from the first is not started."""
    first = asked("paused", runPolicy="AlwaysOn")
    del first["metadata"]["annotations"]
    host.directory.write(first)
    host.sees(
        lambda: all(host.product.phase("vm", name) == "Running" for name in MODES), "all machines with their disks"
    )
    host.directory.write(asked("paused", runPolicy="AlwaysOn"))
    host.sees(
        lambda: ANNOTATION in host.product.document("vm", "paused")["metadata"].get("annotations", {}), "the pause"
    )
    host.look()


def edit(domain: Any) -> None:
    """`virsh edit`: four cores in the definition."""
    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    text = re.sub(r"(<vcpu[^>]*>)\d+</vcpu>", r"\g<1>4</vcpu>", text)
    text = re.sub(r"cores='\d+'", "cores='4'", text)
    domain.connect().defineXML(text)


def detach(domain: Any) -> None:
    """`virsh detach-disk`: the second one, from what runs and from the definition."""
    text = domain.XMLDesc(0)
    [spare] = [found for found in re.findall(r"<disk .*?</disk>", text, re.DOTALL) if "-spare'" in found]
    domain.detachDeviceFlags(spare, libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def test_an_edited_definition(host: Host) -> None:
    pids = {name: host.product.guest(name).pid for name in MODES}
    for name in MODES:
        edit(host.domain(name))
        assert host.cores(name) == 4
    host.sees(lambda: host.cores("enforced") == 1, "the definition as it was")
    host.sees(lambda: "cpu.cores 1 → 4" in host.drifted("detected"), "the condition")
    for name in ("enforced", "detected"):
        host.sees(lambda name=name: host.told(name, "cpu.cores 1 → 4"), "the event")  # type: ignore[misc]
    assert host.cores("detected") == 4
    host.look()
    until(lambda: not host.drifted("enforced"), "the end of the drift")
    assert host.cores("paused") == 4
    assert {name: host.product.guest(name).pid for name in MODES} == pids


def test_a_detached_disk(host: Host) -> None:
    guest = host.product.guest("enforced")
    guest.boot()
    for name in MODES:
        detach(host.domain(name))
    host.sees(lambda: host.told("enforced", "VirtualDisk enforced-spare"), "the event")
    host.sees(lambda: host.has_spare("enforced"), "the disk, attached again")
    until(lambda: str(SPARE) in guest.sh("cat /sys/block/sd*/size").split(), "the disk in the guest")
    host.sees(lambda: "detected-spare" in host.drifted("detected"), "the condition")
    assert not host.has_spare("detected")
    assert not host.has_spare("paused")
    assert host.product.waiting("enforced") == []


@pytest.mark.full
def test_a_destroyed_machine(host: Host) -> None:
    pid = host.product.guest("enforced").pid
    for name in MODES:
        host.domain(name).destroy()
    host.sees(lambda: is_on(host, "enforced") and host.product.guest("enforced").pid != pid, "another QEMU")
    host.sees(lambda: "destroyed" in host.drifted("detected"), "the condition")
    assert not is_on(host, "detected")
    assert not is_on(host, "paused")
    assert host.product.phase("vm", "detected") == "Stopped"

    enforced = asked("paused", runPolicy="AlwaysOn")
    enforced["metadata"]["annotations"][ANNOTATION] = "Enforce"
    host.directory.write(enforced)
    host.sees(lambda: is_on(host, "paused"), "the machine that is paused no more")


def is_on(host: Host, name: str) -> bool:
    domain = host.domain(name)
    return domain is not None and bool(domain.isActive())


def test_a_removed_definition_of_a_running_machine(host: Host) -> None:
    pid = host.product.guest("enforced").pid
    for name in MODES:
        host.domain(name).undefine()
    host.sees(lambda: host.domain("enforced").isPersistent(), "the definition")
    assert host.product.guest("enforced").pid == pid
    assert not host.domain("paused").isPersistent()
    assert is_on(host, "paused")


@pytest.mark.full
def test_a_machine_that_is_off_is_removed_or_renamed(host: Host) -> None:
    host.directory.write(*(asked(name, runPolicy="AlwaysOff") for name in MODES))
    for name in ("enforced", "detected"):
        host.sees(lambda name=name: host.product.phase("vm", name) == "Stopped", f"{name} off")  # type: ignore[misc]
        host.sees(lambda name=name: not is_on(host, name), f"{name} off")  # type: ignore[misc]
    host.domain("enforced").rename("elsewhere", 0)
    host.domain("detected").rename("elsewhere-too", 0)
    host.sees(lambda: host.domain("enforced") is not None, "the name as it was")
    assert host.domain("elsewhere") is None
    host.sees(lambda: not host.drifted("enforced"), "the end of that pass")
    host.domain("enforced").undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    host.sees(lambda: host.domain("enforced") is not None, "the definition, made again")
    assert (
        Guest(host.product, "enforced").live.UUIDString() == host.product.document("vm", "enforced")["metadata"]["uid"]
    )
    assert not is_on(host, "enforced")
