"""A machine's spec as virtual hardware, and virtual hardware back as a spec: the two directions that diff and plan rest
on.

What a domain document does not show (class name, grace period, seed inputs …) travels in it as one record of the spec,
secrets sealed by a keyed hash, because every local user of libvirt can read metadata. What the document does show is
read from the document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmctl.planning.changes import as_yaml, sealed
from vmctl.planning.hardware import Bus, Cpu, Disk, Hardware, Nic
from vmctl.planning.room import NO_ROOM, Room
from vmctl.resources.keys import Key
from vmctl.resources.machine_fields import VirtualMachineSpec
from vmctl.resources.topology import sockets_for
from vmctl.resources.units import quantity_bytes, shown_quantity

if TYPE_CHECKING:
    from vmctl.planning.objects import Object
    from vmctl.planning.plans import Place
    from vmctl.resources.declaring import Slot, Spec

RECORD = "metadata:spec"
SEED = "ua-seed"
NO_READONLY_DISKS = frozenset({"sata", "ide"})  # QEMU refuses them there; a CD-ROM is read-only by nature
MAIN_NIC = "ua-main"
PLUGGED = "ua-vmbda-"
MARKS = {"VirtualDisk": "vd", "VirtualImage": "vi", "ClusterVirtualImage": "cvi"}


def alias(key: Key) -> str:
    """How a device of a machine's spec is known in its domain (a name has no dots, so this is a legal user alias)."""
    return f"ua-spec-{MARKS[key.kind]}-{key.name}"


def plugged_alias(attachment: str) -> str:
    """How the device of an attachment is known in a domain (an alias has no dots, a name no underscores)."""
    return PLUGGED + attachment.replace(".", "_")


def plugged_name(alias: str) -> str:
    """The inverse of `plugged_alias`; empty for what no attachment plugged in."""
    return alias.removeprefix(PLUGGED).replace("_", ".") if alias.startswith(PLUGGED) else ""


def named(alias: str) -> Key | None:
    """The device behind an alias, in no namespace; None for what is not of a spec."""
    mark, _, name = alias.removeprefix("ua-spec-").partition("-")
    kind = next((kind for kind, short in MARKS.items() if short == mark), None)
    return Key(kind, "", name) if kind is not None and alias.startswith("ua-spec-") else None


@dataclass(frozen=True, slots=True)
class Device:
    """A block device that is ready to be attached: what the spec calls it, where it lies, what a guest sees of it."""

    key: Key
    path: str
    size_bytes: int
    cdrom: bool = False
    boot_order: int | None = None
    attachment: str = ""  # the name of the attachment that plugs it in; empty for a device of the machine's spec

    @property
    def alias(self) -> str:
        return plugged_alias(self.attachment) if self.attachment else alias(self.key)


@dataclass(frozen=True, slots=True)
class Seed:
    """The medium that sets a guest up at its first start."""

    path: str
    sysprep: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What a machine is built of beside its own spec, as far as it is ready."""

    devices: tuple[Device, ...]
    seed: Seed | None
    cpu: Mapping[str, Any]  # spec.cpu of the class
    fraction: int
    mac: str
    network: str
    console_log: str
    room: Room = NO_ROOM
    plugged: tuple[Device, ...] = ()  # by attachments


def domain_name(key: Key) -> str:
    """The machine's name in namespace `default`, `<namespace>.<name>` elsewhere."""
    return key.name if key.namespace == "default" else f"{key.namespace}.{key.name}"


def hardware(machine: Object, spec: VirtualMachineSpec, parts: Parts, place: Place) -> Hardware:
    """The hardware that the spec asks for, of the parts that are ready."""
    legacy, windows = spec.os_type == "Legacy", spec.os_type == "Windows"
    count, sockets = spec.cpu.cores, sockets_for(spec.cpu.cores)
    return Hardware(
        uid=machine.uid,
        domain=domain_name(machine.key),
        namespace=machine.key.namespace,
        name=machine.key.name,
        installation=place.installation,
        cpu=Cpu(
            sockets,
            count // sockets,
            parts.fraction,
            parts.cpu["type"],
            parts.cpu.get("model") or "",
            tuple(parts.cpu.get("features") or ()),
        ),
        memory_kib=quantity_bytes(spec.memory.size) // 1024,
        disks=_disks(spec, parts),
        nics=(Nic(MAIN_NIC, parts.mac, parts.network, nic_model(spec)),) if parts.mac else (),
        machine="pc" if legacy else "q35",
        firmware=spec.bootloader,
        tpm=windows,
        hyperv=windows,
        rng=not (legacy or windows),
        usb="piix3-uhci" if legacy else "qemu-xhci",
        scsi=True,
        spare_ports=0 if legacy else 8,
        most_cores=parts.room.cores,
        most_memory_kib=parts.room.memory_kib,
        console_log=parts.console_log,
        texts=texts(spec, place.hash_key),
    )


def nic_model(spec: VirtualMachineSpec) -> Any:
    """The network card by osType and paravirtualization."""
    if spec.enable_paravirtualization:
        return "virtio"
    return "rtl8139" if spec.os_type == "Legacy" else "e1000"


def buses(spec: VirtualMachineSpec) -> tuple[Bus, Bus]:
    """The buses of disks and of CD-ROMs by osType and paravirtualization."""
    if spec.os_type == "Legacy":
        return ("virtio" if spec.enable_paravirtualization else "ide"), "ide"
    return ("scsi", "scsi") if spec.enable_paravirtualization else ("sata", "sata")


def _disks(spec: VirtualMachineSpec, parts: Parts) -> tuple[Disk, ...]:
    disk_bus, cdrom_bus = buses(spec)
    explicit = any(device.boot_order for device in parts.devices)
    found = [
        _disk(device, cdrom_bus if device.cdrom else disk_bus, device.boot_order if explicit else index)
        for index, device in enumerate(parts.devices, 1)
    ]
    found += [_disk(device, "scsi", None) for device in parts.plugged]  # whatever the spec says
    if parts.seed is not None:
        cdrom = parts.seed.sysprep or disk_bus in NO_READONLY_DISKS
        found.append(
            Disk(
                SEED,
                parts.seed.path,
                cdrom_bus if cdrom else disk_bus,
                "cdrom" if cdrom else "disk",
                "raw",
                readonly=True,
                serial="seed",
            )
        )
    return tuple(found)


def _disk(device: Device, bus: Bus, boot: int | None) -> Disk:
    return Disk(
        device.alias,
        device.path,
        bus,
        "cdrom" if device.cdrom else "disk",
        "qcow2",
        readonly=device.key.kind != "VirtualDisk",
        boot=boot,
        serial=device.key.name[-20:],
    )


def texts(spec: VirtualMachineSpec, hash_key: bytes) -> Mapping[str, str]:
    """Every field that leaves the store, by address: on its own where it names a place, in the sealed record
    otherwise.
    """
    shown = as_yaml(sealed(spec, hash_key))
    values = shown if isinstance(shown, dict) else {}
    found: dict[str, str] = {}
    record: dict[str, Any] = {}
    for slot in spec.slots:
        address, value = _address(slot), values.get(slot.alias)
        if address.startswith("domain:"):
            found[address] = str(value)
        elif address.startswith("metadata:") and value is not None:
            found[address] = json.dumps(value, sort_keys=True)
        elif not address.startswith("store:") and value is not None:
            record[slot.alias] = value
    return {**found, RECORD: json.dumps(record, sort_keys=True)}


def _address(slot: Slot) -> str:
    """Where a field is seen; a required group has no policy of its own and is mapped by hand."""
    return slot.policy.seen_at if slot.policy is not None else "codec:group"


def _stays_in_store(slot: Slot) -> bool:
    return _address(slot).startswith("store:")


def projected(seen: Hardware, desired: VirtualMachineSpec) -> VirtualMachineSpec:
    """The spec that hardware amounts to. Unvalidated: what drifted may break any rule of a manifest.

    Fields that never leave the store are those of `desired`: they cannot differ in what runs.
    """
    record: dict[str, Any] = json.loads(seen.texts.get(RECORD) or "{}")
    cpu = dict(record.get("cpu") or {})
    cpu["cores"] = seen.cpu.cores
    if cpu.get("coreFraction") is not None or seen.cpu.shares_percent != 100:
        cpu["coreFraction"] = f"{seen.cpu.shares_percent}%"
    record["cpu"] = cpu
    record["memory"] = {**(record.get("memory") or {}), "size": shown_quantity(seen.memory_kib * 1024)}
    record["bootloader"] = seen.firmware
    record["blockDeviceRefs"] = _refs(record.get("blockDeviceRefs") or (), seen, desired)
    if not any(disk.alias == SEED for disk in seen.disks):
        record.pop("provisioning", None)  # its medium was detached
    for slot in desired.slots:
        text = seen.texts.get(_address(slot))
        if text is not None:
            record[slot.alias] = (
                json.loads(text) if _address(slot).startswith("metadata:") else _scalar(text, slot.default)
            )
    return rebuilt(record, desired)


def kept(spec: VirtualMachineSpec) -> dict[str, Any]:
    """All of a sealed spec that leaves the store, as JSON: what a machine was seen to be."""
    shown = as_yaml(spec)
    values = shown if isinstance(shown, dict) else {}
    return {slot.alias: values[slot.alias] for slot in spec.slots if slot.alias in values and not _stays_in_store(slot)}


def rebuilt(record: Mapping[str, Any], desired: VirtualMachineSpec) -> VirtualMachineSpec:
    """The inverse of `kept`; what never leaves the store is that of `desired`."""
    built: VirtualMachineSpec = _build(VirtualMachineSpec, record)
    return built.model_copy(
        update={slot.name: getattr(desired, slot.name) for slot in desired.slots if _stays_in_store(slot)}
    )


def _scalar(text: str, default: object) -> object:
    """The text of a document as the type that the field has."""
    if isinstance(default, bool):
        return text == "True"
    return int(text) if isinstance(default, int) else text


def _refs(
    recorded: Sequence[Mapping[str, Any]], seen: Hardware, desired: VirtualMachineSpec
) -> list[Mapping[str, Any]]:
    """The recorded devices that are still there, in their order, and among them those that are there unrecorded: what
    came while the machine ran has no place of its own, so it stands as the wanted spec has it.
    """
    there = {disk.alias for disk in seen.disks}
    known = {alias(Key(ref["kind"], "", ref["name"])): ref for ref in recorded}
    found = [ref for name, ref in known.items() if name in there]
    wanted = {alias(Key(ref.kind, "", ref.name)): ref for ref in desired.block_device_refs}
    order = {name: place for place, name in enumerate(wanted)}
    for name in sorted(there - known.keys(), key=lambda name: (order.get(name, len(order)), name)):
        key = named(name)
        if key is None:
            continue
        first = wanted[name].boot_order if name in wanted else None
        ref = {"kind": key.kind, "name": key.name, **({"bootOrder": first} if first else {})}
        found.insert(order.get(name, len(found)), ref)
    return found


def _build(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """An instance of a Spec from JSON, nothing validated."""
    fields: dict[str, Any] = {}
    for slot in kind.slots:
        raw = data.get(slot.alias)
        if raw is None:
            continue
        if slot.kinds and isinstance(raw, Mapping):
            fields[slot.name] = _build(_member(slot.kinds, raw), raw)
        elif slot.kinds and isinstance(raw, list):
            fields[slot.name] = tuple(_build(_member(slot.kinds, item), item) for item in raw)
        else:
            fields[slot.name] = raw
    return kind.model_construct(**fields)


def _member(kinds: tuple[type[Spec], ...], raw: Mapping[str, Any]) -> type[Spec]:
    """The one of several kinds of group whose fields hold the data."""
    return next((kind for kind in kinds if {slot.alias for slot in kind.slots} >= set(raw)), kinds[0])
