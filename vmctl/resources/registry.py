"""Every kind by its names: the one list that a new kind is entered in.

Plain values without pydantic, so that `vmctl get` starts quickly; the models are imported on demand by `model()`.
Columns are data: a heading and where the value stands (a path understood by `cli.columns`), wide ones last.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmctl.resources.declaring import Resource

VIRTUALIZATION = "virtualization.deckhouse.io"


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column: `path` is dotted; `form` says how the value is shown."""

    heading: str
    path: str
    form: str = "text"  # text | age | condition (True or False, never blank) | json | flag (true or false) | count
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: its names, its versions (the stored one first), where its model is, how it is listed."""

    name: str
    plural: str
    group: str
    versions: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    acts: bool = False  # `apply` carries it out; otherwise it validates, and `apply` refuses it with one line
    built_in: bool = False  # made by the engine as well as by manifests
    once: bool = False  # carried out once: what a directory asked for and is gone is not made again
    columns: tuple[Column, ...] = ()
    priority: int = 50  # order of tables in `get a,b,c`-less listings and of application among independents

    @property
    def singular(self) -> str:
        """The name in lower case, also the name of the kind's module."""
        return self.name.lower()

    @property
    def qualified(self) -> str:
        """As kubectl prints it in front of a name: `virtualmachine.virtualization.deckhouse.io`."""
        return f"{self.singular}.{self.group}" if self.group else self.singular

    @property
    def api_version(self) -> str:
        """The version objects are stored and printed in."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]

    @property
    def api_versions(self) -> tuple[str, ...]:
        """Every version that manifests may be written in."""
        return tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)

    def model(self) -> type[Resource]:
        """The pydantic model; importing it is what costs time."""
        found: type[Resource] = getattr(import_module(f"vmctl.resources.{self.singular}"), self.name)
        return found


AGE = Column("AGE", "metadata.creationTimestamp", "age")
PHASE = Column("PHASE", "status.phase")
CONSISTENT = Column("CONSISTENT", "status.consistent")


def _image_columns() -> tuple[Column, ...]:
    return (
        PHASE,
        Column("CDROM", "status.cdrom", "flag"),
        Column("PROGRESS", "status.progress"),
        Column("STOREDSIZE", "status.size.stored", wide=True),
        Column("UNPACKEDSIZE", "status.size.unpacked", wide=True),
        Column("REGISTRY URL", "status.target.registryURL", wide=True),
        AGE,
    )


def _virtualization(name: str, plural: str, *short: str, **more: object) -> Kind:
    fields: dict[str, object] = {"versions": ("v1alpha2",), **more}
    return Kind(name, plural, VIRTUALIZATION, short_names=short, **fields)  # type: ignore[arg-type]  # checked by the test of the table


KINDS: tuple[Kind, ...] = (
    Kind(
        "ModuleConfig",
        "moduleconfigs",
        "deckhouse.io",
        ("v1alpha1",),
        ("mc",),
        namespaced=False,
        acts=True,
        columns=(Column("VERSION", "spec.version"), AGE),
        priority=1,
    ),
    Kind(
        "Namespace",
        "namespaces",
        "",
        ("v1",),
        ("ns",),
        namespaced=False,
        acts=True,
        columns=(Column("STATUS", "status.phase"), AGE),
        priority=2,
    ),
    Kind(
        "Node",
        "nodes",
        "",
        ("v1",),
        ("no",),
        namespaced=False,
        acts=True,
        built_in=True,
        columns=(
            Column("STATUS", "status.phase"),
            Column("VERSION", "status.nodeInfo.vmctlVersion"),
            Column("CPU", "status.capacity.cpu", wide=True),
            Column("MEMORY", "status.capacity.memory", wide=True),
            Column("ACCELERATOR", "status.nodeInfo.accelerator", wide=True),
            Column("KERNEL", "status.nodeInfo.kernelVersion", wide=True),
            AGE,
        ),
        priority=3,
    ),
    Kind(
        "StorageClass",
        "storageclasses",
        "storage.k8s.io",
        ("v1",),
        ("sc",),
        namespaced=False,
        acts=True,
        built_in=True,
        columns=(
            Column("PROVISIONER", "provisioner"),
            Column("RECLAIMPOLICY", "reclaimPolicy"),
            Column("VOLUMEBINDINGMODE", "volumeBindingMode"),
            Column("ALLOWVOLUMEEXPANSION", "allowVolumeExpansion", "flag"),
            AGE,
        ),
        priority=4,
    ),
    Kind(
        "VolumeSnapshotClass",
        "volumesnapshotclasses",
        "snapshot.storage.k8s.io",
        ("v1",),
        ("vsclass",),
        namespaced=False,
        built_in=True,
        columns=(Column("DRIVER", "driver"), Column("DELETIONPOLICY", "deletionPolicy"), AGE),
        priority=5,
    ),
    Kind(
        "Secret",
        "secrets",
        "",
        ("v1",),
        namespaced=True,
        acts=True,
        columns=(Column("TYPE", "type"), Column("DATA", "data", "count"), AGE),
        priority=6,
    ),
    _virtualization(
        "VirtualMachineClass",
        "virtualmachineclasses",
        "vmc",
        "vmclass",
        versions=("v1alpha3", "v1alpha2"),
        namespaced=False,
        acts=True,
        built_in=True,
        priority=7,
        columns=(
            PHASE,
            Column(
                "ISDEFAULT",
                "metadata.annotations.virtualmachineclass\\.virtualization\\.deckhouse\\.io/is-default-class",
            ),
            AGE,
        ),
    ),
    _virtualization(
        "ClusterVirtualImage",
        "clustervirtualimages",
        "cvi",
        namespaced=False,
        acts=True,
        priority=10,
        columns=_image_columns(),
    ),
    _virtualization("VirtualImage", "virtualimages", "vi", acts=True, priority=11, columns=_image_columns()),
    _virtualization(
        "VirtualDisk",
        "virtualdisks",
        "vd",
        acts=True,
        priority=12,
        columns=(
            PHASE,
            Column("CAPACITY", "status.capacity"),
            Column("INUSE", "status.conditions.InUse", "condition", wide=True),
            Column("PROGRESS", "status.progress", wide=True),
            Column("STORAGECLASS", "status.storageClassName", wide=True),
            Column("TARGETPVC", "status.target.persistentVolumeClaimName", wide=True),
            AGE,
        ),
    ),
    _virtualization(
        "VirtualMachineIPAddressLease",
        "virtualmachineipaddressleases",
        "vmipl",
        "vmiplease",
        namespaced=False,
        built_in=True,
        priority=13,
        columns=(
            Column("VIRTUALMACHINEIPADDRESS", "spec.virtualMachineIPAddressRef", "json"),
            Column("STATUS", "status.phase"),
            AGE,
        ),
    ),
    _virtualization(
        "VirtualMachineIPAddress",
        "virtualmachineipaddresses",
        "vmip",
        built_in=True,
        priority=14,
        columns=(
            Column("ADDRESS", "status.address"),
            Column("STATUS", "status.phase"),
            Column("VM", "status.virtualMachineName"),
            AGE,
        ),
    ),
    _virtualization(
        "VirtualMachine",
        "virtualmachines",
        "vm",
        acts=True,
        priority=20,
        columns=(
            PHASE,
            Column("CORES", "spec.cpu.cores", wide=True),
            Column("COREFRACTION", "spec.cpu.coreFraction", wide=True),
            Column("MEMORY", "spec.memory.size", wide=True),
            Column("NEED RESTART", "status.conditions.AwaitingRestartToApplyConfiguration", "condition", wide=True),
            Column("AGENT", "status.conditions.AgentReady", "condition", wide=True),
            Column("MIGRATABLE", "status.conditions.Migratable", "condition", wide=True),
            Column("NODE", "status.nodeName"),
            Column("IPADDRESS", "status.ipAddress"),
            AGE,
        ),
    ),
    _virtualization(
        "VirtualMachineOperation",
        "virtualmachineoperations",
        "vmop",
        acts=True,
        priority=30,
        once=True,
        columns=(PHASE, Column("TYPE", "spec.type"), Column("VIRTUALMACHINE", "spec.virtualMachineName"), AGE),
    ),
    _virtualization(
        "VirtualMachineBlockDeviceAttachment",
        "virtualmachineblockdeviceattachments",
        "vmbda",
        acts=True,
        priority=31,
        columns=(
            PHASE,
            Column("BLOCKDEVICE KIND", "spec.blockDeviceRef.kind", wide=True),
            Column("BLOCKDEVICE NAME", "spec.blockDeviceRef.name", wide=True),
            Column("VIRTUAL MACHINE NAME", "spec.virtualMachineName"),
            AGE,
        ),
    ),
    _virtualization(
        "VirtualDiskSnapshot",
        "virtualdisksnapshots",
        "vdsnapshot",
        "vds",
        priority=32,
        columns=(PHASE, CONSISTENT, AGE),
    ),
    _virtualization(
        "VirtualMachineSnapshot",
        "virtualmachinesnapshots",
        "vmsnapshot",
        "vms",
        priority=33,
        columns=(PHASE, CONSISTENT, AGE),
    ),
    _virtualization(
        "VirtualMachineRestore",
        "virtualmachinerestores",
        "vmrestore",
        priority=34,
        once=True,
        columns=(PHASE, AGE),
    ),
    _virtualization(
        "VirtualMachineSnapshotOperation",
        "virtualmachinesnapshotoperations",
        "vmsop",
        priority=35,
        once=True,
        columns=(
            PHASE,
            Column("TYPE", "spec.type"),
            Column("VIRTUALMACHINESNAPSHOT", "spec.virtualMachineSnapshotName"),
            AGE,
        ),
    ),
    _virtualization(
        "VirtualMachineMACAddress",
        "virtualmachinemacaddresses",
        "vmmac",
        priority=36,
        columns=(
            Column("ADDRESS", "status.address"),
            Column("STATUS", "status.phase"),
            Column("VM", "status.virtualMachineName"),
            AGE,
        ),
    ),
    _virtualization(
        "VirtualMachineMACAddressLease",
        "virtualmachinemacaddressleases",
        "vmmacl",
        "vmmaclease",
        namespaced=False,
        priority=37,
        columns=(
            Column("VIRTUALMACHINEMACADDRESS", "spec.virtualMachineMACAddressRef", "json"),
            Column("STATUS", "status.phase"),
            AGE,
        ),
    ),
    _virtualization(
        "VirtualMachinePool",
        "virtualmachinepools",
        "vmpool",
        "vmpools",
        priority=38,
        columns=(Column("REPLICAS", "status.replicas"), Column("READY", "status.readyReplicas"), AGE),
    ),
    _virtualization(
        "USBDevice",
        "usbdevices",
        "usb",
        priority=39,
        columns=(
            Column("NODE", "status.nodeName"),
            Column("MANUFACTURER", "status.attributes.manufacturer"),
            Column("PRODUCT", "status.attributes.product"),
            Column("ATTACHED", "status.conditions.Attached", "condition"),
            AGE,
        ),
    ),
    _virtualization(
        "NodeUSBDevice",
        "nodeusbdevices",
        "nusb",
        namespaced=False,
        priority=40,
        columns=(
            Column("NODE", "status.nodeName"),
            Column("READY", "status.conditions.Ready", "condition"),
            Column("ASSIGNED", "status.conditions.Assigned", "condition"),
            Column("ATTACHED", "status.conditions.Attached", "condition"),
            Column("NAMESPACE", "spec.assignedNamespace"),
            AGE,
        ),
    ),
    Kind("Service", "services", "", ("v1",), ("svc",), columns=(Column("TYPE", "spec.type"), AGE), priority=41),
    Kind("Ingress", "ingresses", "networking.k8s.io", ("v1",), ("ing",), columns=(AGE,), priority=42),
    Kind("Network", "networks", "network.deckhouse.io", ("v1alpha1",), columns=(AGE,), priority=43),
    Kind(
        "ClusterNetwork",
        "clusternetworks",
        "network.deckhouse.io",
        ("v1alpha1",),
        namespaced=False,
        columns=(AGE,),
        priority=44,
    ),
    Kind("Event", "events", "", ("v1",), ("ev",), built_in=True, priority=60),
)

BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS}


@cache
def _words() -> dict[str, Kind]:
    words: dict[str, Kind] = {}
    for kind in KINDS:
        for word in (
            kind.plural,
            kind.singular,
            *kind.short_names,
            f"{kind.plural}.{kind.group}",
            f"{kind.singular}.{kind.group}",
        ):
            words.setdefault(word.lower(), kind)
    return words


def find(word: str) -> Kind | None:
    """The kind a user means by `vm`, `VirtualMachine`, `virtualmachines` or the singular with its group."""
    return _words().get(word.lower().rstrip("."))


def closest(word: str, among: tuple[str, ...] | list[str] | None = None) -> str:
    """A did-you-mean for a kind (or for any other set of words); empty when nothing is near."""
    words = list(among) if among is not None else [*(kind.name for kind in KINDS), *_words()]
    folded = {candidate.lower(): candidate for candidate in reversed(words)}
    near = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else ""
