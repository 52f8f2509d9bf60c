"""The quick start as its guide prints it: three manifests, a machine that boots, a console, and all gone again."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.e2e.product import BOOT_S, PROGRAM, Answer, Guest, Product
from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from tests.http_images import ImageServer

QUICK_START = Path(__file__).parent.parent.parent / "examples" / "quickstart"
NAMES = (
    "virtualimage.virtualization.deckhouse.io/ubuntu",
    "virtualdisk.virtualization.deckhouse.io/linux-disk",
    "virtualmachine.virtualization.deckhouse.io/linux-vm",
)
USER = "cloud"
ATTEMPTS = 9
SLOWLY_S = 0.3  # between two pieces of 64 KiB


@dataclass(frozen=True)
class QuickStart:
    """What was done so far, and how the machine is found."""

    product: Product
    directory: Path
    server: ImageServer
    before: Answer
    applied: Answer
    halfway: Answer
    guest: Guest


@pytest.fixture(scope="module")
def quick_start(product: Product, images: ImageServer, tmp_path_factory: pytest.TempPathFactory) -> QuickStart:
    """The three manifests in one directory, applied; the download was watched halfway."""
    directory = tmp_path_factory.mktemp("quickstart")
    for file in QUICK_START.glob("*.yaml"):
        text = re.sub(r"url: \S+", f"url: {images.url('guest.qcow2')}", file.read_text())
        (directory / file.name).write_text(text)
    before = product.run("diff", "-f", str(directory), code=1)
    halfway, goes_on = _slow_down_halfway(images)
    with product.running("apply", "-f", str(directory), "--wait", f"--timeout={BOOT_S}") as apply:
        assert halfway.wait(PATIENCE_S)
        seen = until(lambda: _percentage_shown(product.run("get", "vi", "ubuntu")), "a percentage")
        goes_on.set()
        out, err = apply.communicate(timeout=PATIENCE_S)
        applied = Answer("apply", apply.returncode, out, err)
    images.behaviour.before_chunk = None
    return QuickStart(product, directory, images, before, applied, seen, product.guest("linux-vm"))


def _slow_down_halfway(server: ImageServer) -> tuple[threading.Event, threading.Event]:
    """Have the server become very slow in the middle of the file until it is told to go on."""
    size = (server.directory / "guest.qcow2").stat().st_size
    halfway, goes_on = threading.Event(), threading.Event()

    def before_chunk(sent: int) -> None:
        if sent >= size // 2:
            halfway.set()
            goes_on.wait(SLOWLY_S)

    server.behaviour.before_chunk = before_chunk
    return halfway, goes_on


def _percentage_shown(answer: Answer) -> Answer | None:
    return answer if re.search(r"Provisioning +false +[1-9][0-9]?\.\d%", answer.out) else None


def test_the_plan_is_shown_before_anything_happens(quick_start: QuickStart) -> None:
    out = quick_start.before.out
    assert [line[2:] for line in out.splitlines() if line.startswith("+ ")] == list(NAMES)
    assert "after VirtualImage ubuntu is Ready: create the disk" in out
    assert "after VirtualDisk linux-disk is Ready: start the machine" in out


def test_apply_ends_when_everything_is_where_it_should_be(quick_start: QuickStart) -> None:
    applied = quick_start.applied
    assert applied.code == 0, applied
    assert applied.out.splitlines() == [f"{name} created" for name in NAMES]
    assert f"{NAMES[2]} Running" in applied.err


def test_the_download_shows_how_far_it_is(quick_start: QuickStart) -> None:
    heading, row = quick_start.halfway.lines
    assert heading.split() == ["NAME", "PHASE", "CDROM", "PROGRESS", "AGE"]
    percentage = float(row.split()[3].rstrip("%"))
    assert 20 < percentage < 80


def test_get_prints_the_three_tables_of_the_guide(quick_start: QuickStart) -> None:
    product = quick_start.product
    out = product.run("get", "vi,vd,vm").out
    image, disk, machine = (table.splitlines() for table in out.strip().split("\n\n"))
    assert image[0].split() == ["NAME", "PHASE", "CDROM", "PROGRESS", "AGE"]
    assert image[1].split()[:4] == [NAMES[0], "Ready", "false", "100%"]
    assert disk[0].split() == ["NAME", "PHASE", "CAPACITY", "AGE"]
    assert disk[1].split()[:3] == [NAMES[1], "Ready", "64Mi"]
    assert machine[0].split() == ["NAME", "PHASE", "NODE", "IPADDRESS", "AGE"]
    name, phase, node, address, _ = machine[1].split()
    assert (name, phase, node) == (NAMES[2], "Running", "host1")
    assert address == product.status("vm", "linux-vm")["ipAddress"]


def test_the_guest_is_what_the_manifest_asks_for(quick_start: QuickStart) -> None:
    product = quick_start.product
    guest = product.booted("linux-vm")
    address = product.status("vm", "linux-vm")["ipAddress"]
    uid = product.document("vm", "linux-vm")["metadata"]["uid"]
    until(lambda: f"inet {address}/" in guest.sh("ip -4 addr"), f"the guest's address {address}")
    assert guest.sh("hostname") == "linux-vm"
    assert guest.sh("nproc") == "1"
    assert 900_000 < int(guest.sh("awk '/MemTotal/ { print $2 }' /proc/meminfo")) <= 1024 * 1024
    assert f"instance-id: {uid}" in guest.sh("cat /run/seed/meta-data").replace('"', "")
    assert guest.sh(f"grep -c '^{USER}:' /etc/passwd") == "1"


def test_the_guest_reaches_its_gateway_and_resolves_its_own_name(quick_start: QuickStart) -> None:
    product = quick_start.product
    guest = product.booted("linux-vm")
    address = product.status("vm", "linux-vm")["ipAddress"]
    until(lambda: guest.sh("ip route show default", check=False), "a default route")
    gateway = guest.sh("ip route show default").split()[2]
    guest.sh(f"ping -c 1 -W 5 {gateway}")
    assert address in guest.sh("nslookup linux-vm.default.vm.internal || nslookup linux-vm.vm.internal")


def test_a_second_apply_changes_nothing(quick_start: QuickStart) -> None:
    product, guest = quick_start.product, quick_start.guest
    product.booted("linux-vm")
    product.run("apply", "-f", str(quick_start.directory))  # takes note that the agent answers
    before = (guest.pid, guest.live.XMLDesc(0), guest.live.XMLDesc(2), product.files())
    versions = [product.document(*pair)["metadata"]["resourceVersion"] for pair in _objects()]
    answer = product.run("apply", "-f", str(quick_start.directory), "--wait")
    assert answer.lines == [f"{name} unchanged" for name in NAMES]
    assert answer.err == ""
    assert before == (guest.pid, guest.live.XMLDesc(0), guest.live.XMLDesc(2), product.files())
    assert versions == [product.document(*pair)["metadata"]["resourceVersion"] for pair in _objects()]


def _objects() -> tuple[tuple[str, str], ...]:
    return (("vi", "ubuntu"), ("vd", "linux-disk"), ("vm", "linux-vm"))


def test_diff_finds_nothing_afterwards(quick_start: QuickStart) -> None:
    assert quick_start.product.run("diff", "-f", str(quick_start.directory)).out == ""


def test_describe_and_events_tell_what_happened(quick_start: QuickStart) -> None:
    product = quick_start.product
    product.booted("linux-vm")
    described = product.run("describe", "vm", "linux-vm").out
    assert re.search(r"^ +AgentReady +True", described, re.MULTILINE)
    assert re.search(r"^ +Pretty Name: +vmctl guest 1$", described, re.MULTILINE)
    assert "$6$" not in described, "the user data holds a password"
    events = product.run("events").out
    assert re.search(r"Normal +Started +virtualmachine/linux-vm ", events)
    assert re.search(r"Normal +DataSourceImportCompleted +virtualimage/ubuntu ", events)


def test_waiting_for_what_is_so_returns_at_once(quick_start: QuickStart) -> None:
    product = quick_start.product
    product.booted("linux-vm")
    assert "condition met" in product.run("wait", "vm/linux-vm", "--for=condition=AgentReady", "--timeout=0").out
    late = product.run("wait", "vm/linux-vm", "--for=condition=AgentReady=False", "--timeout=0", code=6)
    assert "linux-vm" in late.err


def test_the_transcript_of_the_console_holds_the_boot(quick_start: QuickStart) -> None:
    product = quick_start.product
    product.booted("linux-vm")
    until(
        lambda: "linux-vm login:" in product.run("console", "linux-vm", "--log").out,
        "the login prompt in the transcript",
    )
    log = product.run("console", "linux-vm", "--log").out
    assert "SeaBIOS" in log
    assert log.index("SeaBIOS") < log.index("linux-vm login:")


def test_a_person_logs_in_on_the_console_and_leaves(quick_start: QuickStart) -> None:
    product = quick_start.product
    product.booted("linux-vm")
    with Terminal(product, "console", "linux-vm") as terminal:
        terminal.expect("Successfully connected to linux-vm console. The escape sequence is ^]")
        terminal.say("\r", until="login:")
        terminal.say("cloud\r", until="Password:")
        terminal.say("cloud\r", until="cloud@linux-vm")
        terminal.say("uname -s; echo $((40 + 2))\r", until="Linux\r\n42")
        terminal.type("\x1d")
        assert terminal.process.wait(PATIENCE_S) == 0
    assert quick_start.guest.live.isActive()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, product: Product, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*PROGRAM, *arguments], env=product.surroundings(), stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self._seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def say(self, text: str, *, until: str) -> None:
        """Type until the text has come: a getty that starts anew in that moment throws away what was typed."""
        for _ in range(ATTEMPTS):
            self.type(text)
            if self._comes(until, PATIENCE_S / ATTEMPTS):
                return
        raise AssertionError(f"{until!r} did not come after {text!r}: {self._seen!r}")

    def expect(self, text: str) -> None:
        assert self._comes(text, PATIENCE_S), f"{text!r} did not come: {self._seen!r}"

    def _comes(self, text: str, patience_s: float) -> bool:
        """Read until the text has come, and forget everything up to its end."""
        limit = time.monotonic() + patience_s
        while text not in self._seen:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, limit - time.monotonic()))
            if not ready:
                return False
            self._seen += os.read(self._ours, 65536).decode(errors="replace")
        self._seen = self._seen.partition(text)[2]
        return True


def test_deleting_by_name_leaves_nothing(quick_start: QuickStart) -> None:
    product = quick_start.product
    product.booted("linux-vm")
    quick_start.guest.sh("echo kept >/disk/mark")
    address = product.status("vm", "linux-vm")["ipAddress"]
    disk_file = product.layer("linux-disk")

    assert product.run("delete", "vm", "linux-vm", "--wait").lines == [f"{NAMES[2]} deleted"]
    assert product.domains() == {}
    assert product.files() == {path for path in product.files() if path.startswith("storage/local/")}
    assert product.run("get", "vmip", "-o", "name").out == ""
    [lease] = json.loads(product.run("get", "vmipl", "-o", "json").out)["items"]
    assert (lease["metadata"]["name"], lease["status"]["phase"]) == (f"ip-{address.replace('.', '-')}", "Released")
    assert product.phase("vd", "linux-disk") == "Ready"
    assert disk_file.exists()

    product.run("delete", "vd", "linux-disk")
    assert not disk_file.exists()
    product.run("delete", "vi", "ubuntu")
    assert product.files() == set()
    assert product.run("get", "vi,vd,vm,vmip", "-o", "name").out == ""
