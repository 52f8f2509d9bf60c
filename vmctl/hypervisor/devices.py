"""Disks, network interfaces and the fixed devices of a machine, as elements of a domain document and back.

A device is ours when it has a user alias (`ua-…`), which libvirt keeps in the definition and shows in the running
machine; everything else belongs to somebody else. Graphics have no alias in libvirt: VNC on a socket is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from vmctl.hypervisor.trees import attribute_at, node
from vmctl.planning.hardware import Bus, Disk, Hardware, Nic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree import ElementTree as ET

OURS = "ua-"
AGENT_CHANNEL = "org.qemu.guest_agent.0"

_PREFIX_OF_BUS = {"scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "virtio": "vd"}


def alias_of(device: ET.Element) -> str:
    """Read a device's alias; empty where it has none."""
    return attribute_at(device, "./alias", "name")


def is_ours(device: ET.Element) -> bool:
    """Tell whether we made a device."""
    if device.tag == "graphics":
        return device.get("type") == "vnc"
    return alias_of(device).startswith(OURS)


def by_alias(root: ET.Element) -> Mapping[str, ET.Element]:
    """Index our devices of a document by their alias, without the `console` that mirrors the serial port."""
    return {
        alias_of(device): device
        for device in root.iterfind("./devices/*")
        if is_ours(device) and device.tag != "console"
    }


def render_devices(hardware: Hardware) -> ET.Element:
    """Write `<devices>` without addresses and without the names of disks, which depend on what is there already."""
    return node(
        "devices",
        *_controllers(hardware),
        *(render_disk(disk) for disk in hardware.disks),
        *(render_nic(nic) for nic in hardware.nics),
        *_access(hardware),
        *_extras(hardware),
    )


def render_disk(disk: Disk) -> ET.Element:
    """Write a disk. Without a source it is an empty drive."""
    element = node("disk", type="file", device=disk.device)
    element.append(node("driver", name="qemu", type=disk.format, discard="" if disk.device == "cdrom" else "unmap"))
    if disk.source:
        element.append(node("source", file=disk.source))
    element.append(node("target", dev=disk.target, bus=disk.bus))
    if disk.readonly or disk.device == "cdrom":  # libvirt makes every CD-ROM read-only
        element.append(node("readonly"))
    if disk.serial:
        element.append(node("serial", text=disk.serial))
    if disk.boot is not None:
        element.append(node("boot", order=str(disk.boot)))
    element.append(node("alias", name=disk.alias))
    return element


def read_disks(root: ET.Element, order: tuple[str, ...]) -> tuple[Disk, ...]:
    """Read our disks, those of these aliases first and in this order: libvirt sorts them by bus and name."""
    disks = [_read_disk(element) for element in root.iterfind("./devices/disk") if is_ours(element)]
    place = {alias: number for number, alias in enumerate(order)}
    return tuple(sorted(disks, key=lambda disk: place.get(disk.alias, len(place))))


def render_nic(nic: Nic) -> ET.Element:
    """Write a network interface: on a libvirt network, else QEMU's user-mode network."""
    element = node("interface", type="network" if nic.network else "user")
    element.append(node("mac", address=nic.mac))
    if nic.network:
        element.append(node("source", network=nic.network))
    element.append(node("model", type=nic.model))
    element.append(
        node("rom", enabled="no")
    )  # nothing boots from the network, and its boot ROM costs seconds of each start
    element.append(node("alias", name=nic.alias))
    return element


def read_nics(root: ET.Element) -> tuple[Nic, ...]:
    """Read our network interfaces in the order of the document."""
    return tuple(_read_nic(element) for element in root.iterfind("./devices/interface") if is_ours(element))


def name_disks(devices: ET.Element) -> None:
    """Give every disk of ours without a target the first free name of its bus, and a SCSI disk an address of its own.

    libvirt would put sixteen disks on a SCSI controller and add a second one, of another model, for the seventeenth;
    one SCSI target per disk keeps them all on ours.
    """
    taken = {attribute_at(disk, "./target", "dev") for disk in devices.iterfind("./disk")}
    for disk in devices.iterfind("./disk"):
        target = disk.find("./target")
        if target is None or not is_ours(disk):
            continue
        if not target.get("dev"):
            prefix = _PREFIX_OF_BUS[target.get("bus", "virtio")]
            name = next(name for name in _names(prefix) if name not in taken)
            taken.add(name)
            target.set("dev", name)
        if target.get("bus") == "scsi" and disk.find("./address") is None:
            number = str(_index(target.get("dev", "")))
            disk.append(node("address", type="drive", controller="0", bus="0", target=number, unit="0"))


def _names(prefix: str) -> Iterator[str]:
    index = 0
    while True:
        letters, rest = "", index
        while rest >= 0:
            letters = chr(ord("a") + rest % 26) + letters
            rest = rest // 26 - 1
        yield prefix + letters
        index += 1


def _index(name: str) -> int:
    return next(index for index, known in enumerate(_names(name[:2])) if known == name)


def _read_disk(element: ET.Element) -> Disk:
    order = attribute_at(element, "./boot", "order")
    serial = element.find("./serial")
    bus = attribute_at(element, "./target", "bus")
    return Disk(
        alias=alias_of(element),
        source=attribute_at(element, "./source", "file"),
        bus=cast("Bus", bus),
        device="cdrom" if element.get("device") == "cdrom" else "disk",
        format="raw" if attribute_at(element, "./driver", "type", "raw") == "raw" else "qcow2",
        readonly=element.find("./readonly") is not None,
        boot=int(order) if order else None,
        serial="" if serial is None else serial.text or "",
        target=attribute_at(element, "./target", "dev"),
    )


def _read_nic(element: ET.Element) -> Nic:
    model = attribute_at(
        element, "./model", "type"
    )  # of a foreign model, the name: it differs from ours, so the drift shows
    return Nic(
        alias=alias_of(element),
        mac=attribute_at(element, "./mac", "address").lower(),
        network=attribute_at(element, "./source", "network"),
        model=cast("Literal['virtio', 'e1000', 'rtl8139']", model),
    )


def _controllers(hardware: Hardware) -> Iterator[ET.Element]:
    if hardware.machine == "q35":
        yield node("controller", type="pci", index="0", model="pcie-root")
    if hardware.scsi:
        yield node("controller", node("alias", name="ua-scsi"), type="scsi", index="0", model="virtio-scsi")
    yield node("controller", node("alias", name="ua-usb"), type="usb", index="0", model=hardware.usb)


def _access(hardware: Hardware) -> Iterator[ET.Element]:
    """The ways to a guest: serial console with its transcript, screen, agent."""
    serial = node("serial", node("target", type="isa-serial", port="0"), type="pty")
    if hardware.console_log:
        serial.append(node("log", file=hardware.console_log, append="on"))
    serial.append(node("alias", name="ua-serial"))
    yield serial
    channel = node("channel", node("target", type="virtio", name=AGENT_CHANNEL), type="unix")
    channel.append(node("alias", name="ua-agent"))
    yield channel
    yield node("graphics", node("listen", type="socket"), type="vnc")
    # VGA shows something with every firmware, boot loader and guest, drivers or not.
    yield node(
        "video", node("model", type="vga", vram="16384", heads="1", primary="yes"), node("alias", name="ua-video")
    )
    # An absolute pointer: with a mouse the pointer of a VNC viewer and of the guest drift apart.
    yield node("input", node("alias", name="ua-tablet"), type="tablet", bus="usb")


def _extras(hardware: Hardware) -> Iterator[ET.Element]:
    yield node("memballoon", node("stats", period="10"), node("alias", name="ua-balloon"), model="virtio")
    yield node("panic", node("alias", name="ua-panic"), model="isa")
    if hardware.rng:
        yield node(
            "rng", node("backend", text="/dev/urandom", model="random"), node("alias", name="ua-rng"), model="virtio"
        )
    if hardware.tpm:
        yield node(
            "tpm", node("backend", type="emulator", version="2.0"), node("alias", name="ua-tpm"), model="tpm-crb"
        )
