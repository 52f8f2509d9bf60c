"""The processor in a domain document, both ways.

libvirt shows a running host-model CPU as the named model it stood for, and a named model with what the host added or
lacked. What was asked for therefore stands in our record too, and counts wherever the document still agrees with it; a
document that was edited by somebody else is read literally, so that the drift shows.

What a class's cpu.type becomes:

    Host               host-model
    HostPassthrough    host-passthrough with KVM; `maximum` under TCG, which refuses passthrough
    Model              the named model; under TCG without libvirt's check, so that QEMU gives what it can and goes on
    Features           host-model with the features required
    Discovery          the same, with the features that the class found
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from vmctl.hypervisor.trees import attribute_at, node, text_at
from vmctl.planning.hardware import Cpu

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

DomainType = Literal["kvm", "qemu", "test"]

# libvirt hands `shares` to cpu.weight (cgroup v2, 1..10000, 100 where nothing is set) or cpu.shares (v1, from 2) as it
# stands. One percent of one core is one unit: a machine with one full core weighs as much as a foreign one without a
# setting, and 100 full cores fit.
_LEAST_SHARES, _MOST_SHARES = 2, 10_000


@dataclass(frozen=True, slots=True)
class Platform:
    """What the same hardware is written differently for: the accelerator, and whether shares can be set (cgroups)."""

    domain_type: DomainType
    shares: bool = True


@dataclass(frozen=True, slots=True)
class Processor:
    """What our record says of the processor: what was asked for, and the room it was started with, 0 for none.

    `counted` is the number of cores that the guest is known to use while more are being brought online, else 0: what
    the host has plugged in and the guest has not taken yet is not there yet.
    """

    cpu: Cpu
    most: int = 0
    counted: int = 0


def render_vcpu(cpu: Cpu, most: int) -> ET.Element:
    """Write `<vcpu>`: how many cores there are, of how many that there can be."""
    if most <= cpu.cores:
        return node("vcpu", text=str(cpu.cores), placement="static")
    return node("vcpu", text=str(most), placement="static", current=str(cpu.cores))


def render_cpu(cpu: Cpu, most: int, platform: Platform) -> ET.Element:
    """Write `<cpu>`: mode, model, required features, and a topology that has a place for every core there can be."""
    per_socket = max(most, cpu.cores) // cpu.sockets
    topology = node("topology", sockets=str(cpu.sockets), dies="1", cores=str(per_socket), threads="1")
    features = [node("feature", policy="require", name=name) for name in cpu.features]
    match cpu.kind:
        case "HostPassthrough":
            mode = "host-passthrough" if platform.domain_type == "kvm" else "maximum"
            return node("cpu", topology, *features, mode=mode, check="none")
        case "Model":
            check = "partial" if platform.domain_type == "kvm" else "none"
            model = node("model", text=cpu.model, fallback="forbid")
            return node("cpu", model, topology, *features, mode="custom", match="exact", check=check)
        case "Host" | "Features" | "Discovery":
            return node("cpu", topology, *features, mode="host-model", check="partial")


def render_shares(cpu: Cpu) -> int:
    """Turn the guaranteed share of all cores into libvirt's relative weight."""
    return min(max(cpu.cores * cpu.shares_percent, _LEAST_SHARES), _MOST_SHARES)


def read_cpu(root: ET.Element, recorded: Processor | None, *, live: bool) -> tuple[Cpu, int]:
    """Read the processor of a document, `live` or inactive, with what our record says it stands for, and the room."""
    element = root.find("./cpu")
    most, present = _most_cores(root), plugged_cores(root)
    laid_out = Cpu(_sockets(element, most), 1).with_cores(present)
    shown = _literal(element, laid_out.sockets, laid_out.cores_per_socket)
    if recorded is None:
        return replace(shown, shares_percent=_percent(root, shown, ())), 0 if most == present else most
    asked = replace(recorded.cpu, sockets=shown.sockets, cores_per_socket=shown.cores_per_socket)
    if _agrees(shown, asked, live=live):
        shown = asked
    counted = asked.with_cores(recorded.counted) if live and recorded.counted else asked
    shown = replace(shown, shares_percent=_percent(root, shown, (asked, counted)))
    if counted is not asked:
        shown = shown.with_cores(counted.cores)
    return shown, most if recorded.most or most != present else 0


def plugged_cores(root: ET.Element) -> int:
    """Count the cores that the host has given a machine; its guest may not use all of them yet."""
    return int(attribute_at(root, "./vcpu", "current") or _most_cores(root))


def _most_cores(root: ET.Element) -> int:
    return int(text_at(root, "./vcpu", "1"))


def _sockets(element: ET.Element | None, most: int) -> int:
    """The sockets of a document whose topology has a place for every core; else one for each."""
    topology = None if element is None else element.find("./topology")
    if topology is None:
        return most
    sockets = int(topology.get("sockets", "1"))
    # clusters came with libvirt 10.1, dies with 6.1
    per_socket = math.prod(int(topology.get(part, "1")) for part in ("dies", "clusters", "cores", "threads"))
    return sockets if sockets * per_socket == most else most


def _literal(element: ET.Element | None, sockets: int, cores: int) -> Cpu:
    if element is None:
        return Cpu(sockets, cores, kind="Model")
    features = tuple(
        feature.get("name", "")
        for feature in element.iterfind("./feature")
        if feature.get("policy", "require") == "require"
    )
    mode = element.get("mode", "custom")
    if mode in ("host-passthrough", "maximum"):
        return Cpu(sockets, cores, kind="HostPassthrough", features=features)
    if mode == "host-model":
        return Cpu(sockets, cores, kind="Features" if features else "Host", features=features)
    return Cpu(sockets, cores, kind="Model", model=text_at(element, "./model"), features=features)


def _agrees(shown: Cpu, recorded: Cpu, *, live: bool) -> bool:
    """Tell whether a document may be what the record became after libvirt had it."""
    if recorded.kind == "Model":
        return shown.kind == "Model" and shown.model == recorded.model and (live or _same_features(shown, recorded))
    if recorded.kind == "HostPassthrough":
        return shown.kind == "HostPassthrough" and _same_features(shown, recorded)
    if live and shown.kind == "Model":
        return True  # host-model, expanded at the start
    return shown.kind in ("Host", "Features") and _same_features(shown, recorded)


def _same_features(shown: Cpu, recorded: Cpu) -> bool:
    return sorted(shown.features) == sorted(recorded.features)


def _percent(root: ET.Element, shown: Cpu, asked: tuple[Cpu, ...]) -> int:
    """Read the guaranteed share of each core: as it was asked for, where that gives what the document shows."""
    text = text_at(root, "./cputune/shares")
    if not text:  # without cgroups nothing was written: what was asked for is all there is to know
        return asked[0].shares_percent if asked else 100
    shares = int(text)
    for cpu in asked:
        if render_shares(cpu) == shares:
            return cpu.shares_percent
    return max(1, min(100, round(shares / shown.cores)))
