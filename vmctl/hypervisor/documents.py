"""A machine as a domain document and back: parse(render(h)) is h again, also after libvirt has rewritten the document.

What libvirt rewrites is undone here, on reading: versioned machine types, units, rounded memory, expanded CPU models.
Planning compares with `==` and knows no exceptions.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from vmctl.hypervisor import devices, metadata
from vmctl.hypervisor.memory import Memory, read_memory, render_memory
from vmctl.hypervisor.processors import Platform, Processor, read_cpu, render_cpu, render_shares, render_vcpu
from vmctl.hypervisor.trees import attribute_at, node, read_at, text_at, write_at
from vmctl.planning.hardware import Firmware, Hardware

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

_DOMAIN = "domain:"
_METADATA = "metadata:"


def render(hardware: Hardware, platform: Platform) -> ET.Element:
    """Write the whole document of a machine that nothing is known about yet; `merging` fits it into an older one."""
    root = node(
        "domain",
        node("name", text=hardware.domain),
        node("uuid", text=hardware.uid),
        node("metadata", metadata.write(record_of(hardware))),
        *render_memory(hardware),
        render_vcpu(hardware.cpu, hardware.most_cores),
        type=platform.domain_type,
    )
    if platform.shares:
        root.append(node("cputune", node("shares", text=str(render_shares(hardware.cpu)))))
    root.append(_os(hardware))
    root.append(_features(hardware, platform))
    root.append(render_cpu(hardware.cpu, hardware.most_cores, platform))
    root.append(_clock(hardware, platform))
    for tag, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        root.append(node(tag, text=action))
    # A guest that suspends itself would be neither on nor off.
    root.append(node("pm", node("suspend-to-mem", enabled="no"), node("suspend-to-disk", enabled="no")))
    root.append(devices.render_devices(hardware))
    for address, value in hardware.texts.items():
        if address.startswith(_DOMAIN):
            write_at(root, address.removeprefix(_DOMAIN), value)
    return root


def parse(root: ET.Element, *, live: bool = False) -> Hardware | None:
    """Read a machine out of a document that libvirt shows; None where it carries no record of ours."""
    record = metadata.read(root)
    if record is None:
        return None
    texts = {_METADATA + address: value for address, value in record.texts.items()}
    for address in record.domain_addresses:
        value = read_at(root, address)
        if value is not None:
            texts[_DOMAIN + address] = value
    own = devices.by_alias(root)
    cpu, most_cores = read_cpu(root, record.processor, live=live)
    memory_kib, most_memory_kib = read_memory(root, record.memory, live=live)
    return Hardware(
        uid=record.uid,
        domain=text_at(root, "./name"),
        namespace=record.namespace,
        name=record.name,
        installation=record.installation,
        cpu=cpu,
        memory_kib=memory_kib,
        most_cores=most_cores,
        most_memory_kib=most_memory_kib,
        disks=devices.read_disks(root, record.disks),
        nics=devices.read_nics(root),
        machine=machine_family(root),
        firmware=firmware_of(root),
        tpm="ua-tpm" in own,
        hyperv=root.find("./features/hyperv") is not None if root.get("type") == "kvm" else record.hyperv,
        rng="ua-rng" in own,
        usb="piix3-uhci" if "ua-usb" in own and own["ua-usb"].get("model") == "piix3-uhci" else "qemu-xhci",
        scsi="ua-scsi" in own,
        spare_ports=record.spare_ports,
        console_log=attribute_at(own["ua-serial"], "./log", "file") if "ua-serial" in own else "",
        texts=MappingProxyType(texts),
        nonce=record.nonce,
    )


def record_of(hardware: Hardware) -> metadata.Record:
    """Take from a machine what its document does not show."""
    return metadata.Record(
        namespace=hardware.namespace,
        name=hardware.name,
        uid=hardware.uid,
        installation=hardware.installation,
        nonce=hardware.nonce,
        processor=Processor(hardware.cpu, hardware.most_cores),
        memory=Memory(hardware.memory_kib, hardware.most_memory_kib),
        spare_ports=hardware.spare_ports,
        hyperv=hardware.hyperv,
        disks=tuple(disk.alias for disk in hardware.disks),
        texts={
            address.removeprefix(_METADATA): value
            for address, value in hardware.texts.items()
            if address.startswith(_METADATA)
        },
        domain_addresses=tuple(
            address.removeprefix(_DOMAIN) for address in hardware.texts if address.startswith(_DOMAIN)
        ),
    )


def machine_family(root: ET.Element) -> Literal["q35", "pc"]:
    """Read the family of a machine type: libvirt replaces `q35` by `pc-q35-7.2` when it first sees it."""
    return "q35" if "q35" in attribute_at(root, "./os/type", "machine") else "pc"


def firmware_of(root: ET.Element) -> Firmware:
    """Read which firmware a document asks for."""
    if attribute_at(root, "./os", "firmware") != "efi" and attribute_at(root, "./os/loader", "type") != "pflash":
        return "BIOS"
    secure = attribute_at(root, "./os/loader", "secure") == "yes"
    asked = attribute_at(root, "./os/firmware/feature[@name='secure-boot']", "enabled") == "yes"
    return "EFIWithSecureBoot" if secure or asked else "EFI"


def _os(hardware: Hardware) -> ET.Element:
    if hardware.firmware == "BIOS":
        # The transcript of the console then also has what the BIOS says, such as that there is nothing to boot from.
        return node("os", node("type", text="hvm", machine=hardware.machine), node("bios", useserial="yes"))
    secure = "yes" if hardware.firmware == "EFIWithSecureBoot" else "no"
    wanted = [node("feature", enabled=secure, name=name) for name in ("enrolled-keys", "secure-boot")]
    kind = node("type", text="hvm", machine=hardware.machine)
    return node("os", kind, node("firmware", *wanted), firmware="efi")


def _features(hardware: Hardware, platform: Platform) -> ET.Element:
    features = node("features", node("acpi"), node("apic"))
    if hardware.hyperv and platform.domain_type == "kvm":  # QEMU refuses them without KVM
        on = ("relaxed", "vapic", "vpindex", "runtime", "synic", "stimer", "reset", "frequencies", "tlbflush", "ipi")
        hyperv = node("hyperv", *(node(name, state="on") for name in on), mode="custom")
        hyperv.append(node("spinlocks", state="on", retries="8191"))
        features.append(hyperv)
    features.append(node("vmport", state="off"))
    if hardware.firmware == "EFIWithSecureBoot":
        features.append(node("smm", state="on"))
    return features


def _clock(hardware: Hardware, platform: Platform) -> ET.Element:
    timers = [
        node("timer", name="rtc", tickpolicy="catchup"),
        node("timer", name="pit", tickpolicy="delay"),
        node("timer", name="hpet", present="no"),
    ]
    if hardware.hyperv and platform.domain_type == "kvm":
        timers.append(node("timer", name="hypervclock", present="yes"))
    # Windows keeps local time in the hardware clock.
    return node("clock", *timers, offset="localtime" if hardware.hyperv else "utc")
