"""The machines whose documents are kept in the corpus, as planning asked for them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.hypervisor.machines import INSTALLATION
from vmctl.planning.hardware import Cpu, Disk, Hardware, Nic

if TYPE_CHECKING:
    from collections.abc import Mapping

LAYERS = "/var/lib/vmctl/local"
NETWORK = "vmctl-10.66.0.0"


def _disk(name: str, **fields: object) -> Disk:
    return Disk(f"ua-spec-vd-{name}", f"{LAYERS}/{name}.qcow2", serial=name, **fields)  # type: ignore[arg-type]


def _shape(name: str, number: int, **fields: object) -> Hardware:
    whole: dict[str, object] = {
        "uid": f"8c2b5a52-6f0e-4f5d-9a57-0c1d2e3f4a{number:02x}",
        "domain": name,
        "namespace": "default",
        "name": name,
        "installation": INSTALLATION,
        "cpu": Cpu(1, 2, 50),
        "memory_kib": 256 << 10,
        "disks": (_disk("root", boot=1),),
        "nics": (Nic("ua-main", f"52:54:00:0a:0b:{number:02x}", NETWORK),),
        "console_log": f"{LAYERS}/console-{name}.log",
        "texts": MappingProxyType({"metadata:spec": '{"virtualMachineClassName": "generic"}'}),
        "nonce": f"nonce-{name}",
    }
    return Hardware(**{**whole, **fields})  # type: ignore[arg-type]


_SEED = Disk("ua-seed", f"{LAYERS}/seed.img", format="raw", readonly=True, serial="seed")
_CDROM = Disk("ua-spec-vi-iso", f"{LAYERS}/iso.qcow2", device="cdrom", readonly=True, boot=2, serial="iso")

SHAPES: Mapping[str, Hardware] = MappingProxyType(
    {
        shape.name: shape
        for shape in (
            # The default of a manifest: paravirtual, BIOS, with a read-only image, the seed and an attached disk.
            _shape(
                "generic",
                1,
                disks=(_disk("root", boot=1), _CDROM, _SEED, Disk("ua-vmbda-data", f"{LAYERS}/data.qcow2", "virtio")),
            ),
            _shape("uefi", 2, firmware="EFI", cpu=Cpu(2, 2, 100, "HostPassthrough")),
            _shape("windows", 3, firmware="EFIWithSecureBoot", tpm=True, hyperv=True, rng=False),
            _shape(
                "legacy",
                4,
                machine="pc",
                usb="piix3-uhci",
                rng=False,
                spare_ports=0,
                cpu=Cpu(1, 1, 100, "Model", "Nehalem"),
                disks=(_disk("root", bus="ide", boot=1),),
                nics=(Nic("ua-main", "52:54:00:0a:0b:04", NETWORK, "rtl8139"),),
            ),
            _shape(
                "plain",
                5,
                cpu=Cpu(1, 1, 100, "Discovery", features=("aes", "avx")),
                disks=(_disk("root", bus="sata", boot=1),),
                nics=(Nic("ua-main", "52:54:00:0a:0b:05", "", "e1000"),),
            ),
            # Started with one core and 256 MiB, then given more.
            _shape("roomy", 6, cpu=Cpu(1, 2, 20), memory_kib=300 << 10, most_cores=4, most_memory_kib=512 << 10),
        )
    }
)
