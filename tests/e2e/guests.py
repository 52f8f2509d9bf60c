"""Guests for end-to-end tests, built once from the distribution's packages: small ones, a CD of them, a real Debian."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import pycdlib

HERE = Path(__file__).parent
TINY_BUILDER = HERE.parent.parent / "examples" / "quickstart" / "guest" / "build.sh"
DEBIAN_BUILDER = HERE / "build-debian-guest.sh"

Kernel = Literal["cloud", "generic"]


@dataclass(frozen=True, slots=True)
class TinyGuest:
    """All in memory but /disk, which keeps what is written to it; agent, DHCP, HTTP, a small part of cloud-init."""

    directory: Path

    @property
    def disk(self) -> Path:
        """A qcow2 image of 64 MiB that boots with BIOS and UEFI."""
        return self.directory / "guest.qcow2"

    def write_iso(self, target: Path) -> Path:
        """Write a CD that boots the guest with BIOS (El Torito, isolinux), and return its path."""
        files = {
            "ISOLINUX.BIN": (self.directory / "isolinux.bin").read_bytes(),
            "LDLINUX.C32": (self.directory / "ldlinux.c32").read_bytes(),
            "ISOLINUX.CFG": (self.directory / "syslinux.cfg").read_bytes(),
            "VMLINUZ.": (self.directory / "vmlinuz").read_bytes(),
            "INITRD.GZ": (self.directory / "initrd.gz").read_bytes(),
        }
        iso = pycdlib.PyCdlib()
        iso.new(interchange_level=1, vol_ident="VMCTL-CD")
        for name, content in files.items():
            iso.add_fp(BytesIO(content), len(content), f"/{name};1")
        iso.add_eltorito("/ISOLINUX.BIN;1", boot_info_table=True)
        iso.write(str(target))
        iso.close()
        return target


def tiny_guest(kernel: Kernel = "cloud") -> TinyGuest:
    """Build the quick start's guest, or find it built; generic has drivers for AHCI, e1000 and rtl8139 as well."""
    return TinyGuest(_built(TINY_BUILDER, kernel))


def debian_guest() -> Path:
    """Build a Debian 12 with systemd, cloud-init, agent and sshd, or find it built; it boots with UEFI only."""
    return _built(DEBIAN_BUILDER) / "guest.qcow2"


def _built(builder: Path, *arguments: str) -> Path:
    built = subprocess.run([str(builder), *arguments], check=False, text=True, capture_output=True)
    if built.returncode:
        raise RuntimeError(f"{builder.name} failed:\n{built.stderr}")
    return Path(built.stdout.strip())
