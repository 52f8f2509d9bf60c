"""VirtualMachineOperation: something done to a machine, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vmctl.resources.cloning import Mode, Naming, once
from vmctl.resources.declaring import Fault, Resource, Spec
from vmctl.resources.fields import Remark
from vmctl.resources.metadata import Labels
from vmctl.resources.units import Flag, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER = Remark("{value} is not carried out by this version", lambda value: value in ("Restore", "Clone"))
BLOCKS = {"Restore": "restore", "Clone": "clone", "Migrate": "migrate"}


class Migrate(Spec):
    """Where to migrate to."""

    node_selector: Annotated[
        Labels, Field(exclude_if=lambda labels: not labels), once("Labels that the other host must have.")
    ] = Labels()


class Restore(Spec):
    """What to go back to."""

    mode: Mode
    virtual_machine_snapshot_name: Annotated[Name, once("The VirtualMachineSnapshot to go back to.")]


def block_fits_type(spec: VirtualMachineOperationSpec) -> Iterator[Fault]:
    """Restore and Clone need their block, and no block goes with another type."""
    for owner, name in BLOCKS.items():
        given = getattr(spec, name) is not None
        if given and owner != spec.type:
            yield Fault((name,), f"does not belong to type {spec.type}; remove it, or set type to {owner}")
        elif not given and owner == spec.type != "Migrate":
            yield Fault((name,), f"is missing; type {spec.type} needs it")


def start_needs_no_force(spec: VirtualMachineOperationSpec) -> Iterator[Fault]:
    """There is nothing to cut short in a start."""
    if spec.type == "Start" and spec.force:
        yield Fault(("force",), "does not go with type Start; remove it")


class VirtualMachineOperationSpec(Spec):
    """Something done to a machine."""

    tag = "type"
    checks = (block_fits_type, start_needs_no_force)

    type: Annotated[
        Literal["Start", "Stop", "Restart", "Migrate", "Evict", "Restore", "Clone"],
        once("What is done.", idle=LATER),
    ]
    virtual_machine_name: Annotated[Name, once("The machine it is done to.")]
    force: Annotated[
        Flag | None,
        once("Stop and Restart: cut the power instead of asking the guest. Migrate and Evict: slow the guest down."),
    ] = None
    migrate: Annotated[Migrate | None, once("Where to migrate to, for type Migrate.")] = None
    restore: Annotated[Restore | None, once("What to go back to, for type Restore.")] = None
    clone: Annotated[Naming | None, once("How the copies are named, for type Clone.")] = None


class VirtualMachineOperation(Resource):
    """A start, stop, restart, migration, restore or copy of a machine. It is carried out once."""

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineOperation"]
    spec: VirtualMachineOperationSpec
