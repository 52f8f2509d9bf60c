"""Every error of libvirt has a class, and those of a start that people meet have a sentence."""

from __future__ import annotations

import libvirt
import pytest

from vmctl.errors import Busy, Exists, HypervisorError, NotFound, Rejected, Unreachable, Unsupported
from vmctl.hypervisor.explanations import explain
from vmctl.hypervisor.failures import CLASS_OF_CODE, translate, translated


def error(words: str, code: int = libvirt.VIR_ERR_INTERNAL_ERROR, origin: int = libvirt.VIR_FROM_QEMU) -> Exception:
    made = libvirt.libvirtError(words)
    made.err = (code, origin, words, 2, "", "", "", -1, -1)
    failure: Exception = made
    return failure


CODES = {
    name: value
    for name, value in vars(libvirt).items()
    if name.startswith("VIR_ERR_") and name not in ("VIR_ERR_WARNING", "VIR_ERR_ERROR")  # these two are levels
}


def test_every_code_has_been_thought_of() -> None:
    assert {name for name, value in CODES.items() if value not in CLASS_OF_CODE} == set()


@pytest.mark.parametrize(
    ("code", "origin", "words", "kind"),
    [
        (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_FROM_QEMU, "Domain not found", NotFound),
        (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC, "client socket is closed", Unreachable),
        (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, "End of file while reading data", Unreachable),
        (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_QEMU, "something", HypervisorError),
        (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_FROM_QEMU, "'x' already exists with uuid 1", Exists),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_FROM_QEMU, "cannot acquire state change lock", Busy),
        (libvirt.VIR_ERR_CONFIG_UNSUPPORTED, libvirt.VIR_FROM_QEMU, "no passt", Unsupported),
        (libvirt.VIR_ERR_XML_INVALID_SCHEMA, libvirt.VIR_FROM_DOMAIN, "Invalid element", Rejected),
        (99999, libvirt.VIR_FROM_QEMU, "of a later libvirt", HypervisorError),
    ],
)
def test_classes(code: int, origin: int, words: str, kind: type[HypervisorError]) -> None:
    failure = translate(error(words, code, origin), "start", "vm1")
    assert type(failure) is kind
    assert failure.message == f"cannot start vm1: {words}"
    assert (failure.operation, failure.subject, failure.code) == ("start", "vm1", code)


def test_the_cause_is_chained() -> None:
    cause = error("Domain not found", libvirt.VIR_ERR_NO_DOMAIN)
    with pytest.raises(NotFound) as raised, translated("read", "vm1"):
        raise cause
    assert raised.value.__cause__ is cause


@pytest.mark.parametrize(
    ("words", "kind", "meaning", "remedy"),
    [
        (
            "Cannot access storage file '/d/x.qcow2' (as uid:64055, gid:108): No such file or directory",
            Rejected,
            "/d/x.qcow2 is missing",
            "put the file",
        ),
        (
            "Cannot access storage file '/d/x.qcow2' (as uid:64055, gid:108): Permission denied",
            Rejected,
            "QEMU's user may not open /d/x.qcow2",
            "namei -l /d/x.qcow2",
        ),
        (
            "process exited while connecting to monitor: qemu: Could not open '/d/x.qcow2': Permission denied",
            Rejected,
            "QEMU's user may not open /d/x.qcow2",
            "every directory",
        ),
        (
            'process exited: qemu: Failed to get "write" lock\nIs another process using the image [/d/x.qcow2]?',
            Busy,
            "has one of its disks open",
            "stop what uses",
        ),
        ("cannot set up guest memory 'pc.ram': Cannot allocate memory", HypervisorError, "free memory", "stop another"),
        ("Failed to bind socket to /x: Address already in use", Busy, "port or socket", "listens"),
        (
            "invalid argument: could not find capabilities for arch=x86_64 domaintype=kvm",
            Unsupported,
            "KVM cannot be used",
            "VMCTL_ACCELERATOR=tcg",
        ),
        (
            "operation failed: Unable to find any firmware to satisfy 'efi'",
            Unsupported,
            "lacks firmware",
            "ovmf",
        ),
        ("network 'vmctl' is not active", NotFound, "network vmctl is not running", "virsh net-start vmctl"),
        (
            "the CPU is incompatible with host CPU: Host CPU does not provide required features: avx512f, pku",
            Unsupported,
            "avx512f, pku",
            "choose a class",
        ),
        ("qemu: Image is not in qcow2 format", Rejected, "no qcow2 image", "import"),
        ("write failed: No space left on device", HypervisorError, "disk is full", "free some space"),
        ("Failed to create PTY: Permission denied", Rejected, "serial console", "ptmxmode=666"),
        ("Cannot open log file: '/c.log': Device or resource busy", Busy, "writes its console to /c.log", "stop that"),
        ("something nobody has met before", HypervisorError, "nobody has met", ""),
    ],
)
def test_sentences(words: str, kind: type[HypervisorError], meaning: str, remedy: str) -> None:
    failure = explain(error(words), "start", "vm1")
    assert type(failure) is kind
    assert meaning in failure.message
    assert words in failure.message
    assert remedy in failure.remedy


def test_a_lost_connection_is_not_mistaken_for_a_failed_start() -> None:
    failure = explain(
        error("client socket is closed: Permission denied", libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC),
        "start",
        "vm1",
    )
    assert isinstance(failure, Unreachable)
