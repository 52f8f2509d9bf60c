"""What we write into a domain's metadata: whose machine it is, and what libvirt's own document does not show or
rewrites.

It travels with the definition, so a running domain still carries what it was started with. Every local user of libvirt
can read it: secrets never enter it. Values stand in attributes, because libvirt reformats the text between elements.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vmctl.hypervisor.memory import Memory
from vmctl.hypervisor.ownership import NAMESPACE, PREFIX, escape, unescape
from vmctl.hypervisor.processors import Processor
from vmctl.planning.hardware import Cpu

if TYPE_CHECKING:
    from collections.abc import Mapping

ET.register_namespace(PREFIX, NAMESPACE)

_MACHINE = f"{{{NAMESPACE}}}machine"
_CPU = f"{{{NAMESPACE}}}cpu"
_MEMORY = f"{{{NAMESPACE}}}memory"
_PORTS = f"{{{NAMESPACE}}}ports"
_TEXT = f"{{{NAMESPACE}}}text"


@dataclass(frozen=True, slots=True)
class Record:
    """What a domain says about itself in our own words.

    `fresh_nvram` asks the next start to make new UEFI variables. `domain_addresses` lists the places of the document
    that texts were written to; `texts` holds only those without such a place. `disks` lists aliases in our order.
    """

    namespace: str
    name: str
    uid: str
    installation: str
    nonce: str = ""
    fresh_nvram: bool = False
    processor: Processor | None = None
    memory: Memory = field(default_factory=Memory)
    spare_ports: int = 0
    hyperv: bool = False
    disks: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    domain_addresses: tuple[str, ...] = ()


def write(record: Record) -> ET.Element:
    """Make our element of `<metadata>`."""
    machine = ET.Element(
        _MACHINE,
        {
            "namespace": escape(record.namespace),
            "name": escape(record.name),
            "uid": record.uid,
            "installation": escape(record.installation),
            "nonce": escape(record.nonce),
        },
    )
    if record.fresh_nvram:
        machine.set("fresh-nvram", "yes")
    if record.disks:
        machine.set("disks", " ".join(record.disks))
    if record.hyperv:
        machine.set("hyperv", "yes")
    if record.processor is not None:
        machine.append(_written_processor(record.processor))
    machine.append(_numbered(_MEMORY, kib=record.memory.kib, most=record.memory.most, target=record.memory.target))
    ET.SubElement(machine, _PORTS, {"spare": str(record.spare_ports)})
    for address, value in record.texts.items():
        ET.SubElement(machine, _TEXT, {"address": escape(address), "value": escape(value)})
    for address in record.domain_addresses:
        ET.SubElement(machine, _TEXT, {"address": escape(address)})
    return machine


def read(root: ET.Element) -> Record | None:
    """Read our element out of a domain document; None where there is none."""
    machine = root.find(f"./metadata/{_MACHINE}")
    if machine is None:
        return None
    texts = {unescape(text.get("address", "")): text.get("value") for text in machine.iterfind(_TEXT)}
    return Record(
        namespace=unescape(machine.get("namespace", "")),
        name=unescape(machine.get("name", "")),
        uid=machine.get("uid", ""),
        installation=unescape(machine.get("installation", "")),
        nonce=unescape(machine.get("nonce", "")),
        fresh_nvram=machine.get("fresh-nvram") == "yes",
        hyperv=machine.get("hyperv") == "yes",
        disks=tuple(machine.get("disks", "").split()),
        processor=_read_processor(machine),
        memory=Memory(*(_number(machine.find(_MEMORY), name) for name in ("kib", "most", "target"))),
        spare_ports=_number(machine.find(_PORTS), "spare"),
        texts={address: unescape(value) for address, value in texts.items() if value is not None},
        domain_addresses=tuple(address for address, value in texts.items() if value is None),
    )


def replace(root: ET.Element, record: Record) -> None:
    """Put a record in the place of the one that a document carries."""
    place = root.find("./metadata")
    if place is None:
        place = ET.SubElement(root, "metadata")
    for old in place.findall(_MACHINE):
        place.remove(old)
    place.append(write(record))


def _written_processor(processor: Processor) -> ET.Element:
    cpu = processor.cpu
    element = _numbered(_CPU, share=cpu.shares_percent, most=processor.most, counted=processor.counted)
    element.set("kind", cpu.kind)
    if cpu.model:
        element.set("model", escape(cpu.model))
    if cpu.features:
        element.set("features", escape(" ".join(cpu.features)))
    return element


def _read_processor(machine: ET.Element) -> Processor | None:
    element = machine.find(_CPU)
    if element is None:
        return None
    kind = element.get("kind", "Host")
    cpu = Cpu(
        sockets=1,
        cores_per_socket=1,
        shares_percent=_number(element, "share") or 100,
        kind=kind if kind in ("Host", "HostPassthrough", "Model", "Features", "Discovery") else "Host",  # type: ignore[arg-type]
        model=unescape(element.get("model", "")),
        features=tuple(unescape(element.get("features", "")).split()),
    )
    return Processor(cpu, _number(element, "most"), _number(element, "counted"))


def _numbered(tag: str, **numbers: int) -> ET.Element:
    return ET.Element(tag, {name: str(number) for name, number in numbers.items() if number})


def _number(element: ET.Element | None, name: str) -> int:
    text = "" if element is None else element.get(name, "")
    return int(text) if text.isdecimal() else 0
