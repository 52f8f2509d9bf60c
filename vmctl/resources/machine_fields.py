"""The spec of a virtual machine, as a machine and the template of a pool have it."""

from __future__ import annotations

from operator import not_
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainSerializer, SecretStr
from pydantic_core import PydanticCustomError

from vmctl.resources import machine_rules, topology
from vmctl.resources.checking import Check
from vmctl.resources.fields import Managed, Remark, Spec, Value
from vmctl.resources.metadata import Labels
from vmctl.resources.placing import Affinity, Toleration, TopologySpreadConstraint
from vmctl.resources.policies import (
    HOTPLUG_BLOCK_DEVICES,
    HOTPLUG_CPU_AND_MEMORY,
    Need,
    at_once,
    behind_gate,
    by_operation,
    grows_else,
    live,
    refuse,
    restart,
)
from vmctl.resources.units import CoreFraction, Flag, Int, Name, Size, Subdomain, measured_bytes, measured_percent

USER_DATA_BYTES = 2048  # what a manifest may carry; more goes into a Secret
Items = Field(exclude_if=not_)

MODERN = Need("an osType other than Legacy", lambda _change, facts: facts.os_type != "Legacy")
PARAVIRTUAL = Need("paravirtualization", lambda _change, facts: facts.paravirtualized)
AGENT = Need("a guest agent that answers", lambda _change, facts: facts.agent)
ROOM_FOR_CORES = Need(
    "room for the cores, reserved at a start with the gate on",
    lambda change, facts: isinstance(change.new, int) and change.new <= facts.most_cores,
)
ROOM_FOR_MEMORY = Need(
    "room for the memory, reserved at a start with the gate on",
    lambda change, facts: isinstance(size := measured_bytes(change.new), int) and size <= facts.most_memory_bytes,
)
CLOUD_INIT = Need("a cloud-init seed", lambda change, _facts: getattr(change.old, "type", "") != "SysprepRef")

HARDWARE = restart("the hardware is built at start")
SEED = restart("the guest reads it at start")
IDENTITY = refuse("another kind or name is another device: one removed, one added")
DEVICES = behind_gate(
    HOTPLUG_BLOCK_DEVICES,
    by_operation(
        add=live("plug_disk", PARAVIRTUAL),
        remove=live("unplug_disk", PARAVIRTUAL),
        replace=restart("the order is fixed at start"),
    ),
    else_=HARDWARE,
)
ONE_HOST = "has no meaning on one host; it is kept, and ignored"
LATER = "is not carried out by this version"


def _legal_cores(cores: int) -> int:
    if not topology.legal(cores):
        raise PydanticCustomError("cores", "{problem}", {"problem": topology.wrong_cores(cores)})
    return cores


def _short(secret: SecretStr) -> SecretStr:
    size = len(secret.get_secret_value().encode())
    if size > USER_DATA_BYTES:
        raise PydanticCustomError(
            "too_long",
            "has {size} bytes, a manifest carries at most {limit}; put it into a Secret and name that in userDataRef",
            {"size": size, "limit": USER_DATA_BYTES},
        )
    return secret


Revealed = PlainSerializer(SecretStr.get_secret_value, return_type=str)  # for the store; never shown in repr or logs


class Cpu(Spec):
    """Processors."""

    together = True

    cores: Annotated[
        Int,
        AfterValidator(_legal_cores),
        Field(json_schema_extra={"minimum": 1, "maximum": topology.MOST_CORES}),
        Managed(
            "How many cores the guest sees: up to 16 in one socket, to 32 in two, to 64 in four, to 248 in eight; "
            "a multiple of the sockets.",
            behind_gate(
                HOTPLUG_CPU_AND_MEMORY,
                grows_else(
                    live("set_cores", MODERN, AGENT, ROOM_FOR_CORES), restart("guests give cores back incompletely")
                ),
                else_=HARDWARE,
            ),
            seen_at="codec:cpu",
        ),
    ]
    core_fraction: Annotated[
        CoreFraction | None,
        Managed(
            "The share of each core that is guaranteed, 1% to 100%. Left out: the default of the class, or 100%.",
            behind_gate(HOTPLUG_CPU_AND_MEMORY, live("set_core_fraction", MODERN), else_=HARDWARE),
            seen_at="codec:cpu",
            fallback="100%",
            measure=measured_percent,
            idle=Remark(f"Auto {LATER}", lambda value: value == "Auto"),
        ),
    ] = None


class Memory(Spec):
    """Memory."""

    size: Annotated[
        Size,
        Managed(
            "How much memory the guest sees, such as 512Mi or 4Gi.",
            behind_gate(
                HOTPLUG_CPU_AND_MEMORY,
                live("set_memory", MODERN, PARAVIRTUAL, ROOM_FOR_MEMORY),
                else_=HARDWARE,
            ),
            seen_at="codec:memory",
            measure=measured_bytes,
        ),
    ]


class Disruptions(Spec):
    """What may interrupt the guest."""

    restart_approval_mode: Annotated[
        Literal["Manual", "Automatic"],
        Managed(
            "Whether waiting changes restart the guest by themselves (Automatic) or wait for somebody (Manual).",
            at_once(),
            seen_at="store:spec",
        ),
    ] = "Manual"


class SecretRef(Spec):
    """A Secret in the namespace of the machine."""

    kind: Annotated[Literal["Secret"], Managed("The kind of the object.", SEED, seen_at="codec:seed")] = "Secret"
    name: Annotated[Name, Managed("The name of the Secret.", SEED, seen_at="codec:seed")]


class Provisioning(Spec):
    """What sets the guest up at its first start."""

    tag = "type"
    checks = (machine_rules.payload_fits_type,)

    type: Annotated[
        Literal["UserData", "UserDataRef", "SysprepRef"],
        Managed(
            "Where the seed comes from: cloud-init in the manifest, cloud-init in a Secret, or a Windows answer file "
            "in a Secret.",
            SEED,
            seen_at="codec:seed",
        ),
    ]
    user_data: Annotated[
        Annotated[SecretStr, AfterValidator(_short), Revealed] | None,
        Managed(f"The cloud-init document itself, at most {USER_DATA_BYTES} bytes.", SEED, seen_at="codec:seed"),
    ] = None
    user_data_ref: Annotated[
        SecretRef | None,
        Managed(
            "A Secret of type provisioning.virtualization.deckhouse.io/cloud-init with the key userData.",
            SEED,
            seen_at="codec:seed",
        ),
    ] = None
    sysprep_ref: Annotated[
        SecretRef | None,
        Managed(
            "A Secret of type provisioning.virtualization.deckhouse.io/sysprep with the key unattend.xml.",
            SEED,
            seen_at="codec:seed",
        ),
    ] = None


class BlockDeviceRef(Spec):
    """A disk or image of the machine."""

    kind: Annotated[
        Literal["VirtualDisk", "VirtualImage", "ClusterVirtualImage"],
        Managed("A disk, or an image, which is attached read-only.", IDENTITY, seen_at="codec:disks"),
    ]
    name: Annotated[Name, Managed("The name of the disk or image.", IDENTITY, seen_at="codec:disks")]
    boot_order: Annotated[
        Int | None,
        Field(ge=1),
        Managed(
            "Its turn when the firmware looks for a system. Where any device has one, only those are tried; "
            "else all, in the order of the list.",
            HARDWARE,
            seen_at="codec:disks",
        ),
    ] = None


class NetworkRef(Spec):
    """A network interface of the machine."""

    type: Annotated[
        Literal["Main", "Network", "ClusterNetwork"],
        Managed("The managed network of the host, or another one by its kind.", IDENTITY, seen_at="codec:nics"),
    ]
    name: Annotated[
        Name | None, Managed("The name of the Network or ClusterNetwork.", IDENTITY, seen_at="codec:nics")
    ] = None
    id: Annotated[
        Int | None,
        Field(ge=1, le=16383),
        Managed(
            "A number that keeps the interface the same when the list changes; 1 is Main.",
            HARDWARE,
            seen_at="codec:nics",
            unset="keep",
        ),
    ] = None
    virtual_machine_mac_address_name: Annotated[
        Name | None,
        Field(alias="virtualMachineMACAddressName"),
        Managed("The VirtualMachineMACAddress to use.", HARDWARE, seen_at="codec:nics", unset="keep"),
    ] = None
    ip_address_name: Annotated[
        Name | None,
        Managed("The VirtualMachineIPAddress to use.", HARDWARE, seen_at="codec:nics", unset="keep"),
    ] = None


class UsbDeviceRef(Spec):
    """A USB device of the host, lent to the machine."""

    name: Annotated[Name, Managed("The name of the USBDevice.", IDENTITY, seen_at="codec:usb")]


class GpuRef(Value):
    """A graphics processor of the host, lent to the machine. Several may be of one class."""

    gpu_class_name: Annotated[Subdomain, Field(description="The class of graphics processor.")]


class VirtualMachineSpec(Spec):
    """A virtual machine."""

    checks: ClassVar[tuple[Check, ...]] = machine_rules.ALL

    run_policy: Annotated[
        Literal["AlwaysOn", "AlwaysOff", "Manual", "AlwaysOnUnlessStoppedManually"],
        Managed(
            "When the machine runs: always, never, when somebody starts it, or always until somebody stops it.",
            at_once(),
            seen_at="store:spec",
        ),
    ] = "AlwaysOnUnlessStoppedManually"
    virtual_machine_class_name: Annotated[
        Name | None,
        Managed(
            "The VirtualMachineClass: CPU model, sizing rules, placement. `host` and `generic` are always there. "
            "Left out, the class whose annotation says that it is the default.",
            HARDWARE,
            seen_at="metadata:class",
        ),
    ] = None
    os_type: Annotated[
        Literal["Windows", "Generic", "Legacy"],
        Managed(
            "Which virtual hardware suits the guest: Windows gets a TPM and Hyper-V features, Legacy an old PC.",
            HARDWARE,
            seen_at="metadata:os-type",
        ),
    ] = "Generic"
    bootloader: Annotated[
        Literal["BIOS", "EFI", "EFIWithSecureBoot"],
        Managed("The firmware that starts the guest.", HARDWARE, seen_at="codec:firmware"),
    ] = "BIOS"
    enable_paravirtualization: Annotated[
        Flag,
        Managed(
            "Whether disks and interfaces are virtio; off for guests without such drivers.",
            HARDWARE,
            seen_at="metadata:paravirtualization",
        ),
    ] = True
    cpu: Cpu
    memory: Memory
    block_device_refs: Annotated[
        tuple[BlockDeviceRef, ...],
        Field(min_length=1, max_length=16),
        Managed("Disks and images, in boot order.", DEVICES, seen_at="codec:disks", key=("kind", "name")),
    ]
    provisioning: Annotated[
        Provisioning | None,
        Managed(
            "What sets the guest up at its first start.",
            by_operation(
                add=SEED,
                replace=SEED,
                remove=behind_gate(HOTPLUG_BLOCK_DEVICES, live("unplug_seed", PARAVIRTUAL, CLOUD_INIT), else_=SEED),
            ),
            seen_at="codec:seed",
        ),
    ] = None
    networks: Annotated[
        tuple[NetworkRef, ...],
        Items,
        Managed(
            "Network interfaces; left out, one in the managed network of the host (Main).",
            HARDWARE,
            seen_at="codec:nics",
            key=("type", "name"),
            measure=machine_rules.interfaces,
            idle=Remark(f"any network other than Main {LATER}", machine_rules.beyond_main),
        ),
    ] = ()
    virtual_machine_ip_address_name: Annotated[
        Name | None,
        Field(alias="virtualMachineIPAddressName"),
        Managed(
            "The VirtualMachineIPAddress to use in Main; left out, one is made that lives as long as the machine.",
            HARDWARE,
            seen_at="metadata:ip-address-name",
            unset="keep",
            idle=Remark(LATER),
        ),
    ] = None
    usb_devices: Annotated[
        tuple[UsbDeviceRef, ...],
        Field(max_length=8, exclude_if=not_),
        Managed("USB devices lent to the machine.", HARDWARE, seen_at="codec:usb", key=("name",), idle=Remark(LATER)),
    ] = ()
    gpus: Annotated[
        tuple[GpuRef, ...],
        Field(max_length=16, exclude_if=not_),
        Managed(
            "Graphics processors lent to the machine.",
            HARDWARE,
            seen_at="codec:gpus",
            measure=machine_rules.unordered,
            idle=Remark(LATER),
        ),
    ] = ()
    node_selector: Annotated[
        Labels,
        Items,
        Managed("Labels that the host must have for the machine to start.", at_once(), seen_at="store:spec"),
    ] = Labels()
    affinity: Annotated[
        Affinity | None,
        Managed(
            "What must hold of the host, and of other machines on it, for the machine to start.",
            at_once(),
            seen_at="store:spec",
            caution=Remark(
                f"what is preferred rather than required {ONE_HOST}",
                lambda value: isinstance(value, Affinity) and value.has_preferences,
            ),
        ),
    ] = None
    tolerations: Annotated[
        tuple[Toleration, ...],
        Items,
        Managed("Taints that are put up with.", at_once(), seen_at="store:spec", caution=Remark(ONE_HOST)),
    ] = ()
    topology_spread_constraints: Annotated[
        tuple[TopologySpreadConstraint, ...],
        Items,
        Managed("How evenly machines are spread.", at_once(), seen_at="store:spec", caution=Remark(ONE_HOST)),
    ] = ()
    priority_class_name: Annotated[
        Name | None,
        Managed("Who goes first where room is short.", at_once(), seen_at="store:spec", caution=Remark(ONE_HOST)),
    ] = None
    live_migration_policy: Annotated[
        Literal["AlwaysSafe", "PreferSafe", "AlwaysForced", "PreferForced"],
        Managed(
            "How a migration to another host is done.",
            at_once(),
            seen_at="store:spec",
            caution=Remark(ONE_HOST, lambda value: value != "PreferSafe"),
        ),
    ] = "PreferSafe"
    disruptions: Annotated[Disruptions, Managed("What may interrupt the guest.", at_once(), seen_at="store:spec")] = (
        Disruptions()
    )
    termination_grace_period_seconds: Annotated[
        Int,
        Field(ge=0),
        Managed(
            "How many seconds a shutdown may take before the power is cut.",
            restart("it is recorded with the running machine"),
            seen_at="metadata:grace-period",
        ),
    ] = 60
