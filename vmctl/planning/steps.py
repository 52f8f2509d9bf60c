"""What a pass may do to the world: small values, each idempotent, each with the sentence that `diff` prints for it.

Planning makes them, the engine carries them out one by one, with a journal entry before and a record after.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.hardware import Disk, Hardware
    from vmctl.planning.observed import NatNetwork
    from vmctl.planning.power import Cause
    from vmctl.resources.keys import Key


LAYER_SUFFIX = ".qcow2"


def layer_path(directory: str, layer: str) -> str:
    """The file of a layer in the directory of its storage class."""
    return f"{directory}/{layer}{LAYER_SUFFIX}"


@dataclass(frozen=True, slots=True)
class Layer:
    """Where the bytes of an image or a disk lie: a file in the directory of its storage class."""

    id: str
    owner: str
    storage_class: str
    directory: str
    purpose: Literal["image", "disk"]
    backing: str = ""

    @property
    def path(self) -> str:
        return layer_path(self.directory, self.id)


@dataclass(frozen=True, slots=True)
class ImportLayer:
    """Fetch bytes by HTTP into a layer; an image is frozen afterwards, a disk stays writable."""

    layer: Layer
    url: str
    checksums: Mapping[str, str] = field(default_factory=dict[str, str])
    ca_bundle: str = ""
    size_bytes: int | None = None  # grow the disk to this after the import

    def describe(self) -> str:
        return f"import {self.url}"


@dataclass(frozen=True, slots=True)
class CreateBlank:
    """Make an empty layer."""

    layer: Layer
    size_bytes: int

    def describe(self) -> str:
        return f"create an empty disk in storage class {self.layer.storage_class}"


@dataclass(frozen=True, slots=True)
class CreateOverlay:
    """Put a writable layer on a read-only one of the same class."""

    layer: Layer
    size_bytes: int
    source: str  # what the user calls the image

    def describe(self) -> str:
        return f"create a disk on top of {self.source} (nothing is copied)"


@dataclass(frozen=True, slots=True)
class CopyLayer:
    """Materialise an image in another storage class."""

    layer: Layer
    source_directory: str
    source: str

    def describe(self) -> str:
        return f"copy the image into storage class {self.layer.storage_class}"


@dataclass(frozen=True, slots=True)
class GrowLayer:
    """Make a disk larger; online when `running` names the machine and the alias that hold it. `off`: machines that have
    it when they are on, which somebody may have started by now.
    """

    layer: Layer
    size_bytes: int
    running: tuple[str, str] | None = None
    off: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        return "grow the disk" + (" while the machine runs" if self.running else "")


@dataclass(frozen=True, slots=True)
class RemoveLayer:
    """Delete the bytes of a layer. Only for objects whose deletion was asked for by name, and for unfinished
    imports.
    """

    layer: Layer
    what: str

    def describe(self) -> str:
        return f"delete the data of {self.what}"


@dataclass(frozen=True, slots=True)
class ReserveAddress:
    """Tell DHCP and DNS of the managed network which address a machine has."""

    network: NatNetwork
    mac: str
    address: str
    name: str
    namespace: str

    def describe(self) -> str:
        return f"reserve {self.address}"


@dataclass(frozen=True, slots=True)
class ReleaseAddress:
    """Take the reservation of a machine back."""

    network: NatNetwork
    mac: str
    address: str
    name: str
    namespace: str

    def describe(self) -> str:
        return f"release {self.address}"


@dataclass(frozen=True, slots=True)
class EnsureNetwork:
    """Make the managed network and start it."""

    network: NatNetwork

    def describe(self) -> str:
        return f"bring up network {self.network.name} ({self.network.cidr})"


@dataclass(frozen=True, slots=True)
class WriteSeed:
    """Write the medium that sets a guest up at its first start. The payload is secret and never shown."""

    path: str
    form: Literal["nocloud", "sysprep"]
    files: Mapping[str, bytes] = field(repr=False)
    instance_id: str = ""
    hostname: str = ""

    def describe(self) -> str:
        return "write the cloud-init medium" if self.form == "nocloud" else "write the sysprep medium"


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove a file that can be made again: a seed medium, a console transcript."""

    path: str
    what: str

    def describe(self) -> str:
        return f"remove {self.what}"


@dataclass(frozen=True, slots=True)
class CreateObject:
    """Make an object that another one needs (an address for a machine)."""

    key: Key
    document: Mapping[str, Any]

    def describe(self) -> str:
        return f"create {self.key.short}"


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Mark an object deleted; its own pass does the rest."""

    key: Key

    def describe(self) -> str:
        return f"delete {self.key.short}"


@dataclass(frozen=True, slots=True)
class ForgetObject:
    """Remove an object from the store: nothing of it is left anywhere else."""

    key: Key
    uid: str

    def describe(self) -> str:
        return f"remove {self.key.short}"


@dataclass(frozen=True, slots=True)
class Define:
    """Write a machine's definition (over the old one; what runs is not touched)."""

    hardware: Hardware

    def describe(self) -> str:
        return "define the machine"


@dataclass(frozen=True, slots=True)
class Start:
    """Boot what is defined. Our intent (and the host's boot) are recorded before."""

    uid: str
    nonce: str
    why: str = ""
    crashes: int = 0  # how often in a row it went off by itself soon after a start

    def describe(self) -> str:
        return "start the machine" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True, slots=True)
class ShutDown:
    """Ask the guest to power off, again and again until the deadline, then cut the power."""

    uid: str
    grace_s: int
    why: str
    cause: Cause

    def describe(self) -> str:
        return f"shut the machine down ({self.why}; power is cut after {self.grace_s} s)"


@dataclass(frozen=True, slots=True)
class CutPower:
    """Switch a machine off at once. Without a cause it is not to be off: what crashed is only cleared away."""

    uid: str
    why: str
    cause: Cause | None

    def describe(self) -> str:
        return f"cut the power ({self.why})"


@dataclass(frozen=True, slots=True)
class Undefine:
    """Remove a machine's definition, NVRAM and TPM state; never its disks."""

    uid: str

    def describe(self) -> str:
        return "remove the machine from libvirt (its disks stay)"


@dataclass(frozen=True, slots=True)
class Remember:
    """Note something about an object, durably, and have everybody concerned look again.

    `told`: the user is to know of it, because more follows from it than a note.
    """

    key: Key
    uid: str
    name: str
    text: str
    what: str
    told: bool = False

    def describe(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class SetCores:
    """Give a running machine more processors, until its guest has them. `change` names what is refused if it fails."""

    uid: str
    cores: int
    change: str

    def describe(self) -> str:
        return f"raise the number of cores to {self.cores} while the machine runs"


@dataclass(frozen=True, slots=True)
class SetCoreFraction:
    """Change the guaranteed share of each core of a running machine."""

    uid: str
    percent: int
    change: str

    def describe(self) -> str:
        return f"set the guaranteed share of each core to {self.percent}% while the machine runs"


@dataclass(frozen=True, slots=True)
class SetMemory:
    """Give a running machine memory, or have its guest give some back."""

    uid: str
    size_kib: int
    change: str

    def describe(self) -> str:
        from vmctl.resources.units import shown_quantity  # pydantic, which a look at requests does not need

        return f"set the memory to {shown_quantity(self.size_kib * 1024)} while the machine runs"


@dataclass(frozen=True, slots=True)
class PlugDisk:
    """Attach a block device to a running machine."""

    uid: str
    disk: Disk
    what: str
    change: str

    def describe(self) -> str:
        return f"attach {self.what} while the machine runs"


@dataclass(frozen=True, slots=True)
class UnplugDisk:
    """Detach a block device from a running machine; its data stays."""

    uid: str
    alias: str
    what: str
    change: str

    def describe(self) -> str:
        return f"detach {self.what} while the machine runs"


Live = SetCores | SetCoreFraction | SetMemory | PlugDisk | UnplugDisk
Step = (
    ImportLayer
    | CreateBlank
    | CreateOverlay
    | CopyLayer
    | GrowLayer
    | RemoveLayer
    | ReserveAddress
    | ReleaseAddress
    | EnsureNetwork
    | WriteSeed
    | RemoveFile
    | CreateObject
    | DeleteObject
    | ForgetObject
    | Define
    | Start
    | ShutDown
    | CutPower
    | Undefine
    | Remember
    | SetCores
    | SetCoreFraction
    | SetMemory
    | PlugDisk
    | UnplugDisk
)
