"""Disks of a running machine, in and out, known by their alias."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import libvirt

from vmctl.hypervisor import devices
from vmctl.hypervisor.running import LIVE, read, refusing, rejected
from vmctl.hypervisor.trees import attribute_at, parse, serialise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree import ElementTree as ET

    from vmctl.hypervisor.waiting import Pace
    from vmctl.planning.hardware import Disk

_PATIENCE_S = 10.0
_LET_GO = "unmount it there and see that the guest has booted; at the latest it goes with the next restart"


def plug(domain: Any, disk: Disk) -> None:
    """Attach a disk; see the contract."""
    doing = "plug a disk into"
    with refusing(domain, doing):
        root = read(domain, doing).root
        present = _disk(root, disk.alias)
        if present is not None:
            source = attribute_at(present, "./source", "file")
            if source != disk.source:
                raise rejected(domain, doing, f"it has {disk.alias} already, from {source}")
            return
        if disk.bus in ("sata", "ide"):
            raise rejected(domain, doing, f"disks on {disk.bus.upper()} cannot be plugged in while it runs")
        if disk.bus == "scsi" and root.find("./devices/controller[@type='scsi'][@model='virtio-scsi']") is None:
            raise rejected(domain, doing, "it was started without a SCSI controller")
        defined = _disk(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)), disk.alias)
        domain.attachDeviceFlags(serialise(_fitted(disk, root, defined)), LIVE)


def unplug(domain: Any, alias: str, pace: Pace) -> None:
    """Detach a disk and wait until it is gone; see the contract."""
    doing = "unplug a disk from"

    def there() -> int:
        return int(_disk(parse(domain.XMLDesc(0)), alias) is not None)

    with refusing(domain, doing):
        if _disk(read(domain, doing).root, alias) is None:
            return
        words = _ask_to_let_go(domain, alias)
        # libvirt says «done» when the guest has been asked, and when it has given up waiting for the guest.
        if pace.watch(there, lambda seen: not seen, patience_s=_PATIENCE_S):
            raise rejected(domain, doing, f"the guest does not let go of {alias}{words}", _LET_GO)


def _ask_to_let_go(domain: Any, alias: str) -> str:
    """Ask for a device; what libvirt objects while it may still go, such as that the guest was asked before."""
    try:
        domain.detachDeviceAlias(alias, LIVE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_DEVICE_MISSING:
            return ""
        if "process of unplug" not in error.get_error_message():
            raise
        return f" (libvirt: {error.get_error_message()})"
    return ""


def _fitted(disk: Disk, root: ET.Element, defined: ET.Element | None) -> ET.Element:
    """Write a disk for a running machine: named and placed as in its definition, where that is free, and without a boot
    order, which only counts at a start and may be another disk's until then.
    """
    element = devices.render_disk(replace(disk, boot=None, target=""))
    place, target = root.find("./devices"), element.find("./target")
    if place is None or target is None:
        return element
    if defined is not None and attribute_at(defined, "./target", "bus") == disk.bus:
        name = attribute_at(defined, "./target", "dev")
        if name not in {attribute_at(other, "./target", "dev") for other in place.iterfind("./disk")}:
            target.set("dev", name)
            address = defined.find("./address")
            if address is not None and _is_free(address, place):
                element.append(address)
    place.append(element)
    devices.name_disks(place)
    return element


def _is_free(address: ET.Element, place: ET.Element) -> bool:
    """Tell whether nothing has the address, and there is a port for it."""
    if any(other.attrib == address.attrib for other in place.iterfind("./*/address")):
        return False
    ports = {int(controller.get("index", "0")) for controller in place.iterfind("./controller[@type='pci']")}
    return address.get("type") != "pci" or int(address.get("bus", "0"), 0) in ports


def _disk(root: ET.Element, alias: str) -> ET.Element | None:
    disks: Iterator[ET.Element] = root.iterfind("./devices/disk")
    return next((disk for disk in disks if devices.alias_of(disk) == alias), None)
