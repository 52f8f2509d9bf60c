"""What can be said of a host without libvirt: kernel, processor, programs, firmware, AppArmor, clock, Python.

Every check reads files below a root directory, so that it can be shown any host; none changes anything.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import stat
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.engine.findings import Finding, ok, problem, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

MINIMUM_KERNEL = (5, 7)
MINIMUM_PYTHON = (3, 11)
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# program -> (package on Debian, what is missed without it, whether nothing runs without it)
PROGRAMS = {
    "qemu-system-x86_64": ("qemu-system-x86", "no machine can run", True),
    "qemu-img": ("qemu-utils", "no disk can be made", True),
    "dnsmasq": ("dnsmasq-base", "no managed network can be made", True),
    "swtpm": ("swtpm", "machines with osType Windows need it for their TPM", False),
    "swtpm_setup": ("swtpm-tools", "machines with osType Windows need it for their TPM", False),
}
OWN_DEVICES = "start libvirt anew, for it has a /dev of its own: ./install.sh stop && ./install.sh libvirt"
_HIDDEN_HOME = re.compile(r"^(?:/home/[^/]+|/root)/(?:.*/)?\.[^/]+(?:/|$)")


def kernel(release: str) -> Finding:
    """QEMU's and libvirt's features that we use want a kernel of 2020 or later."""
    match = re.match(r"(\d+)\.(\d+)", release)
    if match and (int(match[1]), int(match[2])) < MINIMUM_KERNEL:
        wanted = ".".join(map(str, MINIMUM_KERNEL))
        return problem("kernel", f"Linux {release} is older than {wanted}", "install a newer kernel")
    return ok("kernel", f"Linux {release}")


def virtualization(root: Path, qemu_user: str, libvirt: Path) -> Finding:
    """Whether machines run on the processor (KVM) or are emulated (TCG), and why; `libvirt` is the root directory that
    libvirt sees, whose /dev may be another one.
    """
    flags = _cpu_flags(root)
    device = libvirt / "dev/kvm"
    capable = bool({"vmx", "svm"} & flags)
    if not capable:
        return _emulated(device, qemu_user)
    anew = "" if libvirt == root else f"; then {OWN_DEVICES}"
    if not device.exists():
        module = "kvm_intel" if "vmx" in flags else "kvm_amd"
        there = (root / "dev/kvm").exists()
        what = "libvirt was started without /dev/kvm" if there else "/dev/kvm is missing"
        remedy = OWN_DEVICES if there else f"load the module: modprobe {module}{anew}"
        return warning("kvm", f"{what}: machines are emulated (slow)", remedy)
    if not _usable(device, qemu_user):
        user = qemu_user or "this user"
        return warning(
            "kvm",
            f"{user} may not open /dev/kvm: machines are emulated, and libvirt probes QEMU anew at every step",
            f"add {user} to the group of /dev/kvm: usermod -aG kvm {qemu_user or '$USER'}{anew}",
        )
    return ok("kvm", "usable: machines run on the processor")


def programs(search_path: str = SEARCH_PATH) -> Iterator[Finding]:
    """The programs that libvirt and we call."""
    for name, (package, missed, essential) in PROGRAMS.items():
        found = shutil.which(name, path=search_path)
        if found:
            yield ok(name, found)
        else:
            level = problem if essential else warning
            yield level(name, f"{name} is not installed: {missed}", f"apt install {package}")


def firmware(root: Path) -> Iterator[Finding]:
    """UEFI for guests, plain and with Secure Boot, as QEMU's firmware descriptors tell."""
    plain = secure = False
    for descriptor in sorted((root / "usr/share/qemu/firmware").glob("*.json")):
        features = _firmware_features(descriptor, root)
        secure |= {"secure-boot", "enrolled-keys"} <= features
        plain |= "present" in features and "secure-boot" not in features
    for name, found, bootloader in (("ovmf", plain, "EFI"), ("ovmf secure boot", secure, "EFIWithSecureBoot")):
        if found:
            yield ok(name, f"machines with bootloader {bootloader} can run")
        else:
            yield warning(name, f"machines with bootloader {bootloader} cannot run", "apt install ovmf")


def apparmor(root: Path, directories: list[Path]) -> Finding:
    """AppArmor's profile for libvirt never lets QEMU into hidden directories of a home."""
    switch = root / "sys/module/apparmor/parameters/enabled"
    if not switch.exists() or switch.read_text(encoding="utf-8").strip() != "Y":
        return ok("apparmor", "not in force")
    trapped = [directory for directory in directories if _HIDDEN_HOME.match(str(directory))]
    profile = root / "etc/apparmor.d/usr.lib.libvirt.virt-aa-helper"
    if trapped and profile.exists():
        return problem(
            "apparmor",
            f"AppArmor keeps QEMU out of {trapped[0]}: it lies in a hidden directory of a home",
            "keep the state elsewhere: --state-dir or VMCTL_STATE_DIR, for example /var/lib/vmctl",
        )
    return ok("apparmor", "in force, and nothing of ours lies where it forbids")


def clock(now: float, newest: float) -> Finding:
    """Certificates, ages and leases need a clock that is not in the past; `newest` is the latest time recorded."""
    if now < newest - 60:
        return problem(
            "clock",
            f"the clock is behind the last change recorded here by {newest - now:.0f} s",
            "set it: timedatectl set-ntp true",
        )
    return ok("clock", "not behind anything recorded here")


def python() -> Iterator[Finding]:
    """The interpreter and the libraries we stand on."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MINIMUM_PYTHON:
        yield problem("python", f"Python {version} is too old", "install Python 3.11 or later")
    else:
        yield ok("python", f"Python {version}")
    found: list[str] = []
    for name in _requirements():
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            yield problem("libraries", f"{name} is not installed", "install vmctl again: ./install.sh")
    yield ok("libraries", ", ".join(found))


def _requirements() -> list[str]:
    """The names of our dependencies, those of tests left out."""
    try:
        wanted = metadata.requires("vmctl") or []
    except metadata.PackageNotFoundError:
        return []
    return [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in wanted if "extra ==" not in line]


def _cpu_flags(root: Path) -> set[str]:
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return set(match[1].split()) if match else set()


def _emulated(device: Path, user: str) -> Finding:
    """A processor without virtualization; a /dev/kvm that QEMU may not open makes libvirt probe it again and again."""
    what = "the processor shows neither vmx nor svm: machines are emulated (slow)"
    remedy = "turn virtualization on in the firmware (or nested virtualization in the outer hypervisor)"
    if device.exists() and not _usable(device, user):
        return warning("kvm", f"{what}, and libvirt probes QEMU anew at every step", f"chmod 666 {device}; {remedy}")
    return warning("kvm", what, remedy)


def _usable(device: Path, user: str) -> bool:
    """Whether QEMU's user (empty: ours) may read and write the device."""
    if not user:
        return os.access(device, os.R_OK | os.W_OK)
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return False
    status = device.stat()
    if account.pw_uid in (0, status.st_uid):
        return True
    if status.st_gid in os.getgrouplist(user, account.pw_gid):
        return bool(status.st_mode & stat.S_IWGRP)
    return bool(status.st_mode & stat.S_IWOTH)


def _firmware_features(descriptor: Path, root: Path) -> set[str]:
    """The features of a descriptor for x86-64 UEFI whose file is there (then with `present`); empty for any other."""
    try:
        content = json.loads(descriptor.read_text(encoding="utf-8"))
        architectures = {target["architecture"] for target in content["targets"]}
        executable = Path(content["mapping"]["executable"]["filename"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    if "x86_64" not in architectures or "uefi" not in content.get("interface-types", ()):
        return set()
    if not (root / executable.relative_to(executable.anchor)).exists():
        return set()
    return {"present", *content.get("features", ())}
