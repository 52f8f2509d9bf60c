"""Why a machine could not be defined or started, as a sentence that a person can act on.

QEMU reports through libvirt as free text; the patterns here are of messages met in practice (libvirt 9.0, QEMU 7.2).
What matches none keeps its class and its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vmctl.errors import Busy, HypervisorError, NotFound, Rejected, Unreachable, Unsupported
from vmctl.hypervisor.failures import class_of, translate


@dataclass(frozen=True, slots=True)
class Explanation:
    """A pattern in libvirt's words, what it means, what to do; `{it}` stands for the pattern's group of that name."""

    pattern: re.Pattern[str]
    kind: type[HypervisorError]
    meaning: str
    remedy: str


def _of(pattern: str, kind: type[HypervisorError], meaning: str, remedy: str) -> Explanation:
    return Explanation(re.compile(pattern, re.IGNORECASE | re.DOTALL), kind, meaning, remedy)


_FILE = (
    r"(?:storage file|could not open|unable to open file:?|cannot open file) "
    r"'?(?P<it>/[^']*?)'?(?: \(as uid:[^)]*\))?"
)

_EXPLANATIONS = (
    _of(
        r'Failed to get .*".* lock',
        Busy,
        "something else has one of its disks open",
        "stop what uses the image (another machine, qemu-img, a backup); it is tried again",
    ),
    _of(
        rf"{_FILE}: Permission denied",
        Rejected,
        "QEMU's user may not open {it}",
        "let that user read it and pass through every directory above it (`namei -l {it}` shows where it stops)",
    ),
    _of(
        rf"{_FILE}: No such file",
        Rejected,
        "{it} is missing",
        "put the file or its directory back, or change what the machine refers to",
    ),
    _of(
        r"Cannot allocate memory|cannot set up guest memory",
        HypervisorError,
        "the host has not enough free memory for it",
        "stop another machine or give this one less; it is tried again",
    ),
    _of(r"No space left on device", HypervisorError, "the host's disk is full", "free some space; it is tried again"),
    _of(
        r"Address already in use",
        Busy,
        "a port or socket it needs is in use on the host",
        "stop what listens there; it is tried again",
    ),
    _of(
        r"domaintype=kvm|\bkvm\b.*(not available|not supported|denied|failed to initialize)|could not access kvm",
        Unsupported,
        "KVM cannot be used on this host",
        "set VMCTL_ACCELERATOR=tcg, or switch virtualization on in the host's firmware and load kvm_intel or kvm_amd",
    ),
    _of(
        r"Unable to find .*firmware|swtpm.*(not found|unable to find)|unable to find 'swtpm",
        Unsupported,
        "the host lacks firmware or a software TPM for it",
        "install the packages ovmf (or edk2-ovmf), swtpm and swtpm-tools",
    ),
    _of(
        r"network '(?P<it>[^']*)' is not active",
        NotFound,
        "network {it} is not running",
        "start it (`virsh net-start {it}`)",
    ),
    _of(
        r"does not provide required features: (?P<it>.*)",
        Unsupported,
        "this host cannot give a guest the CPU features {it}",
        "choose a class with a CPU that this host can give",
    ),
    _of(
        r"Image is not in (?P<it>\w+) format",
        Rejected,
        "the file of one of its disks is no {it} image",
        "import the image again",
    ),
    _of(
        r"CPU tuning is not available|cgroup",
        Unsupported,
        "the host has no cgroup controller for guaranteed CPU shares",
        "let libvirt use the cpu controller (cgroup_controllers in qemu.conf)",
    ),
    _of(
        r"readonly (ide|sata) disks are not supported",
        Unsupported,
        "a read-only image cannot be a SATA or IDE disk",
        "set enableParavirtualization: true, or make a VirtualDisk of the image",
    ),
    _of(
        r"Failed to create PTY: Permission denied",
        Rejected,
        "QEMU's user may not make a terminal for the serial console",
        "mount /dev/pts with ptmxmode=666 (`mount -o remount,ptmxmode=666 /dev/pts`)",
    ),
    _of(
        r"Cannot open log file: '(?P<it>[^']*)': Device or resource busy",
        Busy,
        "another machine writes its console to {it}",
        "stop that machine; it is tried again",
    ),
    _of(r"virtlogd", HypervisorError, "libvirt's log daemon does not answer", "start virtlogd; it is tried again"),
)


def explain(error: Any, operation: str, subject: str) -> HypervisorError:
    """Make ours of what stopped a machine from being defined or started."""
    words = (error.get_error_message() or str(error)).strip()
    code = error.get_error_code() or 0
    if class_of(code, error.get_error_domain(), words) is Unreachable:
        return translate(error, operation, subject)
    for explanation in _EXPLANATIONS:
        if found := explanation.pattern.search(words):
            it = (found.groupdict().get("it") or "").strip()
            return explanation.kind(
                f"cannot {operation} {subject}: {explanation.meaning.format(it=it)} (libvirt: {words})",
                remedy=explanation.remedy.format(it=it),
                operation=operation,
                subject=subject,
                code=code,
            )
    return translate(error, operation, subject)
