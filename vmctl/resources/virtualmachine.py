"""VirtualMachine: a virtual machine on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vmctl.resources.declaring import Fault, Resource
from vmctl.resources.machine_fields import VirtualMachineSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["VirtualMachine", "VirtualMachineSpec"]

GROUP = "virtualization.deckhouse.io"


def labels_are_not_ours(machine: VirtualMachine) -> Iterator[Fault]:
    """Labels under the product's own prefix are not for users to set on machines."""
    yield from _reserved("labels", machine.metadata.labels)


def annotations_are_not_ours(machine: VirtualMachine) -> Iterator[Fault]:
    """Annotations under the product's own prefix are not for users to set on machines."""
    yield from _reserved("annotations", machine.metadata.annotations)


def _reserved(field: str, keys: Iterable[str]) -> Iterator[Fault]:
    for key in keys:
        if GROUP in key.partition("/")[0]:
            yield Fault(("metadata", field, key), f"keys with {GROUP} are reserved; use another prefix")


class VirtualMachine(Resource):
    """A virtual machine: processors, memory, disks, firmware, when it runs and how it is set up."""

    longest_name = 63
    checks = (*Resource.checks, labels_are_not_ours, annotations_are_not_ours)

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachine"]
    spec: VirtualMachineSpec

    def cautions(self) -> Iterator[tuple[str, str]]:
        """Old systems rarely have virtio drivers."""
        if self.spec.os_type == "Legacy" and self.spec.enable_paravirtualization:
            yield (
                "spec.enableParavirtualization",
                "osType Legacy with paravirtualization needs virtio drivers in the guest; set it to false without",
            )
