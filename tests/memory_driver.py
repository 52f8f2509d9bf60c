"""A hypervisor in memory for tests of the engine: fast, with guests that tests command, and with faults at chosen
steps.

It obeys the same contract as the real driver and is held to it by tests/hypervisor/test_conformance.py and
test_live_verbs.py. What tests may do to its world stands in tests/memory_world.py.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.memory_world import HOST, Machine, MemoryConsole, World
from vmctl.errors import Busy, Exists, HypervisorError, NotFound, Rejected, Unsupported
from vmctl.planning.observed import TERMINATED, Domain, Guest, Host, Listed, NatNetwork
from vmctl.storage import layers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmctl.planning.hardware import Disk, Hardware

__all__ = ["EFFECTS", "HOST", "Died", "Faulty", "Machine", "MemoryConsole", "MemoryDriver", "World"]

EFFECTS = frozenset(
    {"define", "start", "shutdown", "destroy", "undefine", "resize", "set_cores", "set_core_fraction", "set_memory"}
    | {"plug_disk", "unplug_disk", "ensure_network", "remove_network", "forget_lease"}
)
_PREFIX = {"scsi": "sd", "sata": "sd", "ide": "hd", "virtio": "vd"}


class MemoryDriver:
    """One installation's view of a world; the contract is vmctl.hypervisor.driver.Driver."""

    def __init__(self, world: World, installation: str) -> None:
        self.world = world
        self.installation = installation
        self._watching: list[tuple[list[Callable[[str], None]], Callable[[str], None]]] = []

    def host(self) -> Host:
        """Facts of the host."""
        return self.world.host

    def listing(self) -> Mapping[str, Listed]:
        """All our domains by uid."""
        with self.world.lock:
            return {
                machine.uid: Listed(machine.uid, machine.domain, machine.power, _fingerprint(machine))
                for machine in self.world.machines.values()
                if machine.installation == self.installation
            }

    def observe(self, uid: str) -> Domain | None:
        """One domain; None where there is none of ours."""
        with self.world.lock:
            machine = self.world.machines.get(uid)
            if machine is None or machine.installation != self.installation:
                return None
            sizes = {}
            if machine.running is not None:
                images = self.world.image_bytes
                sizes = {disk.alias: images.get(disk.source, 0) for disk in machine.running.disks} | machine.sizes
            return Domain(
                uid=uid,
                domain=machine.domain,
                power=machine.power,
                power_reason=TERMINATED if self._heard_end(machine) else machine.reason,
                running=machine.running,
                defined=machine.defined,
                agent_connected=machine.guest is not None,
                block_sizes=sizes,
                fingerprint=_fingerprint(machine),
            )

    def uid_of(self, domain: str) -> str | None:
        """The uuid of whatever domain has that name."""
        with self.world.lock:
            return next((machine.uid for machine in self.world.machines.values() if machine.domain == domain), None)

    def define(self, hardware: Hardware) -> None:
        """Write the inactive definition."""
        with self.world.lock:
            self._refuse_what_host_lacks(hardware)
            if self.uid_of(hardware.domain) not in (None, hardware.uid):
                raise Exists(f"a domain named {hardware.domain} is there already", subject=hardware.domain)
            machine = self._own(hardware.uid)
            if machine is None:
                machine = Machine(hardware.uid, hardware.domain, self.installation)
                self.world.machines[hardware.uid] = machine
            machine.defined = _named(hardware, machine.defined)
            if machine.running is None:  # a machine that somebody renamed keeps that name while it runs
                machine.domain = hardware.domain
        self.world.changed(hardware.uid)

    def start(self, uid: str) -> None:
        """Boot what is defined."""
        with self.world.lock:
            machine = self._must_own(uid)
            if machine.running is not None:
                return
            if machine.refuses_start is not None:
                raise machine.refuses_start
            machine.running, machine.power, machine.reason = machine.defined, "running", "booted"
            machine.sizes, machine.end_heard_by = {}, ()
        self.world.changed(uid)

    def shutdown(self, uid: str) -> None:
        """Ask the guest to power off; it obeys unless told not to hear."""
        with self.world.lock:
            machine = self._own(uid)
            if machine is None or machine.running is None:
                return
            if machine.hears_shutdown:
                self.world.power_off_inside(uid)

    def destroy(self, uid: str) -> None:
        """Cut the power."""
        with self.world.lock:
            if self._own(uid) is not None:
                self.world._stop(uid, "destroyed")

    def undefine(self, uid: str) -> None:
        """Remove the definition of a machine that is off."""
        with self.world.lock:
            machine = self._own(uid)
            if machine is None:
                return
            if machine.running is not None:
                raise Rejected(f"cannot remove {machine.domain}: it runs", subject=machine.domain)
            del self.world.machines[uid]
        self.world.changed(uid)

    def resize(self, uid: str, alias: str, size_bytes: int) -> None:
        """Grow a block device of a running machine."""
        with self.world.lock:
            machine, running = self._must_run(uid)
            disk = next((disk for disk in running.disks if disk.alias == alias), None)
            if disk is None:
                raise NotFound(f"{machine.domain} has no disk {alias}", subject=alias)
            if size_bytes < machine.sizes.get(alias, self.world.image_bytes.get(disk.source, 0)):
                raise Rejected(f"cannot shrink {alias}", subject=alias)
            machine.sizes[alias] = size_bytes
            self.world.image_bytes[disk.source] = size_bytes
            file = Path(disk.source)
            if file.exists():  # QEMU grows it
                layers.grow(file.parent, file.stem, size_bytes)
        self.world.changed(uid)

    def set_cores(self, uid: str, cores: int) -> None:
        """Raise the number of cores of a running machine whose guest has an agent."""
        with self.world.lock:
            machine, running = self._must_run(uid)
            if cores == running.cpu.cores:
                return
            if cores < running.cpu.cores or cores > max(running.most_cores, running.cpu.cores):
                raise Rejected(f"{machine.domain} cannot have {cores} cores as it runs", subject=machine.domain)
            if machine.guest is None:
                raise Rejected(f"no guest agent answers in {machine.domain}", subject=machine.domain)
            machine.running = replace(running, cpu=running.cpu.with_cores(cores))
        self.world.changed(uid)

    def set_core_fraction(self, uid: str, percent: int) -> None:
        """Set the guaranteed share of each core."""
        with self.world.lock:
            machine, running = self._must_run(uid)
            if not self.world.host.cpu_shares:
                raise Unsupported("the host has no cgroups", subject=machine.domain)
            if percent == running.cpu.shares_percent:
                return
            machine.running = replace(running, cpu=replace(running.cpu, shares_percent=percent))
        self.world.changed(uid)

    def set_memory(self, uid: str, kib: int) -> None:
        """Give the guest memory or take some back, as far as it lets go."""
        with self.world.lock:
            machine, running = self._must_run(uid)
            if kib > max(running.most_memory_kib, running.memory_kib):
                raise Rejected(f"{machine.domain} was not started with room for that", subject=machine.domain)
            reached = kib if kib > running.memory_kib else min(running.memory_kib, max(kib, machine.keeps_memory_kib))
            if reached == running.memory_kib == kib:
                return
            machine.running = replace(running, memory_kib=reached)
        self.world.changed(uid)
        if reached != kib:
            gave, asked = (running.memory_kib - size >> 10 for size in (reached, kib))
            raise Rejected(f"the guest gave back {gave}Mi of {asked}Mi", subject=machine.domain)

    def plug_disk(self, uid: str, disk: Disk) -> None:
        """Attach a disk."""
        with self.world.lock:
            machine, running = self._must_run(uid)
            present = next((one for one in running.disks if one.alias == disk.alias), None)
            if present is not None and present.source == disk.source:
                return
            if machine.refuses_plug is not None:
                raise machine.refuses_plug
            if present is not None or disk.bus in ("sata", "ide"):
                raise Rejected(f"{disk.alias} cannot be plugged into {machine.domain}", subject=disk.alias)
            defined = machine.defined.disks if machine.defined is not None else ()
            target = next((one.target for one in defined if one.alias == disk.alias), "")
            taken = {one.target for one in running.disks}
            named = replace(disk, boot=None, target=target if target not in taken else "")
            machine.running = _named(replace(running, disks=(*running.disks, named)), running)
        self.world.changed(uid)

    def unplug_disk(self, uid: str, alias: str) -> None:
        """Detach a disk, unless the guest keeps it."""
        with self.world.lock:
            machine, running = self._must_run(uid)
            left = tuple(disk for disk in running.disks if disk.alias != alias)
            if left == running.disks:
                return
            if alias in machine.keeps_disks:
                raise Rejected(f"the guest of {machine.domain} does not let go of {alias}", subject=alias)
            machine.running = replace(running, disks=left)
            machine.sizes.pop(alias, None)
        self.world.changed(uid)

    def guest(self, uid: str, *, timeout_s: int = 2) -> Guest | None:
        """What the agent says."""
        machine = self.world.machines.get(uid)
        return None if machine is None else machine.guest

    def ensure_network(self, network: NatNetwork) -> None:
        """Make the network."""
        if not self.world.host.managed_networks:
            raise Unsupported(f"cannot make network {network.name}", subject=network.name)
        for name, cidr in self.world.taken_cidrs.items():
            if cidr == network.cidr:
                raise Rejected(f"cannot make network {network.name}: its addresses overlap with {name}", subject=name)
        self.world.networks[network.uuid] = network

    def remove_network(self, uuid: str) -> None:
        """Remove the network."""
        self.world.networks.pop(uuid, None)

    def forget_lease(self, network: NatNetwork, address: str, mac: str) -> None:
        """Forget a lease."""
        self.world.forgotten.append((address, mac))

    def console(self, uid: str, *, force: bool = False) -> MemoryConsole:
        """Open the console of a running machine."""
        machine, _running = self._must_run(uid)
        if machine.console is not None and not machine.console.closed:
            if not force:
                raise Busy(f"somebody has the console of {machine.domain} open", subject=machine.domain)
            machine.console.close()
        machine.console = MemoryConsole()
        return machine.console

    def watch(self, changed: Callable[[str], None], rebooted: Callable[[str], None] | None = None) -> None:
        """Call `changed`, and `rebooted` where it is given, from now on."""
        self._listen(self.world.watchers, changed)
        if rebooted is not None:
            self._listen(self.world.reboot_watchers, rebooted)
        changed("")

    def close(self) -> None:
        """Stop watching; nothing else is open."""
        for watchers, watcher in self._watching:
            watchers.remove(watcher)
        self._watching.clear()

    def _listen(self, watchers: list[Callable[[str], None]], watcher: Callable[[str], None]) -> None:
        watchers.append(watcher)
        self._watching.append((watchers, watcher))

    def _heard_end(self, machine: Machine) -> bool:
        """Whether this driver listened when somebody ended the QEMU of a machine that is still off."""
        return machine.power == "off" and any(watcher in machine.end_heard_by for _, watcher in self._watching)

    def _own(self, uid: str) -> Machine | None:
        machine = self.world.machines.get(uid)
        if machine is not None and machine.installation != self.installation:
            raise Exists(f"the domain {machine.domain} is not ours", subject=machine.domain)
        return machine

    def _must_own(self, uid: str) -> Machine:
        machine = self._own(uid)
        if machine is None:
            raise NotFound(f"there is no domain {uid}", subject=uid)
        return machine

    def _must_run(self, uid: str) -> tuple[Machine, Hardware]:
        machine = self._must_own(uid)
        if machine.running is None:
            raise Rejected(f"{machine.domain} is off", subject=machine.domain)
        return machine, machine.running

    def _refuse_what_host_lacks(self, hardware: Hardware) -> None:
        host = self.world.host
        if (hardware.firmware != "BIOS" and not host.efi) or (hardware.tpm and not host.tpm):
            raise Unsupported(f"the host has no firmware or TPM for {hardware.domain}", subject=hardware.domain)


class Died(BaseException):
    """The process is gone: nothing of ours may catch it, as nothing catches kill -9."""


class Faulty:
    """A driver that breaks at its n-th effect, counted from 1: before or after it happened, by an error or by death.

    `calls` lists the effects that were asked for, so that a first run with `fail_at=0` tells how many there are.
    """

    def __init__(
        self,
        driver: MemoryDriver,
        fail_at: int = 0,
        *,
        after: bool = False,
        die: bool = False,
        calls: list[str] | None = None,
    ) -> None:
        self._driver = driver
        self._fail_at = fail_at
        self._after = after
        self._die = die
        self.calls: list[str] = [] if calls is None else calls

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._driver, name)
        if name not in EFFECTS:
            return verb

        def broken(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            breaks = len(self.calls) == self._fail_at
            if breaks and not self._after:
                raise self._fault(name)
            answer = verb(*arguments, **named)
            if breaks:
                raise self._fault(name)
            return answer

        return broken

    def _fault(self, name: str) -> BaseException:
        return Died(name) if self._die else HypervisorError(f"the test broke {name}", operation=name)


def _named(hardware: Hardware, before: Hardware | None) -> Hardware:
    """Give disks the names they had, or the next free ones, as a driver does."""
    there = before.disks if before is not None else ()
    known = {(disk.alias, disk.bus): disk.target for disk in (*hardware.disks, *there) if disk.target}
    taken = {known[disk.alias, disk.bus] for disk in hardware.disks if (disk.alias, disk.bus) in known}
    disks = []
    for disk in hardware.disks:
        names = (f"{_PREFIX[disk.bus]}{chr(ord('a') + index)}" for index in range(26))
        target = known.get((disk.alias, disk.bus)) or next(name for name in names if name not in taken)
        taken.add(target)
        disks.append(replace(disk, target=target))
    return replace(hardware, disks=tuple(disks))


def _fingerprint(machine: Machine) -> str:
    told = machine.power, machine.reason, machine.running, machine.defined, machine.guest is not None, machine.changes
    nonces = (machine.running and machine.running.nonce, machine.defined and machine.defined.nonce)
    return sha256(repr((told[:-1], nonces, sorted(machine.sizes.items()))).encode()).hexdigest()
