"""Run policies when machines go off: by their guest, by a crash, by somebody's hand, and with libvirt or the host."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libvirt
import pytest

from tests.e2e.product import Document, Guest, Manifests, Product, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.private_host import PrivateHost
    from tests.http_images import ImageServer

POLICIES = {"always": "AlwaysOn", "unless": "AlwaysOnUnlessStoppedManually", "manual": "Manual"}


@pytest.fixture(scope="module")
def disks(product: Product, images: ImageServer) -> None:
    """A disk for the machine of each policy."""
    product.apply(image("guest", images.url("guest.qcow2")), *(disk(name, "guest") for name in POLICIES))


@pytest.fixture
def directory(product: Product, disks: None, tmp_path: Path) -> Iterator[Manifests]:
    """An empty directory; the machines of the test go at its end."""
    yield Manifests(tmp_path)
    product.run("delete", "vm", "--all", "--force", "--yes", "--wait", "--timeout=60s")


@dataclass(frozen=True)
class Keeper:
    """Who keeps the machines as they are wanted: a daemon that hears of it, or an apply that comes by."""

    product: Product
    directory: Manifests
    daemon: bool

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        with contextlib.ExitStack() as opened:
            if self.daemon:
                opened.enter_context(self.product.daemon(self.directory.path))
            elif any(self.directory.path.iterdir()):
                self.comes_by()
            yield

    def comes_by(self) -> None:
        """The next apply, where there is no daemon."""
        if not self.daemon:
            self.product.run("apply", "-f", str(self.directory.path))

    def phase_becomes(self, name: str, phase: str) -> None:
        until(lambda: self.product.phase("vm", name) == phase, f"{name} {phase}")

    def policies(self) -> dict[str, Guest]:
        """A running machine of each policy; the manual one is switched over when it is up, for nobody starts it."""
        self.directory.write(*(asked(name, "AlwaysOn") for name in POLICIES))
        self.comes_by()
        for name in POLICIES:
            self.phase_becomes(name, "Running")
        self.directory.write(*(asked(name, policy) for name, policy in POLICIES.items()))
        self.comes_by()
        until(lambda: {name: self._policy(name) for name in POLICIES} == POLICIES, "the policies")
        return {name: self.product.guest(name) for name in POLICIES}

    def _policy(self, name: str) -> str:
        return str(self.product.document("vm", name)["spec"]["runPolicy"])


def asked(name: str, policy: str) -> Document:
    return machine(name, f"vd/{name}", runPolicy=policy, terminationGracePeriodSeconds=10)


def destroy(guest: Guest) -> None:
    """`virsh destroy`."""
    guest.live.destroy()


@dataclass(frozen=True)
class Ending:
    """How a machine goes off, and who comes back after that."""

    happens: Callable[[Guest], object]
    comes_back: tuple[str, ...]
    said: str  # of those that stay off
    inside: bool = False  # the guest has to be up for it
    unheard: tuple[str, ...] | None = None  # who comes back where nobody heard the event that tells whose doing it was


ENDINGS = {
    "poweroff": Ending(lambda guest: guest.write("sleep 0.2; poweroff"), ("always",), "guest switched it off", True),
    "killed": Ending(lambda guest: os.kill(guest.pid, signal.SIGKILL), ("always", "unless"), ""),
    "terminated": Ending(
        lambda guest: os.kill(guest.pid, signal.SIGTERM),
        ("always", "unless"),
        "guest switched it off",
        unheard=("always",),
    ),
    "destroyed": Ending(destroy, ("always", "unless"), ""),
    "panic": Ending(
        lambda guest: guest.write("sleep 0.2; echo c >/proc/sysrq-trigger"), ("always", "unless"), "", True
    ),
}
DEFAULT_SET = {("poweroff", True)}  # the crash loop below kills
WHOLE_TABLE = [
    pytest.param(ending, daemon, marks=() if (ending, daemon) in DEFAULT_SET else pytest.mark.full)
    for ending in ENDINGS
    for daemon in (True, False)
]


@pytest.mark.parametrize(("ending", "daemon"), WHOLE_TABLE)
def test_who_comes_back(product: Product, directory: Manifests, ending: str, daemon: bool) -> None:
    keeper, end = Keeper(product, directory, daemon), ENDINGS[ending]
    comes_back = end.comes_back if daemon or end.unheard is None else end.unheard
    with keeper.at_work():
        guests = keeper.policies()
        if end.inside:
            for guest in guests.values():
                guest.boot()
        pids = {name: guest.pid for name, guest in guests.items()}
        for guest in guests.values():
            end.happens(guest)
        stay_off = guests.keys() - comes_back
        until(lambda: all(gone(guest, pids[name]) for name, guest in guests.items()), "the end of all")
        keeper.comes_by()
        until(lambda: all(other(guests[name], pids[name]) for name in comes_back), "their next QEMU")
        for name in comes_back:
            keeper.phase_becomes(name, "Running")
        for name in stay_off:
            keeper.phase_becomes(name, "Stopped")
        if ending == "terminated" and daemon:
            assert "without being told to: terminated" in product.events("unless", "Started")[-1]
        keeper.comes_by()
        assert product.phase("vm", "always") == "Running"
        for name in stay_off:
            assert off(product, name)
            assert end.said in product.condition("vm", name, "Running")["message"] or name == "manual"


def off(product: Product, name: str) -> bool:
    return not product.domains()[name].isActive()


def gone(guest: Guest, pid: int) -> bool:
    """Whether the QEMU with that process id runs the machine no more."""
    return off(guest.product, guest.domain) or other(guest, pid)


def other(guest: Guest, pid: int) -> bool:
    """Whether another QEMU runs the machine than the one with that process id."""
    try:
        return guest.live.isActive() and guest.pid != pid
    except (libvirt.libvirtError, ProcessLookupError, OSError):
        return False


def test_a_crash_loop_backs_off_and_says_so(product: Product, directory: Manifests) -> None:
    directory.write(asked("always", "AlwaysOn"))
    with product.daemon(directory.path):
        guest = product.guest("always")
        until(lambda: product.phase("vm", "always") == "Running", "the machine")
        first = guest.pid
        os.kill(first, signal.SIGKILL)
        until(lambda: other(guest, first), "a start at once after the first crash")
        until(lambda: product.phase("vm", "always") == "Running", "the end of that start")
        second = guest.pid
        os.kill(second, signal.SIGKILL)
        until(lambda: product.phase("vm", "always") == "Pending", "a pause after the second crash")
        running = product.condition("vm", "always", "Running")
        assert running["reason"] == "GuestNotRunning", running
        assert "it went off 2 times in a row, soon after its start (runPolicy AlwaysOn)" in running["message"]
        assert "started again at" in running["message"]
        assert off(product, "always")
        until(lambda: other(guest, second), "the start after the pause")


@pytest.mark.full
def test_libvirtd_goes_and_comes_back(product: Product, directory: Manifests, libvirt_host: PrivateHost) -> None:
    directory.write(asked("always", "AlwaysOn"), asked("unless", POLICIES["unless"]))
    with product.daemon(directory.path):
        survivor, victim = product.booted("always"), product.booted("unless")
        boot, pids = survivor.boot(), (survivor.pid, victim.pid)
        libvirt_host.stop_libvirtd()
        os.kill(pids[1], signal.SIGKILL)
        libvirt_host.start_libvirtd()
        until(lambda: other(victim, pids[1]), "another QEMU of the machine that was killed meanwhile")
        until(lambda: product.phase("vm", "unless") == "Running", "its phase")
        assert survivor.boot() == boot
        assert survivor.pid == pids[0]
        assert product.phase("vm", "always") == "Running"
        assert product.events("unless", "Started")


@pytest.mark.parametrize(
    ("shut_down", "daemon"),
    [
        (True, True),
        pytest.param(True, False, marks=pytest.mark.full),
        pytest.param(False, True, marks=pytest.mark.full),
        pytest.param(False, False, marks=pytest.mark.full),
    ],
)
def test_a_host_that_was_restarted(
    product: Product, directory: Manifests, libvirt_host: PrivateHost, shut_down: bool, daemon: bool
) -> None:
    keeper = Keeper(product, directory, daemon)
    with keeper.at_work():
        guests = keeper.policies()
        for guest in guests.values():
            guest.boot()
            guest.sh("echo kept >/disk/mark; sync")
    assert all(guest.live.isActive() for guest in guests.values()), "a daemon that ends takes no machine with it"
    if shut_down:  # as libvirt-guests does
        for guest in guests.values():
            guest.live.shutdown()
        until(lambda: all(off(product, name) for name in guests), "the end of all guests")
    product.close()
    libvirt_host.kill()
    libvirt_host.up()
    product.see_new_boot()
    with keeper.at_work():
        for name in ("always", "unless"):
            keeper.phase_becomes(name, "Running")
        keeper.phase_becomes("manual", "Stopped")
        assert off(product, "manual")
        guests["unless"].boot()
        assert guests["unless"].sh("cat /disk/mark") == "kept"


@pytest.mark.full
def test_the_policy_of_a_machine_is_switched(product: Product, directory: Manifests) -> None:
    def becomes(policy: str, phase: str) -> None:
        product.apply(asked("unless", policy), wait=False)
        until(lambda: product.phase("vm", "unless") == phase, f"{phase} with {policy}")
        assert off(product, "unless") == (phase == "Stopped")

    becomes("AlwaysOff", "Stopped")
    becomes("AlwaysOnUnlessStoppedManually", "Running")
    product.booted("unless")
    becomes("Manual", "Running")
    becomes("AlwaysOff", "Stopped")
    becomes("Manual", "Stopped")
    becomes("AlwaysOnUnlessStoppedManually", "Stopped")
    becomes("AlwaysOn", "Running")
    product.booted("unless")
    becomes("AlwaysOff", "Stopped")
    becomes("AlwaysOnUnlessStoppedManually", "Running")
