"""VirtualDiskSnapshot: what a disk held at one moment."""

from __future__ import annotations

from typing import Annotated, Literal

from vmctl.resources.declaring import Managed, Remark, Resource, Spec
from vmctl.resources.policies import refuse
from vmctl.resources.units import Flag, Name

MOMENT = refuse("a snapshot is of one moment; make another one")


class VirtualDiskSnapshotSpec(Spec):
    """Which disk, and how strictly."""

    virtual_disk_name: Annotated[Name, Managed("The VirtualDisk.", MOMENT, seen_at="store:spec")]
    required_consistency: Annotated[
        Flag,
        Managed(
            "Whether it must be consistent: the guest's file systems frozen by its agent, or the machine off.",
            MOMENT,
            seen_at="store:spec",
        ),
    ] = True
    volume_snapshot_class_name: Annotated[
        Name | None,
        Managed(
            "The VolumeSnapshotClass that older versions asked for.",
            MOMENT,
            seen_at="store:spec",
            unset="keep",
            caution=Remark("is from an older version; snapshots here are layers, whatever it says"),
        ),
    ] = None


class VirtualDiskSnapshot(Resource):
    """What a disk held at one moment, to make disks and images from."""

    dots_in_name = False

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualDiskSnapshot"]
    spec: VirtualDiskSnapshotSpec
