"""The spec of a virtual disk, as a disk and the template of a pool have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from vmctl.resources.checking import Fault
from vmctl.resources.fields import Managed, Spec
from vmctl.resources.policies import at_once, grows_else, live, once_ready, refuse
from vmctl.resources.sources import DataSource, ObjectRef, content, later
from vmctl.resources.units import Name, Size, measured_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

MOVE = once_ready(refuse("a disk stays in the storage class it was made in; make another one"))


class DiskObjectRef(ObjectRef):
    """An image or the snapshot of a disk."""

    kind: Annotated[
        Literal["ClusterVirtualImage", "VirtualImage", "VirtualDiskSnapshot"],
        content("The kind of the object.", later("objectRef kind", "VirtualDiskSnapshot")),
    ]


class DiskSource(DataSource):
    """Where the first content of a disk comes from."""

    object_ref: Annotated[DiskObjectRef | None, content("The object of type ObjectRef.")] = None


class DiskClaim(Spec):
    """How much a disk holds, and where it lies."""

    size: Annotated[
        Size | None,
        Managed(
            "How much the disk holds, such as 10Gi. Needed for an empty disk; else at least the unpacked size of the "
            "source, which is what it is when left out.",
            once_ready(grows_else(live("resize"), refuse("a disk never shrinks: the guest's data would be cut off"))),
            seen_at="store:spec",
            unset="keep",
            measure=measured_bytes,
        ),
    ] = None
    storage_class_name: Annotated[
        Name | None,
        Managed("The StorageClass; left out, the default one.", MOVE, seen_at="store:spec", unset="keep"),
    ] = None


def empty_disk_has_size(spec: VirtualDiskSpec) -> Iterator[Fault]:
    """A disk that is made from nothing says how large it is."""
    claim = spec.persistent_volume_claim
    if spec.data_source is None and (claim is None or claim.size is None):
        yield Fault(
            ("persistentVolumeClaim", "size"), "is missing; a disk without dataSource is empty, and needs a size"
        )


class VirtualDiskSpec(Spec):
    """A virtual disk."""

    checks = (empty_disk_has_size,)

    data_source: Annotated[DiskSource | None, content("What the disk holds at first; left out, it is empty.")] = None
    persistent_volume_claim: Annotated[
        DiskClaim | None,
        Managed("How much the disk holds, and where it lies.", at_once(), seen_at="store:spec", unset="keep"),
    ] = None
