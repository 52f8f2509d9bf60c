"""The world of the hypervisor in memory: domains, their guests, networks, and what tests make happen to them.

It outlives the driver, as libvirt outlives our process: a new MemoryDriver over the same World is a restarted engine.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmctl.planning.observed import Guest, Host, NatNetwork, Power

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.errors import HypervisorError
    from vmctl.planning.hardware import Hardware

HOST = Host(
    name="memory",
    uuid="00000000-0000-4000-8000-000000000001",
    uri="memory:///",
    cpus=8,
    memory_kib=32 << 20,
    accelerator="tcg",
    accelerator_reason="it is only in memory",
    libvirt="9.0.0",
    qemu="7.2.0",
    models=frozenset({"qemu64", "Nehalem", "Westmere"}),
    features=frozenset({"aes", "avx", "sse4.2"}),
)


class MemoryConsole:
    """A console whose guest echoes what it is sent."""

    def __init__(self) -> None:
        self._bytes: queue.Queue[bytes] = queue.Queue()
        self.closed = False

    def receive(self) -> bytes:
        """Block until there are bytes; empty at the end."""
        return self._bytes.get()

    def send(self, data: bytes) -> None:
        """Type into the console."""
        self._bytes.put(data)

    def close(self) -> None:
        """End the console for both sides."""
        self.closed = True
        self._bytes.put(b"")


@dataclass(slots=True)
class Machine:
    """One domain of the world. `installation` is empty for one that vmctl did not make.

    What its guest does is the test's to say: `guest` is None without an agent, `keeps_memory_kib` is what it gives back
    no more of, `keeps_disks` are the aliases that it does not let go.
    """

    uid: str
    domain: str
    installation: str
    defined: Hardware | None = None
    running: Hardware | None = None
    power: Power = "off"
    reason: str = "unknown"
    guest: Guest | None = None
    hears_shutdown: bool = True
    keeps_memory_kib: int = 0
    keeps_disks: set[str] = field(default_factory=set[str])
    refuses_start: HypervisorError | None = None
    refuses_plug: HypervisorError | None = None
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    console: MemoryConsole | None = None
    changes: int = 0
    end_heard_by: tuple[Callable[[str], None], ...] = ()  # who listened when somebody ended its QEMU


@dataclass(slots=True)
class World:
    """All there is on the host: domains by uid, networks by uuid, sizes of images by path, forgotten leases.

    In a `deaf` world no event is told to anybody.
    """

    host: Host = HOST
    machines: dict[str, Machine] = field(default_factory=dict[str, Machine])
    networks: dict[str, NatNetwork] = field(default_factory=dict[str, NatNetwork])
    taken_cidrs: dict[str, str] = field(default_factory=dict[str, str])  # name of what has it -> CIDR
    image_bytes: dict[str, int] = field(default_factory=dict[str, int])
    forgotten: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    deaf: bool = False
    watchers: list[Callable[[str], None]] = field(default_factory=list["Callable[[str], None]"])
    reboot_watchers: list[Callable[[str], None]] = field(default_factory=list["Callable[[str], None]"])
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add_foreign(self, uid: str, domain: str, installation: str = "") -> None:
        """Put a domain there that is not ours: of another installation, or of nobody."""
        self.machines[uid] = Machine(uid, domain, installation)

    def power_off_inside(self, uid: str) -> None:
        """Let the guest power itself off."""
        self._stop(uid, "shutdown")

    def crash(self, uid: str) -> None:
        """Let QEMU die."""
        self._stop(uid, "crashed")

    def terminate(self, uid: str) -> None:
        """Let somebody on the host end QEMU by a signal; who does not listen takes it for the guest's doing."""
        self.machines[uid].end_heard_by = () if self.deaf else tuple(self.watchers)
        self._stop(uid, "shutdown")

    def save(self, uid: str) -> None:
        """Put the memory of a machine on disk, as `virsh managedsave` and libvirt-guests do."""
        self._stop(uid, "saved")

    def restart_host(self) -> None:
        """Switch the host off and on: every domain is off, definitions stay."""
        for machine in self.machines.values():
            machine.running, machine.power, machine.reason, machine.guest = None, "off", "unknown", None

    def boot_finished(self, uid: str, guest: Guest) -> None:
        """Let the guest's agent come up and say this."""
        self.machines[uid].guest = guest
        self.changed(uid)

    def reboot_inside(self, uid: str) -> None:
        """Let the guest restart itself: the same QEMU goes on, and the agent is silent until `boot_finished`."""
        self.machines[uid].guest = None
        self._tell(self.reboot_watchers, uid)
        self.changed(uid)

    def changed(self, uid: str) -> None:
        """Tell whoever watches."""
        if uid in self.machines:
            self.machines[uid].changes += 1
        self._tell(self.watchers, uid)

    def _tell(self, watchers: list[Callable[[str], None]], uid: str) -> None:
        for watcher in () if self.deaf else tuple(watchers):
            watcher(uid)

    def _stop(self, uid: str, reason: str) -> None:
        with self.lock:
            machine = self.machines[uid]
            if machine.running is None:
                return
            machine.running, machine.power, machine.reason, machine.guest = None, "off", reason, None
            if machine.console is not None:
                machine.console.close()
            if machine.defined is None:
                del self.machines[uid]
        self.changed(uid)
