"""What the engine may ask of a hypervisor: a narrow contract, with one conformance suite for every implementation.

Every verb is idempotent where it says so, raises only vmctl.errors.HypervisorError and its subclasses, and touches
only domains that carry our metadata with this installation's id. Destructive verbs read the uid and installation in
the domain's metadata first and raise Exists when they are not ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vmctl.planning.observed import Domain, Guest, Host, Listed, NatNetwork, Power

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmctl.planning.hardware import Hardware

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
        """One domain, parsed; None where there is none with that uuid (or it is not ours)."""

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
        """Make dnsmasq drop a lease so that the address can go to another MAC (facts: SIGHUP, dhcp_release)."""

    def console(self, uid: str, *, force: bool = False) -> Console:
        """Open the serial console; Busy when somebody has it and `force` is not given."""

    def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed(uid)` from another thread on any event of a domain, ours or not; hints only.

        `changed("")` means that events may have been missed: at first, and whenever a connection was lost or made anew.
        """

    def close(self) -> None:
        """Give the connection back."""
