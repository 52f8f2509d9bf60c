"""VirtualMachineBlockDeviceAttachment: a disk or image plugged into a machine while it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from vmctl.resources.declaring import Managed, Resource, Spec
from vmctl.resources.policies import refuse
from vmctl.resources.units import Name

FIXED = refuse("an attachment is for one device and one machine; make another one")


class DeviceRef(Spec):
    """The device that is plugged in."""

    kind: Annotated[
        Literal["VirtualDisk", "VirtualImage", "ClusterVirtualImage"],
        Managed("A disk, or an image, which is attached read-only.", FIXED, seen_at="store:spec"),
    ]
    name: Annotated[Name, Managed("The name of the disk or image.", FIXED, seen_at="store:spec")]


class VirtualMachineBlockDeviceAttachmentSpec(Spec):
    """What is plugged in where."""

    virtual_machine_name: Annotated[Name, Managed("The machine.", FIXED, seen_at="store:spec")]
    block_device_ref: DeviceRef


class VirtualMachineBlockDeviceAttachment(Resource):
    """A disk or image plugged into a machine while it runs, and unplugged when this object is deleted."""

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineBlockDeviceAttachment"]
    spec: VirtualMachineBlockDeviceAttachmentSpec
