"""What a machine needs before it can start: its class, its devices, its seed, its address; each a condition and a
part.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vmctl.planning import addresses, attachments, classes, devices, sizing, usage
from vmctl.planning.conditions import Condition
from vmctl.planning.images import finished
from vmctl.planning.machine_hardware import NO_READONLY_DISKS, Seed, buses
from vmctl.planning.networks import network_of
from vmctl.planning.steps import CreateObject, WriteSeed
from vmctl.resources.keys import Key
from vmctl.resources.units import quantity_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.machine_hardware import Device
    from vmctl.planning.objects import Object
    from vmctl.planning.plans import LayerSeen, World
    from vmctl.resources.machine_fields import VirtualMachineSpec

CLOUD_INIT = "provisioning.virtualization.deckhouse.io/cloud-init"
SYSPREP = "provisioning.virtualization.deckhouse.io/sysprep"


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The conditions of what a machine depends on, the parts that are ready, and what has to be made or waited for."""

    conditions: tuple[Condition, ...]
    ready: bool
    klass: Object | None
    fraction: int
    devices: tuple[Device, ...]
    address_name: str = ""
    address: str = ""
    seed: Seed | None = None
    write_seed: WriteSeed | None = None
    make: tuple[CreateObject, ...] = ()
    waits_for: tuple[Key, ...] = ()
    plugged: tuple[Device, ...] = ()  # what attachments add: the machine never waits for it


@dataclass(slots=True)
class _Found:
    """What has been collected so far."""

    conditions: list[Condition] = field(default_factory=list[Condition])
    waits_for: list[Key] = field(default_factory=list[Key])
    make: list[CreateObject] = field(default_factory=list[CreateObject])

    def judge(self, kind: str, trouble: str, *keys: Key, reason: str = "") -> None:
        """Note a condition: True without trouble, else False with it, waiting for `keys`."""
        if not trouble:
            self.conditions.append(Condition(kind, "True", kind))
            return
        self.conditions.append(Condition(kind, "False", reason or f"{kind.removesuffix('Ready')}NotReady", trouble))
        self.waits_for += keys


def gather(world: World, spec: VirtualMachineSpec) -> Dependencies:
    """Look at everything the machine refers to."""
    found = _Found()
    address_name, address = _address(world, found)
    found.judge("VirtualMachineMACAddressReady", "")
    klass, fraction = _class(world, spec, found)
    own = _devices(world, spec, found)
    seed, write = _provisioning(world, spec, found)
    ready = all(item.status == "True" for item in found.conditions)
    return Dependencies(
        tuple(found.conditions),
        ready,
        klass,
        fraction,
        own,
        address_name,
        address,
        seed,
        write,
        tuple(found.make),
        tuple(found.waits_for),
        attachments.plugged(world),
    )


def _address(world: World, found: _Found) -> tuple[str, str]:
    """The machine's address object, made when there is none; with user-mode networking there is nothing to reserve."""
    kind = "VirtualMachineIPAddressReady"
    if not world.networks:
        found.judge(kind, "")
        return "", ""
    key = addresses.own_address(world.object)
    item = world.objects.get(key)
    if item is None:
        found.make.append(CreateObject(key, addresses.address_document(world.object)))
        found.judge(kind, f"{key.short} is being made", key)
        return key.name, ""
    address = str(item.status.get("address") or "")
    waits = next(
        (
            entry["message"]
            for entry in item.status.get("conditions") or ()
            if entry["status"] == "False" and entry["type"] == "Bound"
        ),
        "",
    )
    if not address:
        found.judge(kind, f"{key.short} has no address yet" + (f": {waits}" if waits else ""), key)
    elif network_of(address, world.networks) is None:
        ranges = ", ".join(network.cidr for network in world.networks)
        found.judge(
            kind,
            f"{address} of {key.short} lies outside of virtualMachineCIDRs ({ranges}); put its range back, or "
            f"delete the machine and apply it again for a new address",
        )
    else:
        found.judge(kind, "")
    return key.name, address


def _class(world: World, spec: VirtualMachineSpec, found: _Found) -> tuple[Object | None, int]:
    kind = "VirtualMachineClassReady"
    fraction = sizing.percent(spec.cpu.core_fraction) if spec.cpu.core_fraction not in (None, "", "Auto") else 100
    key, trouble = _class_key(world, spec)
    if key is None:
        found.judge(kind, trouble)
        return None, fraction
    klass = world.objects.get(key)
    if klass is None:
        found.judge(kind, f"{key.short} does not exist; known: {', '.join(world.objects.names(key.kind))}", key)
        return None, fraction
    if klass.phase != "Ready":
        why = next((item["message"] for item in klass.status.get("conditions") or () if item["status"] == "False"), "")
        found.judge(kind, f"{key.short} is {klass.phase or 'Pending'}" + (f": {why}" if why else ""), key)
        return klass, fraction
    found.judge(kind, "")
    sized = sizing.size(
        list(klass.document["spec"].get("sizingPolicies") or ()),
        spec.cpu.cores,
        quantity_bytes(spec.memory.size),
        spec.cpu.core_fraction,
    )
    if sized.violations:
        found.judge("SizingPolicyMatched", "; ".join(sized.violations), key, reason="SizingPolicyNotMatched")
    return klass, sized.fraction


def _class_key(world: World, spec: VirtualMachineSpec) -> tuple[Key | None, str]:
    """The class a machine names, or the default one; or why there is none to take."""
    if spec.virtual_machine_class_name:
        return Key("VirtualMachineClass", "", spec.virtual_machine_class_name), ""
    marked = classes.default(world.objects)
    if len(marked) == 1:
        return marked[0].key, ""
    known = ", ".join(world.objects.names("VirtualMachineClass"))
    if not marked:
        return None, f"virtualMachineClassName is left out and no class is marked as the default; name one of: {known}"
    return (
        None,
        f"virtualMachineClassName is left out and {', '.join(item.key.name for item in marked)} are all the default",
    )


def _devices(world: World, spec: VirtualMachineSpec, found: _Found) -> tuple[Device, ...]:
    kind = "BlockDevicesReady"
    ready: list[Device] = []
    waiting: list[str] = []
    keys = usage.device_keys(world.object)
    for key, ref in zip(keys, spec.block_device_refs, strict=True):
        device = world.objects.get(key)
        seen = finished(world, device.uid) if device is not None else None
        trouble = _device_trouble(world, key, device) or _bus_trouble(spec, key, seen)
        if trouble or seen is None:
            waiting.append(trouble or f"{key.short} has no data yet")
            found.waits_for.append(key)
        else:
            ready.append(devices.made(key, seen, ref.boot_order))
    trouble = f"{len(ready)} of {len(keys)} block devices are ready: {'; '.join(waiting)}" if waiting else ""
    found.judge(kind, trouble)
    return tuple(ready)


def _device_trouble(world: World, key: Key, device: Object | None) -> str:
    """Why a device cannot be attached to this machine, or nothing."""
    why = devices.trouble(key, device, world.objects)
    if why or device is None or key.kind != "VirtualDisk":
        return why
    has = usage.holder(device, world.objects)
    if has is not None and has.uid != world.object.uid:
        return f"{key.short} is in use by VirtualMachine {has.key.name}; this machine starts when that one is off"
    return ""


def _bus_trouble(spec: VirtualMachineSpec, key: Key, seen: LayerSeen | None) -> str:
    """Why the machine's bus cannot take a device, or nothing."""
    disk_bus, _ = buses(spec)
    if key.kind == "VirtualDisk" or seen is None or seen.cdrom or disk_bus not in NO_READONLY_DISKS:
        return ""
    return (
        f"{key.short} is attached read-only, which a {disk_bus.upper()} disk cannot be; make a VirtualDisk from it, or "
        "leave enableParavirtualization on"
    )


def _provisioning(world: World, spec: VirtualMachineSpec, found: _Found) -> tuple[Seed | None, WriteSeed | None]:
    kind, provisioning = "ProvisioningReady", spec.provisioning
    if provisioning is None:
        found.judge(kind, "")
        return None, None
    path = world.place.seed_medium(world.object.uid)
    if provisioning.type == "UserData":
        data = provisioning.user_data
        text = data.get_secret_value() if data is not None else ""
        found.judge(kind, "" if text.strip() else "provisioning.userData is empty")
        return (Seed(path), _cloud_init(world, path, text.encode())) if text.strip() else (None, None)
    reference = provisioning.user_data_ref if provisioning.type == "UserDataRef" else provisioning.sysprep_ref
    name = reference.name if reference is not None else ""
    key = Key("Secret", world.object.key.namespace, name)
    sysprep = provisioning.type == "SysprepRef"
    files, trouble = _secret(world.objects.get(key), key, SYSPREP if sysprep else CLOUD_INIT)
    found.judge(kind, trouble, key)
    if trouble:
        return None, None
    if sysprep:
        return Seed(path, sysprep=True), WriteSeed(path, "sysprep", files)
    return Seed(path), _cloud_init(world, path, files["userData"])


def _secret(secret: Object | None, key: Key, wanted: str) -> tuple[Mapping[str, bytes], str]:
    """The decoded data of a provisioning secret, or what is wrong with it."""
    if secret is None or secret.terminating:
        return {}, f"{key.short} does not exist"
    if secret.document.get("type") != wanted:
        return {}, f"{key.short} has type {secret.document.get('type') or 'Opaque'}; it must be {wanted}"
    try:
        data = {name: base64.b64decode(value, validate=True) for name, value in _data(secret).items()}
    except binascii.Error as error:
        return {}, f"{key.short} is not base64: {error}"
    if wanted == SYSPREP:
        names = [name for name in data if name.lower() in ("unattend.xml", "autounattend.xml")]
        return data, "" if names else f"{key.short} has no key unattend.xml or autounattend.xml"
    user_data = next((data[name] for name in ("userData", "userdata") if name in data), None)
    if user_data is None:
        return {}, f"{key.short} has no key userData"
    return {"userData": user_data}, "" if user_data.strip() else f"{key.short}: userData is empty"


def _data(secret: Object) -> dict[str, Any]:
    plain = {
        name: base64.b64encode(value.encode()).decode()
        for name, value in (secret.document.get("stringData") or {}).items()
    }
    return {**(secret.document.get("data") or {}), **plain}


def _cloud_init(world: World, path: str, user_data: bytes) -> WriteSeed:
    """The instance-id is the uid: it changes when, and only when, the machine is a new one."""
    item = world.object
    return WriteSeed(path, "nocloud", {"userData": user_data}, item.uid, item.key.name)
