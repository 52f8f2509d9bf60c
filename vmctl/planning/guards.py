"""Changes that are refused before anything happens: what is frozen, what would shrink, what would move data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vmctl.resources.units import quantity_bytes

if TYPE_CHECKING:
    from vmctl.planning.objects import Object

Json = Mapping[str, Any]
Refusal = tuple[str, str]  # dotted path of the field, and why
MADE = {
    "VirtualDisk": ("Ready", "Resizing", "PVCLost"),
    "VirtualImage": ("Ready", "ImageLost"),
    "ClusterVirtualImage": ("Ready", "ImageLost"),
}


def refusals(old: Object, new: Json) -> Iterator[Refusal]:
    """Why an object may not become what the document says; nothing when it may."""
    before, after = old.document.get("spec") or {}, new.get("spec") or {}
    if before == after and old.key.kind != "StorageClass":
        return
    if old.terminating:
        yield "spec", f"{old.key.short} is being deleted; wait until it is gone, then apply again"
        return
    match old.key.kind:
        case "VirtualImage" | "ClusterVirtualImage":
            yield from _image(old, before, after)
        case "VirtualDisk":
            yield from _disk(old, before, after)
        case "VirtualMachineClass":
            if before.get("cpu") != after.get("cpu"):
                yield "spec.cpu", "the CPU of a class never changes; make a new class and move machines to it"
        case "StorageClass":
            if old.document.get("parameters") != new.get("parameters"):
                yield "parameters", "what lies in a storage class stays where it is; make a new class"
        case _:
            return


def _image(old: Object, before: Json, after: Json) -> Iterator[Refusal]:
    if old.phase not in MADE[old.key.kind]:
        return
    for name in ("dataSource", "persistentVolumeClaim"):
        if before.get(name) != after.get(name):
            yield (
                f"spec.{name}",
                f"an image is frozen once it is {old.phase}; delete it and apply again, or give the new image another name",
            )


def _disk(old: Object, before: Json, after: Json) -> Iterator[Refusal]:
    if old.phase not in MADE["VirtualDisk"]:
        return
    if before.get("dataSource") != after.get("dataSource"):
        yield (
            "spec.dataSource",
            f"the disk is {old.phase}: its data came from the old source and is kept; give the new disk another name",
        )
    was, now = before.get("persistentVolumeClaim") or {}, after.get("persistentVolumeClaim") or {}
    if now.get("storageClassName") not in (None, was.get("storageClassName"), old.status.get("storageClassName")):
        yield (
            "spec.persistentVolumeClaim.storageClassName",
            "the data of a disk stays in its storage class; make a new disk there",
        )
    has = old.status.get("capacity")
    if now.get("size") is not None and has and quantity_bytes(now["size"]) < quantity_bytes(has):
        yield (
            "spec.persistentVolumeClaim.size",
            f"a disk never shrinks: it has {has}, and the guest's data would be cut off at {now['size']}",
        )
    elif was.get("size") is not None and now.get("size") is None:
        yield (
            "spec.persistentVolumeClaim.size",
            f"the size of a disk that was made cannot be left out again; it has {has}",
        )
