"""What the host can give a guest: asked of libvirt once, with the reason why KVM is not used where it is not."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import libvirt

from vmctl.errors import Unsupported
from vmctl.hypervisor import daemon
from vmctl.hypervisor.processors import Platform
from vmctl.hypervisor.trees import node, parse, serialise, text_at
from vmctl.planning.observed import Host

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

_ARCHITECTURE = "x86_64"
_MACHINE = "q35"
_KVM = Path("/dev/kvm")
_CPUINFO = Path("/proc/cpuinfo")


def platform_of(host: Host) -> Platform:
    """Tell what documents for this host are written for."""
    if _is_test(host.uri):
        return Platform("test", shares=host.cpu_shares)
    return Platform("kvm" if host.accelerator == "kvm" else "qemu", shares=host.cpu_shares)


def is_local(uri: str) -> bool:
    """Tell whether a URI leads to the libvirt of this very machine, whose interfaces and files are ours to look at."""
    parts = urlsplit(uri)
    return not parts.hostname and "socket" not in parse_qs(parts.query)


def read_host(connection: Any, uri: str, accelerator: Literal["auto", "kvm", "tcg"]) -> Host:
    """Ask libvirt for the facts of a host. Raises Unsupported when the accelerator that was asked for cannot be had."""
    capabilities = parse(connection.getCapabilities())
    privileged = not urlsplit(uri).path.startswith("/session") or os.geteuid() == 0
    user = _qemu_user(capabilities)
    device = daemon.root(uri) / _KVM.relative_to("/")
    why_not = why_not_kvm(capabilities, local=is_local(uri), user=user, device=device)
    if accelerator == "kvm" and why_not:
        raise Unsupported(
            f"KVM was asked for, and cannot be used: {why_not}",
            remedy="use VMCTL_ACCELERATOR=auto or tcg, or make KVM available",
            operation="use",
            subject="kvm",
        )
    chosen: Literal["kvm", "tcg"] = "tcg" if why_not or accelerator == "tcg" else "kvm"
    can = None if _is_test(uri) else _domain_capabilities(connection, chosen)
    memory = connection.getInfo()[1] << 10
    return Host(
        name=connection.getHostname(),
        uuid=text_at(capabilities, "./host/uuid"),
        uri=uri,
        cpus=connection.getInfo()[2],
        memory_kib=memory,
        accelerator=chosen,
        accelerator_reason=why_not if chosen == "tcg" and why_not else "TCG was asked for" if chosen == "tcg" else "",
        libvirt=_version(connection.getLibVersion()),
        qemu=_version(connection.getVersion()),
        architecture=_ARCHITECTURE,
        models=frozenset() if can is None else _models(can),
        features=frozenset() if can is None else _features(connection, can, chosen),
        efi=can is None or can.find("./os/enum[@name='firmware']/value[.='efi']") is not None,
        secure_boot=can is None or can.find("./os/loader/enum[@name='secure']/value[.='yes']") is not None,
        tpm=can is None or can.find("./devices/tpm/enum[@name='backendModel']/value[.='emulator']") is not None,
        managed_networks=privileged,
        cpu_shares=privileged,
        qemu_user=user,
    )


def why_not_kvm(
    capabilities: ET.Element, *, local: bool, user: str, device: Path = _KVM, cpuinfo: Path = _CPUINFO
) -> str:
    """Say why KVM cannot be used; empty when it can.

    libvirt's word alone does not do: on some virtual machines /dev/kvm is there, the CPU has no virtualization to
    offer, and guests start and die. On another host libvirt's view of its CPU has to be enough.
    """
    if capabilities.find(f"./guest/arch[@name='{_ARCHITECTURE}']/domain[@type='kvm']") is None:
        return "libvirt does not offer KVM"
    if not local:
        features = {feature.get("name") for feature in capabilities.iterfind("./host/cpu/feature")}
        return "" if features & {"vmx", "svm"} else "the CPU shows neither vmx nor svm"
    if not _has_virtualization(cpuinfo):
        return "the CPU shows neither vmx nor svm"
    if not user or os.geteuid() == 0:
        try:
            os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            return f"{device} does not open: {error.strerror}"
    if user and not _may_open(device, user):
        return f"{device} is closed to {user}, the user that QEMU runs as"
    return ""


def _has_virtualization(cpuinfo: Path) -> bool:
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return bool({"vmx", "svm"} & set(line.split()))
    return False


def _may_open(device: Path, user: str) -> bool:
    """Tell by mode and owner whether QEMU's user may open a device."""
    try:
        status, account = device.stat(), pwd.getpwnam(user)
    except (OSError, KeyError):
        return False
    groups = os.getgrouplist(user, account.pw_gid)
    if account.pw_uid == 0 or status.st_mode & 0o006 == 0o006:
        return True
    if status.st_uid == account.pw_uid:
        return status.st_mode & 0o600 == 0o600
    return status.st_gid in groups and status.st_mode & 0o060 == 0o060


def _qemu_user(capabilities: ET.Element) -> str:
    """Read the user of QEMU from libvirt's DAC label (`+64055:+108`); empty where it is our own."""
    for model in capabilities.iterfind("./host/secmodel"):
        if text_at(model, "./model") == "dac":
            number = text_at(model, "./baselabel").partition(":")[0].removeprefix("+")
            if number.isdecimal() and int(number) != os.geteuid():
                try:
                    return pwd.getpwuid(int(number)).pw_name
                except KeyError:
                    return number
    return ""


def _domain_capabilities(connection: Any, accelerator: Literal["kvm", "tcg"]) -> ET.Element:
    kind = "kvm" if accelerator == "kvm" else "qemu"
    return parse(connection.getDomainCapabilities(None, _ARCHITECTURE, _MACHINE, kind, 0))


def _models(can: ET.Element) -> frozenset[str]:
    models = can.iterfind("./cpu/mode[@name='custom']/model")
    return frozenset(model.text or "" for model in models if model.get("usable") != "no")


def _features(connection: Any, can: ET.Element, accelerator: Literal["kvm", "tcg"]) -> frozenset[str]:
    """Expand what the accelerator calls the host's model into all the features that it stands for."""
    mode = can.find("./cpu/mode[@name='host-model'][@supported='yes']")
    if mode is None:
        return frozenset()
    cpu = node("cpu", *mode, mode="custom", match="exact")
    kind = "kvm" if accelerator == "kvm" else "qemu"
    flags = libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES
    try:
        text = connection.baselineHypervisorCPU(None, _ARCHITECTURE, _MACHINE, kind, [serialise(cpu)], flags)
    except libvirt.libvirtError:
        return _required(mode)  # without libvirt's table of this model, at least what it lists by name
    return _required(parse(text))


def _required(cpu: ET.Element) -> frozenset[str]:
    features = cpu.iterfind("./feature")
    return frozenset(feature.get("name", "") for feature in features if feature.get("policy") != "disable")


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _is_test(uri: str) -> bool:
    return uri.startswith("test:")
