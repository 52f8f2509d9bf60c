"""What was seen of the host and of the machines on it, as values: hypervisor makes them, planning reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.hardware import Hardware

Power = Literal["off", "running", "paused", "stopping", "crashed"]
SAVED = "saved"  # the reason of a machine that is off with its memory on disk: its guest goes on from there
TERMINATED = "terminated"  # of one whose QEMU somebody ended by a signal: known to a driver that listened then


@dataclass(frozen=True, slots=True)
class Host:
    """The host as libvirt sees it. Sizes in KiB; `features` and `models` are what the accelerator can give a guest."""

    name: str
    uuid: str
    uri: str
    cpus: int
    memory_kib: int
    accelerator: Literal["kvm", "tcg"]
    accelerator_reason: str  # why not kvm, empty for kvm
    libvirt: str  # "9.0.0"
    qemu: str
    architecture: str = "x86_64"
    models: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    efi: bool = True
    secure_boot: bool = True
    tpm: bool = True
    managed_networks: bool = True  # False: no right to make networks, user-mode networking instead
    cpu_shares: bool = True  # False: no cgroups (session mode), guaranteed shares cannot be set
    qemu_user: str = ""  # the user QEMU runs as; empty: ours


@dataclass(frozen=True, slots=True)
class Listed:
    """One domain of ours in a listing. `fingerprint` digests the live and the inactive document (libvirt's own text)
    and the state.
    """

    uid: str
    domain: str
    power: Power
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain of ours, both sides parsed. `running` is None when it is off, `defined` when it is transient."""

    uid: str
    domain: str
    power: Power
    power_reason: (
        str  # libvirt's reason in lower case: booted, shutdown, destroyed, crashed, failed, ioerror, panicked …
    )
    running: Hardware | None
    defined: Hardware | None
    agent_connected: bool = False
    block_sizes: Mapping[str, int] = field(
        default_factory=dict[str, int]
    )  # alias -> bytes the guest sees, running only
    fingerprint: str = ""

    @property
    def holds(self) -> Hardware | None:
        """The hardware that a guest counts on finding as it left it: what runs, or what its saved memory belongs to."""
        return self.running or (self.defined if self.power_reason == SAVED else None)


@dataclass(frozen=True, slots=True)
class Guest:
    """What the guest agent says. `os` has the agent's own keys in camelCase (id, name, prettyName, version, versionId,
    kernelRelease, kernelVersion, machine); `addresses` maps MAC (lower case) to its IPv4 and IPv6 addresses, loopback
    left out.
    """

    os: Mapping[str, str]
    hostname: str = ""
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True, slots=True)
class NatNetwork:
    """A managed NAT network. `directory` holds `hosts/` (dhcp-hostsdir) and `names/` (hostsdir), written by
    vmctl.network.
    """

    name: str
    uuid: str
    bridge: str
    cidr: str
    gateway: str
    directory: str
    dns_domain: str = "vm.internal"
