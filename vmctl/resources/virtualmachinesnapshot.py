"""VirtualMachineSnapshot: a machine and all its disks at one moment."""

from __future__ import annotations

from operator import not_
from typing import Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Managed, Remark, Resource, Spec, Value
from vmctl.resources.policies import refuse
from vmctl.resources.units import Flag, Name

MOMENT = refuse("a snapshot is of one moment; make another one")


class SnapshotClass(Value):
    """Which VolumeSnapshotClass older versions used for which StorageClass."""

    storage_class_name: Annotated[Name | None, Field(description="The StorageClass.")] = None
    volume_snapshot_class_name: Annotated[Name, Field(description="The VolumeSnapshotClass.")]


class VirtualMachineSnapshotSpec(Spec):
    """Which machine, and what is kept of it."""

    virtual_machine_name: Annotated[Name, Managed("The VirtualMachine.", MOMENT, seen_at="store:spec")]
    required_consistency: Annotated[
        Flag,
        Managed(
            "Whether it must be consistent: the guest's file systems frozen by its agent, or the machine off.",
            MOMENT,
            seen_at="store:spec",
        ),
    ] = True
    keep_ip_address: Annotated[
        Literal["Always", "Never"],
        Field(alias="keepIPAddress"),
        Managed("Whether the address is kept for a machine restored from it.", MOMENT, seen_at="store:spec"),
    ] = "Always"
    volume_snapshot_classes: Annotated[
        tuple[SnapshotClass, ...],
        Field(exclude_if=not_),
        Managed(
            "The VolumeSnapshotClasses that older versions asked for.",
            MOMENT,
            seen_at="store:spec",
            unset="keep",
            caution=Remark("is from an older version; snapshots here are layers, whatever it says"),
        ),
    ] = ()


class VirtualMachineSnapshot(Resource):
    """A machine and all its disks at one moment, to go back to or to make another machine from."""

    dots_in_name = False

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineSnapshot"]
    spec: VirtualMachineSnapshotSpec
