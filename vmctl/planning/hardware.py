"""The virtual hardware of one machine as a value: what planning wants, what hypervisor renders, and what it reads back.

`hypervisor` turns it into a domain document and back; for every Hardware h that planning makes, parse(render(h)) == h.
Scalar fields of the spec travel in `texts`, by the address their declaration names, so that a new one touches no code
here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Firmware = Literal["BIOS", "EFI", "EFIWithSecureBoot"]
Bus = Literal["scsi", "sata", "ide", "virtio"]


@dataclass(frozen=True, slots=True)
class Cpu:
    """What the guest sees; `kind` is the class's cpu.type, which a driver translates for its accelerator.

    `sockets * cores_per_socket` is the number of cores. `shares_percent` is the guaranteed share of each, 1..100.
    """

    sockets: int
    cores_per_socket: int
    shares_percent: int = 100
    kind: Literal["Host", "HostPassthrough", "Model", "Features", "Discovery"] = "Host"
    model: str = ""
    features: tuple[str, ...] = ()

    @property
    def cores(self) -> int:
        return self.sockets * self.cores_per_socket

    def with_cores(self, cores: int) -> Cpu:
        """The same processor with another number of cores: in the same sockets where they fill them evenly, else each
        in a socket of its own.
        """
        sockets = self.sockets if cores % self.sockets == 0 else cores
        return replace(self, sockets=sockets, cores_per_socket=cores // sockets)


@dataclass(frozen=True, slots=True)
class Disk:
    """A block device, known by `alias` only: `ua-spec-vd-NAME`, `ua-spec-vi-NAME`, `ua-spec-cvi-NAME`, `ua-vmbda-
    NAME`, `ua-seed`.

    `source` is an absolute path. `boot` counts from 1. `target` (sda, vdb) is the driver's choice and stays what it
    was.
    """

    alias: str
    source: str
    bus: Bus = "scsi"
    device: Literal["disk", "cdrom"] = "disk"
    format: Literal["qcow2", "raw"] = "qcow2"
    readonly: bool = False
    boot: int | None = None
    serial: str = ""
    target: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface; `network` names a libvirt network, or is empty for user-mode networking."""

    alias: str
    mac: str
    network: str = ""
    model: Literal["virtio", "e1000", "rtl8139"] = "virtio"


@dataclass(frozen=True, slots=True)
class Hardware:
    """A whole machine. `uid` is the domain's uuid and the object's metadata.uid; `domain` is the domain's name.

    `texts` maps addresses to text: `metadata:ADDRESS` is kept in our metadata and nowhere else,
    `domain:./XPATH[/@ATTRIBUTE]` is written into and read from that place of the document. `nonce` changes with every
    start that we make.

    `most_cores` and `most_memory_kib` are the room for hot-plug that is reserved at the start: a running machine can be
    given up to so much. 0 means none beyond `cpu.cores` and `memory_kib`. The sockets of `cpu` divide `most_cores`.
    """

    uid: str
    domain: str
    namespace: str
    name: str
    installation: str
    cpu: Cpu
    memory_kib: int
    most_cores: int = 0
    most_memory_kib: int = 0
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    machine: Literal["q35", "pc"] = "q35"
    firmware: Firmware = "BIOS"
    tpm: bool = False
    hyperv: bool = False
    rng: bool = True
    usb: Literal["qemu-xhci", "piix3-uhci"] = "qemu-xhci"
    scsi: bool = True  # a virtio-scsi controller, also where no disk uses it yet: later attachments need it
    spare_ports: int = 8  # empty PCIe root ports, so that later hot-plug has room
    console_log: str = ""  # absolute path of the transcript of the serial console
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    nonce: str = field(default="", compare=False)
