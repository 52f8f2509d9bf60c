"""Rules across the fields of a machine's spec, each with the field it blames."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from vmctl.resources.checking import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.resources.machine_fields import Provisioning, VirtualMachineSpec

IDE_DEVICES = 4
_PAYLOADS = {"UserData": "userData", "UserDataRef": "userDataRef", "SysprepRef": "sysprepRef"}


def payload_fits_type(seed: Provisioning) -> Iterator[Fault]:
    """A seed has exactly the field that belongs to its type."""
    wanted = _PAYLOADS[seed.type]
    for slot in seed.slots[1:]:
        given = getattr(seed, slot.name) is not None
        if slot.alias == wanted and not given:
            yield Fault((slot.alias,), f"is missing; type {seed.type} needs it")
        elif given and slot.alias != wanted:
            owner = next(name for name, field in _PAYLOADS.items() if field == slot.alias)
            yield Fault((slot.alias,), f"does not belong to type {seed.type}; remove it, or set type to {owner}")


def legacy_starts_from_bios(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """Old systems know no EFI."""
    if spec.os_type == "Legacy" and spec.bootloader != "BIOS":
        yield Fault(("bootloader",), f"{spec.bootloader} does not go with osType Legacy; use BIOS")


def legacy_has_no_seed(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """Old systems have neither cloud-init nor Sysprep."""
    if spec.os_type == "Legacy" and spec.provisioning is not None:
        yield Fault(("provisioning",), "does not go with osType Legacy; remove it")


def ide_is_narrow(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """Without paravirtualization an old PC has IDE only, and IDE has room for four."""
    count = len(spec.block_device_refs)
    if spec.os_type == "Legacy" and not spec.enable_paravirtualization and count > IDE_DEVICES:
        yield Fault(
            ("blockDeviceRefs",),
            f"lists {count} devices; osType Legacy without paravirtualization has room for {IDE_DEVICES}",
        )


def devices_are_listed_once(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """A device has one place in the list."""
    seen: dict[tuple[str, str], int] = {}
    for index, ref in enumerate(spec.block_device_refs):
        first = seen.setdefault((ref.kind, ref.name), index)
        if first != index:
            yield Fault(("blockDeviceRefs", index), f"{ref.kind} {ref.name} is listed already, as item {first}")


def boot_order_is_unique(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """Two devices cannot have the same turn."""
    counts = Counter(ref.boot_order for ref in spec.block_device_refs if ref.boot_order is not None)
    for index, ref in enumerate(spec.block_device_refs):
        if ref.boot_order is not None and counts[ref.boot_order] > 1:
            yield Fault(
                ("blockDeviceRefs", index, "bootOrder"), f"{ref.boot_order} is used by another device; make them differ"
            )


def main_comes_first(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """Main is the first interface, there is at most one, and it is number 1."""
    for index, network in enumerate(spec.networks):
        here = ("networks", index)
        if network.type == "Main":
            if index:
                yield Fault(here, "Main can only be the first network, and only once")
            if network.name is not None:
                yield Fault((*here, "name"), "does not belong to Main, of which there is one; remove it")
            if network.id not in (None, 1):
                yield Fault((*here, "id"), "must be 1 for Main")
        elif network.name is None:
            yield Fault((*here, "name"), f"is missing; a {network.type} is known by its name")
        elif network.id == 1:
            yield Fault((*here, "id"), "1 is the number of Main; use 2 or more")


def networks_differ(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """A network has one interface, and a number belongs to one of them."""
    names: dict[tuple[str, str | None], int] = {}
    ids: dict[int, int] = {}
    for index, network in enumerate(spec.networks):
        first = names.setdefault((network.type, network.name), index)
        if first != index and network.type != "Main":
            yield Fault(("networks", index), f"{network.type} {network.name} is listed already, as item {first}")
        if network.id is not None and ids.setdefault(network.id, index) != index:
            yield Fault(("networks", index, "id"), f"{network.id} is used by another network; make them differ")


def address_needs_main(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """The named address is the one in Main."""
    without_main = spec.networks and not any(network.type == "Main" for network in spec.networks)
    if spec.virtual_machine_ip_address_name is not None and without_main:
        yield Fault(("virtualMachineIPAddressName",), "is an address in Main, which networks does not list; add Main")


def usb_devices_differ(spec: VirtualMachineSpec) -> Iterator[Fault]:
    """A USB device is lent once."""
    counts = Counter(device.name for device in spec.usb_devices)
    for index, device in enumerate(spec.usb_devices):
        if counts[device.name] > 1:
            yield Fault(("usbDevices", index, "name"), f"USBDevice {device.name} is listed more than once")


def interfaces(networks: object) -> object:
    """What a list of networks is compared by: one Main with nothing particular and no list at all are the same."""
    items = networks if isinstance(networks, list | tuple) else ()
    return None if len(items) <= 1 and all(map(_is_plain_main, items)) else networks


def unordered(items: object) -> object:
    """What a list is compared by whose order says nothing."""
    return sorted(map(repr, items)) if isinstance(items, list | tuple) else items


def beyond_main(networks: object) -> bool:
    """Whether a list of networks asks for more than an interface in the managed network of the host."""
    return interfaces(networks) is not None


def _is_plain_main(network: object) -> bool:
    particulars = ("virtual_machine_mac_address_name", "ip_address_name")
    return getattr(network, "type", None) == "Main" and not any(getattr(network, name, None) for name in particulars)


ALL = (
    legacy_starts_from_bios,
    legacy_has_no_seed,
    ide_is_narrow,
    devices_are_listed_once,
    boot_order_is_unique,
    main_comes_first,
    networks_differ,
    address_needs_main,
    usb_devices_differ,
)
