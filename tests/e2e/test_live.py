"""What changes in a running guest when both feature gates are on, and what waits beside it, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.product import GATES, Answer, Document, Guest, Product, as_stream, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    from tests.http_images import ImageServer

MIB = 1024  # in KiB
SOME = 24 * MIB  # what a kernel keeps for itself of more memory, and what a balloon rounds
SPARE = 192 * 2**20 // 512  # sectors


@pytest.fixture(scope="module")
def guest(product: Product, images: ImageServer) -> Guest:
    """A machine that was started with the gates on."""
    product.apply(
        GATES,
        image("guest", images.url("guest.qcow2")),
        disk("root", "guest"),
        disk("spare", size="192Mi"),
        wanted(),
    )
    return product.booted("web")


@pytest.fixture(autouse=True)
def as_at_first(product: Product, guest: Guest) -> None:
    """Each test begins with one core asked for, 256Mi, one disk, and nothing but cores waiting."""
    product.apply(wanted())
    assert {change["path"] for change in product.waiting("web")} <= {"cpu.cores"}
    assert guest.live.isActive()


def wanted(*devices: str, cores: int = 1, fraction: str = "5%", memory: str = "256Mi", **spec: Any) -> Document:
    cpu = {"cores": cores, "coreFraction": fraction}
    return machine("web", "vd/root", *devices, cpu=cpu, memory={"size": memory}, **spec)


def planned(product: Product, document: Document) -> list[str]:
    """What `diff` says of the machine, line by line."""
    out = product.run("diff", "-f", "-", stdin=as_stream(document), code=1).out
    return [line.strip() for line in out.splitlines()[1:]]


def change(product: Product, document: Document) -> tuple[str, Answer]:
    """What `diff` says of one change, and the apply of it."""
    [line, *_] = planned(product, document)
    return line, product.apply(document)


def memory_kib(guest: Guest) -> int:
    return int(guest.sh("awk '/MemTotal/ { print $2 }' /proc/meminfo"))


def sectors(guest: Guest) -> set[int]:
    """The sizes of the guest's disks."""
    return {int(size) for size in guest.sh("cat /sys/block/sd*/size").split()}


def test_memory_comes_and_goes(product: Product, guest: Guest) -> None:
    pid, least = guest.pid, memory_kib(guest)
    said, _ = change(product, wanted(memory="384Mi"))
    assert "memory.size: 256Mi → 384Mi    live: feature gate HotplugCPUAndMemoryWithInPlaceResize is on" in said
    assert abs(memory_kib(guest) - least - 128 * MIB) <= SOME
    assert product.status("vm", "web")["resources"]["memory"]["size"] == "384Mi"
    said, _ = change(product, wanted(memory="256Mi"))
    assert "    live: " in said
    assert abs(memory_kib(guest) - least) <= SOME
    assert product.waiting("web") == []
    assert guest.pid == pid


def test_the_guaranteed_share_changes_at_the_host(product: Product, guest: Guest) -> None:
    def share() -> int:
        return int(guest.live.schedulerParameters()["cpu_shares"])

    before = share()
    said, _ = change(product, wanted(fraction="20%"))
    assert "cpu.coreFraction: 5% → 20%    live: " in said
    assert share() == 4 * before
    assert product.status("vm", "web")["resources"]["cpu"]["coreFraction"] == "20%"
    product.apply(wanted())
    assert share() == before


def test_a_disk_comes_and_goes_with_its_data(product: Product, guest: Guest) -> None:
    pid = guest.pid
    said, _ = change(product, wanted("vd/spare"))
    assert "blockDeviceRefs.1" in said
    assert "live: feature gate HotplugBlockDevices is on" in said
    until(lambda: SPARE in sectors(guest), "the disk in the guest")
    write = "for d in /sys/block/sd*; do [ $(cat $d/size) = %d ] && echo precious >/dev/${d##*/} && sync; done"
    guest.sh(write % SPARE)
    said, _ = change(product, wanted())
    assert "live: feature gate HotplugBlockDevices is on" in said
    until(lambda: SPARE not in sectors(guest), "its end in the guest")
    assert product.layer("spare").exists()

    product.apply(wanted("vd/spare"))
    until(lambda: SPARE in sectors(guest), "the disk in the guest again")
    assert guest.sh("head -qc 8 /dev/sdb") == "precious"
    assert product.waiting("web") == []
    assert guest.pid == pid


def test_a_waiting_change_holds_no_live_one_back(product: Product, guest: Guest) -> None:
    pid, least = guest.pid, memory_kib(guest)
    both = wanted(memory="320Mi", osType="Windows")
    lines = planned(product, both)
    assert any("osType: Generic → Windows    at next restart: " in line for line in lines), lines
    assert any("memory.size: 256Mi → 320Mi    live: " in line for line in lines), lines
    product.apply(both)
    assert [waits["path"] for waits in product.waiting("web")] == ["osType"]
    assert abs(memory_kib(guest) - least - 64 * MIB) <= SOME
    assert guest.pid == pid


@pytest.mark.full
def test_a_guest_that_needs_its_memory_keeps_it_and_the_change_waits_with_its_words(
    product: Product, guest: Guest
) -> None:
    product.apply(wanted(memory="384Mi"))
    guest.sh("dd if=/dev/zero of=/dev/shm/used bs=1M count=220 2>/dev/null")
    product.apply(wanted(memory="260Mi"))
    [waits] = product.waiting("web")
    assert waits["path"] == "memory.size"
    told = product.condition("vm", "web", "AwaitingRestartToApplyConfiguration")["message"]
    assert "memory.size: " in told
    assert "gave back" in told or "keeps" in told, told
    assert guest.sh("stat -c %s /dev/shm/used") == str(220 * 2**20), "nothing was killed for it"
    guest.sh("rm /dev/shm/used")
    product.apply(wanted(memory="384Mi"))
    assert product.waiting("web") == []


def test_cores_come_and_are_not_taken_away(product: Product, guest: Guest) -> None:
    pid = guest.pid
    assert guest.sh("nproc") == "1"
    said, _ = change(product, wanted(cores=2))
    assert "cpu.cores: 1 → 2    live: feature gate HotplugCPUAndMemoryWithInPlaceResize is on" in said
    assert guest.sh("nproc") == "2"
    assert product.waiting("web") == []
    said, _ = change(product, wanted(cores=1))
    assert "cpu.cores: 2 → 1    at next restart: " in said
    assert [item["path"] for item in product.waiting("web")] == ["cpu.cores"]
    assert guest.sh("nproc") == "2"
    product.apply(wanted(cores=1, fraction="10%"))
    assert guest.live.schedulerParameters()["cpu_shares"] > 0
    assert [item["path"] for item in product.waiting("web")] == ["cpu.cores"]
    assert product.status("vm", "web")["resources"]["cpu"]["coreFraction"] == "10%"
    assert guest.pid == pid


@pytest.mark.full
def test_cores_wait_for_an_agent_that_can_bring_them_up(product: Product, guest: Guest) -> None:
    product.run("delete", "vm", "web", "--force", "--yes", "--wait")
    product.apply(wanted(runPolicy="AlwaysOn"))
    boot = product.booted("web").boot()
    guest.write("mv /usr/sbin/agent /usr/sbin/absent; killall qemu-ga")
    until(lambda: not ready_now(product), "the end of the agent", patience_s=30)
    said, _ = change(product, wanted(cores=2, runPolicy="AlwaysOn"))
    assert "agent" in said
    [waits] = product.waiting("web")
    assert waits["path"] == "cpu.cores"
    guest.live.destroy()
    product.apply(wanted(cores=2, runPolicy="AlwaysOn"))
    guest.booted_since(boot)
    assert guest.sh("nproc") == "2"
    assert product.waiting("web") == []


def ready_now(product: Product) -> bool:
    product.apply(wanted(runPolicy="AlwaysOn"))
    return str(product.condition("vm", "web", "AgentReady")["status"]) == "True"
