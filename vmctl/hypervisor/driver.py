"""What the engine may ask of a hypervisor: a narrow contract, with one conformance suite for every implementation.

Every verb is idempotent where it says so, raises only vmctl.errors.HypervisorError and its subclasses, and touches
only domains that carry our metadata with this installation's id. Destructive verbs read the uid and installation in
the domain's metadata first and raise Exists when they are not ours.

Live verbs (set_…, plug_…, unplug_…, resize) change a running machine and nothing else: its definition is written by
`define`, before. They return when the guest has the change (a plugged disk: when it has been given it), are idempotent,
and raise NotFound where there is no such machine, Rejected with the host's own words when it is off or when host or
guest refuse: the change then waits for a restart. One that was cut short in the middle is seen as not done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vmctl.planning.observed import Domain, Guest, Host, Listed, NatNetwork, Power

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmctl.planning.hardware import Disk, Hardware

__all__ = ["Console", "Domain", "Driver", "Guest", "Host", "Listed", "NatNetwork", "Power"]


class Console(Protocol):
    """An open serial console: raw bytes both ways."""

    def receive(self) -> bytes:
        """Block until there are bytes; empty at the end of the stream."""

    def send(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Driver(Protocol):
    """One libvirt host and one installation's machines on it. Safe to call from several threads."""

    def host(self) -> Host:
        """Facts of the host; asked once and kept."""

    def listing(self) -> Mapping[str, Listed]:
        """All our domains by uid, in one sweep that costs about as much as libvirt's own listing."""

    def observe(self, uid: str) -> Domain | None:
        """One domain, parsed; None where there is none with that uuid (or it is not ours).

        Who watches is told when somebody ended the QEMU of a machine by a signal (`TERMINATED`), until it starts again;
        to others it looks as if its guest had powered off.
        """

    def uid_of(self, domain: str) -> str | None:
        """The uuid of whatever domain has that name, ours or not; None where the name is free."""

    def define(self, hardware: Hardware) -> None:
        """Write the inactive definition, over the old one if there is one (never undefine). Idempotent.

        Foreign elements, device addresses and targets of what stays survive; a machine that somebody renamed gets its
        name back as soon as it is off. Raises Exists for a foreign domain of
        that name, Rejected when the schema or QEMU refuses, Unsupported when the host lacks something (firmware, TPM).
        """

    def start(self, uid: str) -> None:
        """Boot what is defined; nothing when it runs already. Raises Rejected with libvirt's words."""

    def shutdown(self, uid: str) -> None:
        """Ask the guest to power off (agent, else ACPI) and return at once; nothing when it is off."""

    def destroy(self, uid: str) -> None:
        """Cut the power; nothing when it is off."""

    def undefine(self, uid: str) -> None:
        """Remove the definition of a machine that is off, with NVRAM, TPM state and managed save; never its disks."""

    def resize(self, uid: str, alias: str, size_bytes: int) -> None:
        """Grow a block device of a running machine. Raises Rejected when that would shrink it."""

    def set_cores(self, uid: str, cores: int) -> None:
        """Raise the number of cores and bring them online in the guest, each with the guaranteed share that it had.

        Needs the guest agent; without its answer nothing is changed. Never takes cores away.
        """

    def set_core_fraction(self, uid: str, percent: int) -> None:
        """Set the guaranteed share of each core, 1..100."""

    def set_memory(self, uid: str, kib: int) -> None:
        """Give the guest memory or ask it to give some back, within the room it was started with.

        Takes no more than the guest says it can do without, and waits while it makes progress. One that keeps memory
        settles at what it has, and Rejected says how much it gave.
        """

    def plug_disk(self, uid: str, disk: Disk) -> None:
        """Attach a disk or CD-ROM, under the name that the definition has for its alias; nothing when it is there.

        Its boot order counts from the next start, so it is left out. Rejected when the alias is there with another
        source.
        """

    def unplug_disk(self, uid: str, alias: str) -> None:
        """Detach a disk and return when it is gone; nothing when it is not there. Rejected when the guest keeps it."""

    def guest(self, uid: str, *, timeout_s: int = 2) -> Guest | None:
        """What the agent says; None when no agent answers in time."""

    def ensure_network(self, network: NatNetwork) -> None:
        """Define and start the network; nothing when it is there as described.

        Raises Rejected naming the other network or interface of the host when the CIDR overlaps with one, Unsupported
        without rights.
        """

    def remove_network(self, uuid: str) -> None:
        """Stop and undefine our network; nothing when it is gone."""

    def forget_lease(self, network: NatNetwork, address: str, mac: str) -> None:
        """Make dnsmasq drop a lease so that the address can go to another MAC."""

    def console(self, uid: str, *, force: bool = False) -> Console:
        """Open the serial console; Busy when somebody has it and `force` is not given."""

    def watch(self, changed: Callable[[str], None], rebooted: Callable[[str], None] | None = None) -> None:
        """Call `changed(uid)` from another thread on any event of a domain, ours or not; hints only.

        `changed("")` means that events may have been missed: at first, and whenever a connection was lost or made anew.
        `rebooted(uid)` is called once, before `changed`, when a guest restarts itself: its QEMU goes on with what it
        was started with, and the guest is in its firmware for a moment. Both must return at once.
        """

    def close(self) -> None:
        """Give the connection back."""
