"""VirtualMachineRestore: a machine made again from its snapshot, under new names if wanted. Upstream dropped it."""

from __future__ import annotations

from operator import not_
from typing import Annotated, Literal

from pydantic import Field

from vmctl.resources.cloning import NameReplacement, once
from vmctl.resources.declaring import Resource, Spec
from vmctl.resources.units import Name


class VirtualMachineRestoreSpec(Spec):
    """What is made again, and under which names."""

    virtual_machine_snapshot_name: Annotated[Name, once("The VirtualMachineSnapshot to take it from.")]
    restore_mode: Annotated[
        Literal["Safe", "Forced"],
        once("Safe: fail on any name that exists. Forced: replace what exists."),
    ] = "Safe"
    name_replacements: Annotated[
        tuple[NameReplacement, ...],
        Field(exclude_if=not_),
        once("New names for single objects; without them, a name that exists makes the restore fail."),
    ] = ()


class VirtualMachineRestore(Resource):
    """A machine made again from a snapshot. It is carried out once."""

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineRestore"]
    spec: VirtualMachineRestoreSpec
