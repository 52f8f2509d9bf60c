"""The memory in a domain document, both ways, with the room that a running machine can grow into.

`<memory>` is the most that a guest can have, `<currentMemory>` what it has; its balloon driver holds the difference. In
a running machine libvirt shows the latter as QEMU last told it. Until the guest's driver has answered, at every boot,
that is the most; while the driver fills the balloon it is something in between. A guest that has more than the target
noted in our record is therefore read as having its target: it was asked already, and gives back when it comes to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmctl.hypervisor.trees import attribute_at, node, text_at

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from vmctl.planning.hardware import Hardware

_KIB = {"b": 1 / 1024, "bytes": 1 / 1024, "KB": 1000 / 1024, "k": 1, "KiB": 1, "MB": 1e6 / 1024, "M": 1024, "MiB": 1024,
        "GB": 1e9 / 1024, "G": 1 << 20, "GiB": 1 << 20, "TB": 1e12 / 1024, "T": 1 << 30, "TiB": 1 << 30}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Memory:
    """Sizes in KiB as our record has them. `most` is 0 without room; `target` is what the running guest was last told
    to have, 0 where that is still `kib`.
    """

    kib: int = 0
    most: int = 0
    target: int = 0


def render_memory(hardware: Hardware) -> tuple[ET.Element, ET.Element]:
    """Write `<memory>` and `<currentMemory>`."""
    most = str(whole_mib(max(hardware.most_memory_kib, hardware.memory_kib)))
    return (
        node("memory", text=most, unit="KiB"),
        node("currentMemory", text=str(whole_mib(hardware.memory_kib)), unit="KiB"),
    )


def read_memory(root: ET.Element, recorded: Memory, *, live: bool) -> tuple[int, int]:
    """Read what the machine has and the room it was given, in KiB, as planning asked for them where the document agrees
    with that.
    """
    most = most_kib(root)
    present = _kib(root, "./currentMemory", most)
    target = recorded.target or recorded.kib
    wanted = present == whole_mib(target) or (live and target < present <= most)
    return target if wanted else present, _room(recorded, most, present)


def most_kib(root: ET.Element) -> int:
    """Read the most that a guest can have."""
    return _kib(root, "./memory", 0)


def whole_mib(kib: int) -> int:
    """Round up as QEMU would at the start, so that the definition and the running machine agree."""
    return -(-kib // 1024) * 1024


def _room(recorded: Memory, most: int, present: int) -> int:
    if recorded.most:
        return recorded.most if most == whole_mib(recorded.most) else most
    return 0 if most in (present, whole_mib(recorded.kib)) else most


def _kib(root: ET.Element, path: str, default: int) -> int:
    text = text_at(root, path)
    return int(int(text) * _KIB[attribute_at(root, path, "unit", "KiB")]) if text else default
