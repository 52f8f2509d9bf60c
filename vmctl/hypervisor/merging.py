"""Our document over the definition that libvirt has: what is ours is replaced, what is not ours survives.

Somebody may have added a title, a disk, an I/O limit with virsh: kept. Addresses and names of devices that stay are
kept too, so that the guest sees the same machine after every change. Pure: two trees in, one out.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vmctl.hypervisor import devices, metadata
from vmctl.hypervisor.documents import firmware_of, machine_family
from vmctl.hypervisor.ownership import NAMESPACE
from vmctl.hypervisor.trees import attribute_at, erase_at

if TYPE_CHECKING:
    from collections.abc import Iterable

# Top-level elements of which only some children are ours; of the others we render, all is ours.
_SHARED: dict[str, frozenset[str]] = {
    "cputune": frozenset({"shares"}),
    "features": frozenset({"acpi", "apic", "hyperv", "vmport", "smm"}),
    "cpu": frozenset({"model", "vendor", "topology", "feature"}),
    "os": frozenset({"type", "boot", "firmware", "loader", "nvram", "bios"}),
    "metadata": frozenset({f"{{{NAMESPACE}}}machine"}),
}
# Children of a device that describe it as we declare it; the rest (iotune, bandwidth, link …) belongs to whoever wrote
# it.
_DISK = frozenset({"source", "target", "readonly", "serial", "boot", "alias", "address", "backingStore", "mirror"})
_NIC = frozenset({"mac", "source", "model", "alias", "address", "target", "rom"})
_FIXED = frozenset({"alias", "address", "log"})
# Merged elsewhere, or libvirt's own notes on each core, which hold for the old number of them only.
_REWRITTEN = frozenset({"devices", "vcpus"})
# Without these, a definition has one of a kind: a second one of somebody else's would be refused.
_SINGLE = ("memballoon", "tpm")
_PCIE_DEVICES = (
    "./controller[@type='scsi']", "./controller[@type='virtio-serial']", "./controller[@model='qemu-xhci']",
    "./disk/target[@bus='virtio']/..", "./interface", "./memballoon", "./rng",
)  # fmt: skip


def merge(new: ET.Element, old: ET.Element | None, spare_ports: int) -> ET.Element:
    """Fit a freshly rendered document into the present definition and return it, complete with names of disks and
    spare ports.

    `new` is changed in place, `old` is not. New UEFI variables are asked for where there were none, or for another
    firmware.
    """
    record = metadata.read(new)
    before = None if old is None else metadata.read(old)
    if old is not None:
        old = deepcopy(old)
        written = set(record.domain_addresses if record else ())
        for address in before.domain_addresses if before else ():
            if address not in written:
                erase_at(old, address)
        _merge_top(new, old)
        _merge_devices(_devices(new), _devices(old), same_machine=machine_family(new) == machine_family(old))
    devices.name_disks(_devices(new))
    if machine_family(new) == "q35":
        _top_up_ports(_devices(new), spare_ports)
    if record is not None and firmware_of(new) != "BIOS":
        stale = old is None or firmware_of(old) != firmware_of(new) or (before is not None and before.fresh_nvram)
        if stale:
            next(new.iterfind(f"./metadata/{{{NAMESPACE}}}machine")).set("fresh-nvram", "yes")
    return new


def _devices(root: ET.Element) -> ET.Element:
    found = root.find("./devices")
    return ET.SubElement(root, "devices") if found is None else found


def _merge_top(new: ET.Element, old: ET.Element) -> None:
    same_firmware, same_machine = firmware_of(new) == firmware_of(old), machine_family(new) == machine_family(old)
    for element in old:
        if element.tag in _REWRITTEN:
            continue
        mine = new.find(element.tag)
        if mine is None:
            _drop(element, _SHARED.get(element.tag, frozenset()))
            if len(element) or element.tag not in _SHARED:
                new.append(element)
        elif element.tag in _SHARED:
            _graft(mine, element, _SHARED[element.tag])
    kind, kept = new.find("./os/type"), attribute_at(old, "./os/type", "machine")
    if kind is not None and same_machine and kept:
        kind.set("machine", kept)  # the version that the guest was installed on
    variables = old.find("./os/nvram")
    if same_firmware and variables is not None:
        for chosen in ("template", "templateFormat"):  # anew with the firmware, which an upgrade may have moved
            variables.attrib.pop(chosen, None)
        _os = new.find("./os")
        if _os is not None:
            _os.append(variables)


def _merge_devices(new: ET.Element, old: ET.Element, *, same_machine: bool) -> None:
    known = {devices.alias_of(device): device for device in old if devices.is_ours(device) and device.tag != "console"}
    for device in new:
        before = known.get(devices.alias_of(device))
        if before is not None and before.tag == device.tag:
            _keep_identity(device, before, same_machine=same_machine)
    single = [tag for tag in _SINGLE if new.find(tag) is not None]
    present = {(device.get("type"), device.get("index")) for device in new.iterfind("controller")}
    for device in old:
        if devices.is_ours(device) or device.tag in single or _mirrors_serial(device):
            continue
        if device.tag == "controller" and (not same_machine or (device.get("type"), device.get("index")) in present):
            continue
        if not same_machine:
            _drop(device, frozenset({"address"}))
        new.append(device)


def _keep_identity(device: ET.Element, before: ET.Element, *, same_machine: bool) -> None:
    same_slot = same_machine and _slot(device) == _slot(before)
    match device.tag:
        case "disk":
            _graft(device, before, _DISK)
            target, name = device.find("./target"), attribute_at(before, "./target", "dev")
            if target is not None and attribute_at(before, "./target", "bus") == target.get("bus"):
                target.set("dev", name)
        case "interface":
            _graft(device, before, _NIC)
        case _:
            _graft(device, before, _FIXED | {child.tag for child in device})
    address = before.find("./address")
    if same_slot and address is not None:
        device.append(address)


def _slot(device: ET.Element) -> tuple[str, ...]:
    """What decides where a device can be plugged in."""
    bus = attribute_at(device, "./target", "bus") if device.tag == "disk" else device.get("bus", "")
    model = attribute_at(device, "./model", "type") if device.tag == "interface" else device.get("model", "")
    return (device.tag, bus, model)


def _graft(mine: ET.Element, theirs: ET.Element, owned: Iterable[str]) -> None:
    """Copy what is not ours from the present element into the new one; attributes of shared children included."""
    for child in theirs:
        own = mine.find(child.tag)
        if own is None and child.tag not in owned:
            mine.append(child)
        elif own is not None and child.tag == "driver":
            for key, value in child.attrib.items():
                own.attrib.setdefault(key, value)


def _drop(element: ET.Element, tags: frozenset[str]) -> None:
    for child in [child for child in element if child.tag in tags]:
        element.remove(child)


def _mirrors_serial(device: ET.Element) -> bool:
    return device.tag == "console" and attribute_at(device, "./target", "type", "serial") == "serial"


def _top_up_ports(new: ET.Element, spare_ports: int) -> None:
    """Add root ports until every device has one and `spare_ports` are free; ports that are there already keep their
    places.

    libvirt fills the ports it finds before it makes more, so those of the devices have to be counted in.
    """
    ports = len(new.findall("./controller[@model='pcie-root-port']"))
    used = {id(device) for path in _PCIE_DEVICES for device in new.iterfind(path)}
    used |= {id(device) for device in new if _on_a_port(device)}
    if new.find("./controller[@type='virtio-serial']") is None:
        used.add(0)  # libvirt will add it for the agent's channel
    for _ in range(len(used) + spare_ports - ports):
        new.append(ET.Element("controller", {"type": "pci", "model": "pcie-root-port"}))


def _on_a_port(device: ET.Element) -> bool:
    address = device.find("./address[@type='pci']")
    return address is not None and int(address.get("bus", "0"), 0) > 0
