"""VirtualMachinePool: a number of machines made from one template."""

from __future__ import annotations

from collections import Counter
from operator import not_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Fault, Managed, Resource, Spec
from vmctl.resources.disk_fields import VirtualDiskSpec
from vmctl.resources.machine_fields import VirtualMachineSpec
from vmctl.resources.metadata import Annotations, Labels
from vmctl.resources.policies import at_once, refuse
from vmctl.resources.units import Duration, Int, Label

if TYPE_CHECKING:
    from collections.abc import Iterator

MigrationPolicy = Literal["Manual", "Never", "AlwaysSafe", "PreferSafe", "AlwaysForced", "PreferForced"]
FROM_NOW_ON = at_once()
NAMED = refuse("another name is another template")


def managed(doc: str) -> Managed:
    """The policy of a field that counts for replicas from now on."""
    return Managed(doc, FROM_NOW_ON, seen_at="store:spec")


def reclaim_fits(reclaim: Reclaim) -> Iterator[Fault]:
    """Only disks that are retained can be kept for a while; some can only be kept longer if others are not."""
    for name in ("keep", "ttl"):
        if getattr(reclaim, name) and reclaim.on_scale_down != "Retain":
            yield Fault((name,), "counts only with onScaleDown Retain; set that, or remove this line")
    if reclaim.keep and reclaim.ttl is None:
        yield Fault(("ttl",), "is missing; keep exempts disks from it")


class Reclaim(Spec):
    """What becomes of disks of replicas that go."""

    checks = (reclaim_fits,)

    on_scale_down: Annotated[
        Literal["Delete", "Retain"], managed("Whether the disk goes with its replica, or waits for another one.")
    ] = "Delete"
    keep: Annotated[Int, Field(ge=0), managed("How many of the newest waiting disks ttl leaves alone.")] = 0
    ttl: Annotated[Duration | None, managed("How long a disk waits before it is deleted, such as 24h.")] = None


class DiskTemplate(Spec):
    """A disk that each replica gets."""

    name: Annotated[Label, Managed("What blockDeviceRefs calls it.", NAMED, seen_at="store:spec")]
    reclaim: Annotated[Reclaim, managed("What becomes of disks of replicas that go.")] = Reclaim()
    spec: VirtualDiskSpec


class TemplateMeta(Spec):
    """What is attached to each replica."""

    labels: Annotated[Labels, Field(exclude_if=not_), managed("Labels.")] = Labels()
    annotations: Annotated[Annotations, Field(exclude_if=not_), managed("Annotations.")] = Annotations()


def template_is_modern(spec: TemplateSpec) -> Iterator[Fault]:
    """Old systems cannot be set up by themselves."""
    if spec.os_type == "Legacy":
        yield Fault(("osType",), "Legacy does not go with a pool; use Generic or Windows")


class TemplateSpec(VirtualMachineSpec):
    """The spec of each replica."""

    checks = (*VirtualMachineSpec.checks, template_is_modern)

    live_migration_policy: Annotated[MigrationPolicy, managed("How a migration to another host is done.")] = (
        "PreferSafe"  # type: ignore[assignment]  # a pool knows two more policies
    )


class MachineTemplate(Spec):
    """What each replica is."""

    metadata: Annotated[TemplateMeta, managed("What is attached to each replica.")] = TemplateMeta()
    spec: TemplateSpec


def templates_and_refs_match(spec: VirtualMachinePoolSpec) -> Iterator[Fault]:
    """Each disk template is used by exactly one reference, and each reference to a disk names a template."""
    names = [template.name for template in spec.virtual_disk_templates]
    for index, name in enumerate(names):
        if names.index(name) != index:
            yield Fault(
                ("virtualDiskTemplates", index, "name"), f"{name} is used by another template; make them differ"
            )
    refs = spec.virtual_machine_template.spec.block_device_refs
    used = Counter(ref.name for ref in refs if ref.kind == "VirtualDisk")
    for index, name in enumerate(names):
        if used[name] != 1:
            yield Fault(
                ("virtualDiskTemplates", index),
                f"{name} must be named by exactly one VirtualDisk in blockDeviceRefs, and is by {used[name]}",
            )
    for index, ref in enumerate(refs):
        if ref.kind == "VirtualDisk" and ref.name not in names:
            yield Fault(
                ("virtualMachineTemplate", "spec", "blockDeviceRefs", index, "name"),
                f"{ref.name} names no template; add it to virtualDiskTemplates",
            )


class VirtualMachinePoolSpec(Spec):
    """How many machines, and of what."""

    checks = (templates_and_refs_match,)

    replicas: Annotated[Int | None, Field(ge=0), managed("How many machines there are.")] = None
    scale_down_policy: Annotated[
        Literal["NewestFirst", "OldestFirst", "Explicit"], managed("Which machines go first; Explicit: those named.")
    ]
    virtual_disk_templates: Annotated[
        tuple[DiskTemplate, ...],
        Field(min_length=1, max_length=16),
        Managed("Disks that each replica gets.", FROM_NOW_ON, seen_at="store:spec", key=("name",)),
    ]
    virtual_machine_template: MachineTemplate


class VirtualMachinePool(Resource):
    """A number of machines made from one template."""

    longest_name = 57
    dots_in_name = False

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachinePool"]
    spec: VirtualMachinePoolSpec
