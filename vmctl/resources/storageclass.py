"""StorageClass: a directory of the host that images and disks lie in."""

from __future__ import annotations

from operator import not_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vmctl.resources.annotations import DEFAULT_STORAGE_CLASS
from vmctl.resources.declaring import Fault, Managed, Resource, Spec, Value
from vmctl.resources.policies import at_once, refuse
from vmctl.resources.units import Flag, Name, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

MOVED = refuse("what was stored would be left behind; make another class")
Directory = Annotated[
    str, Text(r"^/([^/\x00]+/?)*$", "is no absolute directory; write a path that begins with a slash")
]


class Parameters(Spec):
    """Where the class keeps its files."""

    path: Annotated[
        Directory,
        Managed("An absolute directory of the host, which QEMU's user can reach.", MOVED, seen_at="store:spec"),
    ]


class TopologyExpression(Value):
    """A condition on a node, kept for files that also serve a cluster."""

    key: Annotated[Name, Field(description="The node's label.")]
    values: Annotated[tuple[str, ...], Field(description="Values the label may have.")]


class TopologyTerm(Value):
    """One way for a node to fit."""

    match_label_expressions: Annotated[
        tuple[TopologyExpression, ...], Field(description="Conditions that must all hold.", exclude_if=not_)
    ] = ()


def default_is_yes_or_no(storage: StorageClass) -> Iterator[Fault]:
    """The annotation that makes a class the default one is a truth value in quotes."""
    if storage.metadata.annotations.get(DEFAULT_STORAGE_CLASS, "true") not in ("true", "false"):
        yield Fault(("metadata", "annotations", DEFAULT_STORAGE_CLASS), 'can only be "true" or "false"')


class StorageClass(Resource):
    """A directory of the host that images and disks lie in. `local` is there without being declared."""

    namespaced = False
    checks = (*Resource.checks, default_is_yes_or_no)

    api_version: Literal["storage.k8s.io/v1"]
    kind: Literal["StorageClass"]
    provisioner: Annotated[
        Literal["vmctl.dev/directory"], Managed("Who provides the storage.", MOVED, seen_at="store:spec")
    ]
    parameters: Parameters
    reclaim_policy: Annotated[
        Literal["Delete", "Retain"],
        Managed("What becomes of the data when its disk is deleted.", at_once(), seen_at="store:spec"),
    ] = "Delete"
    volume_binding_mode: Annotated[
        Literal["Immediate", "WaitForFirstConsumer"],
        Managed(
            "Whether disks are made at once, or when the first machine wants them.", at_once(), seen_at="store:spec"
        ),
    ] = "Immediate"
    allow_volume_expansion: Annotated[Flag, Managed("Whether disks may grow.", at_once(), seen_at="store:spec")] = True
    mount_options: Annotated[
        tuple[str, ...],
        Field(exclude_if=not_),
        Managed("Options of a mount; a directory has none, they are kept.", at_once(), seen_at="store:spec"),
    ] = ()
    allowed_topologies: Annotated[
        tuple[TopologyTerm, ...],
        Field(exclude_if=not_),
        Managed("Nodes that have the storage; kept, and ignored on one host.", at_once(), seen_at="store:spec"),
    ] = ()
