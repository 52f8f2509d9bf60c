"""Machines for tests: one plain example, and a strategy over all that planning can ask for."""

from __future__ import annotations

import uuid
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from hypothesis import strategies as st

from vmctl.planning.hardware import Bus, Cpu, Disk, Hardware, Nic

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["Host", "HostPassthrough", "Model", "Features", "Discovery"]
Model = Literal["virtio", "e1000", "rtl8139"]

KINDS: tuple[Kind, ...] = ("Host", "HostPassthrough", "Model", "Features", "Discovery")
INSTALLATION = "6d9a1a52-0e5f-4c8e-b3c6-1f0a4f9b2c11"
MAC = "52:54:00:0a:0b:0c"


def machine(**fields: Any) -> Hardware:
    """A small machine with a uid of its own; any field can be given."""
    uid = str(uuid.uuid4())
    plain = Hardware(
        uid=uid,
        domain=f"vm-{uid[:8]}",
        namespace="default",
        name=f"vm-{uid[:8]}",
        installation=INSTALLATION,
        cpu=Cpu(1, 1),
        memory_kib=256 << 10,
        texts=MappingProxyType({"metadata:class": "generic"}),
        nonce="first",
    )
    return replace(plain, **fields)


def disk(path: Path | str, alias: str = "ua-spec-vd-root", **fields: Any) -> Disk:
    """A disk that boots."""
    return replace(Disk(alias, str(path), boot=1), **fields)


_names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_paths = st.from_regex(r"/[A-Za-z0-9 _.&<>'\"é/-]{1,40}[a-z0-9]", fullmatch=True)
_values = st.text(max_size=40)
_domain_texts = st.fixed_dictionaries(
    {},
    optional={
        "domain:./title": st.from_regex(r"[A-Za-z0-9<&>\" é-]{0,20}[a-z0-9]", fullmatch=True).map(str.strip),
        "domain:./memtune/hard_limit": st.integers(1 << 20, 1 << 30).map(str),
    },
)


@st.composite
def cpus(draw: st.DrawFn) -> Cpu:
    """CPUs of every kind."""
    kind: Kind = draw(st.sampled_from(KINDS))
    features = st.lists(st.sampled_from(("aes", "avx", "avx2", "vmx")), min_size=1, max_size=3, unique=True)
    return Cpu(
        sockets=draw(st.sampled_from((1, 2, 4, 8))),
        cores_per_socket=draw(st.integers(1, 16)),
        shares_percent=draw(st.integers(1, 100)),
        kind=kind,
        model=draw(st.sampled_from(("Nehalem", "qemu64", "Skylake-Server"))) if kind == "Model" else "",
        features=tuple(draw(features)) if kind in ("Features", "Discovery") else (),
    )


@st.composite
def disks(draw: st.DrawFn, buses: tuple[Bus, ...], most: int) -> tuple[Disk, ...]:
    """Disks and CD-ROMs of distinct names on the buses of one machine."""
    made = []
    for number, name in enumerate(draw(st.lists(_names, max_size=most, unique=True))):
        cdrom = draw(st.booleans())
        bus = draw(st.sampled_from([bus for bus in buses if not (cdrom and bus == "virtio")]))  # there is no such drive
        made.append(
            Disk(
                alias=f"ua-spec-{draw(st.sampled_from(('vd', 'vi', 'cvi')))}-{name}",
                source=draw(_paths),
                bus=bus,
                device="cdrom" if cdrom else "disk",
                format=draw(st.sampled_from(("qcow2", "raw"))),
                readonly=cdrom or (bus in ("scsi", "virtio") and draw(st.booleans())),  # QEMU has no others
                boot=number + 1 if draw(st.booleans()) else None,
                serial=draw(st.from_regex(r"([A-Za-z0-9_.+-]{1,20})?", fullmatch=True)),
            )
        )
    return tuple(made)


@st.composite
def beside(draw: st.DrawFn, buses: tuple[Bus, ...], *, scsi: bool) -> tuple[Disk, ...]:
    """What planning adds to the disks of a spec: what attachments plug in, on SCSI whatever the others are on, and the
    medium that sets a guest up, which is a disk where QEMU has read-only ones and else a CD-ROM.
    """
    names = draw(st.lists(_names, max_size=3, unique=True)) if scsi else []
    drawn = [
        Disk(
            f"ua-vmbda-{name}" + draw(st.sampled_from(("", "_of_team"))),  # an attachment's name may have dots
            draw(_paths),
            device=draw(st.sampled_from(("disk", "cdrom"))),
            readonly=True,
            serial=name[-20:],
        )
        for name in names
    ]
    made = [disk if disk.device == "cdrom" else replace(disk, readonly=draw(st.booleans())) for disk in drawn]
    bus = draw(st.sampled_from(buses))
    device: Literal["disk", "cdrom"] = "disk" if bus in ("scsi", "virtio") else "cdrom"
    seed = Disk("ua-seed", draw(_paths), bus, device, "raw", readonly=True, serial="seed")
    return tuple(made + draw(st.sampled_from(([], [seed]))))


@st.composite
def machines(draw: st.DrawFn) -> Hardware:
    """Every machine that planning can make, and some that it made once: devices by osType and paravirtualization, any
    CPU, disks, texts.
    """
    family, paravirtual = draw(st.sampled_from(("Generic", "Windows", "Legacy"))), draw(st.booleans())
    legacy = family == "Legacy"
    modern: tuple[Bus, ...] = ("scsi", "virtio") if paravirtual else ("sata",)
    buses: tuple[Bus, ...] = (("virtio", "ide") if paravirtual else ("ide",)) if legacy else modern
    model: Model = "virtio" if paravirtual else "rtl8139" if legacy else "e1000"
    cpu, memory_kib = draw(cpus()), draw(st.integers(1 << 14, 1 << 24))
    texts = draw(st.dictionaries(_values.map("metadata:".__add__), _values, max_size=4)) | draw(_domain_texts)
    network = draw(st.sampled_from(("", "vmctl")))
    scsi = not legacy or draw(st.booleans())
    return machine(
        namespace=draw(_names),
        name=draw(_names),
        cpu=cpu,
        memory_kib=memory_kib,
        most_cores=draw(st.sampled_from((0, cpu.cores, cpu.cores + cpu.sockets, cpu.cores * 2))),
        most_memory_kib=draw(st.sampled_from((0, memory_kib, memory_kib + 1, memory_kib * 2))),
        disks=draw(disks(buses, 3 if legacy else 16)) + draw(beside(buses, scsi=scsi)),
        nics=draw(st.sampled_from(((), (Nic("ua-nic-main", MAC, network=network, model=model),)))),
        machine="pc" if legacy else "q35",
        firmware="BIOS" if legacy else draw(st.sampled_from(("BIOS", "EFI", "EFIWithSecureBoot"))),
        tpm=family == "Windows",
        hyperv=family == "Windows",
        rng=family == "Generic",
        usb="piix3-uhci" if legacy else "qemu-xhci",
        scsi=scsi,
        spare_ports=draw(st.sampled_from((0, 8))),
        console_log=draw(st.sampled_from(("", "/var/log/vmctl/console.log"))),
        texts=MappingProxyType(texts),
        nonce=draw(_values),
    )
