"""VirtualMachineSnapshotOperation: something made from the snapshot of a machine, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from vmctl.resources.cloning import Naming, once
from vmctl.resources.declaring import Fault, Resource, Spec
from vmctl.resources.units import Name

if TYPE_CHECKING:
    from collections.abc import Iterator


def machine_is_described(spec: VirtualMachineSnapshotOperationSpec) -> Iterator[Fault]:
    """A machine to be made needs a name."""
    if spec.create_virtual_machine is None:
        yield Fault(("createVirtualMachine",), f"is missing; type {spec.type} needs it")


class VirtualMachineSnapshotOperationSpec(Spec):
    """Something made from the snapshot of a machine."""

    checks = (machine_is_described,)

    type: Annotated[Literal["CreateVirtualMachine"], once("What is made.")]
    virtual_machine_snapshot_name: Annotated[Name, once("The VirtualMachineSnapshot it is made from.")]
    create_virtual_machine: Annotated[
        Naming | None, once("How the machine and what belongs to it are named, for type CreateVirtualMachine.")
    ] = None


class VirtualMachineSnapshotOperation(Resource):
    """A new machine made from a snapshot. It is carried out once."""

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineSnapshotOperation"]
    spec: VirtualMachineSnapshotOperationSpec
