"""Changes that are refused before anything happens: what is frozen, what would shrink, what would move data.

The policies of the fields decide; what they cannot know is how large a disk has become that never named a size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vmctl.planning.changes import judge
from vmctl.planning.diff import diff
from vmctl.resources.policies import Effect, Facts, dotted
from vmctl.resources.units import quantity_bytes

if TYPE_CHECKING:
    from vmctl.planning.objects import Object

Json = Mapping[str, Any]
Refusal = tuple[str, str]  # dotted path of the field, and why
MADE = frozenset({"Ready", "Resizing", "PVCLost", "ImageLost"})  # images and disks that have their content


def refusals(old: Object, new: Json) -> Iterator[Refusal]:
    """Why an object may not become what the document says; nothing when it may."""
    if old.document == new:
        return
    if old.terminating:
        yield "metadata.name", f"{old.key.short} is being deleted; wait until it is gone, then apply again"
        return
    document = _where_it_lies(old, new)
    before, after = old.model, replace(old, document=document).model
    facts = Facts(hash_key=b"guard", settled=old.phase in MADE)
    for change in diff(before, after):
        verdict = judge(change, facts).verdict
        if verdict.effect is Effect.REFUSE and old.key.kind != "VirtualMachine":  # a machine's are judged by what runs
            yield dotted(change.path), verdict.reason
    yield from _shrink(old, new)


def _where_it_lies(old: Object, new: Json) -> Json:
    """The document, naming the class that was chosen for the object where it names none or that very one."""
    claim = (new.get("spec") or {}).get("persistentVolumeClaim")
    chosen = old.status.get("storageClassName")
    before = (old.document.get("spec") or {}).get("persistentVolumeClaim") or {}
    if not claim or not chosen or claim.get("storageClassName") != chosen or "storageClassName" in before:
        return new
    kept = {name: value for name, value in claim.items() if name != "storageClassName"}
    return {**new, "spec": {**new["spec"], "persistentVolumeClaim": kept}}


def _shrink(old: Object, new: Json) -> Iterator[Refusal]:
    if old.key.kind != "VirtualDisk" or old.phase not in MADE:
        return
    was = (old.document["spec"].get("persistentVolumeClaim") or {}).get("size")
    size = (new["spec"].get("persistentVolumeClaim") or {}).get("size")
    has = old.status.get("capacity")
    if size is not None and was is None and has and quantity_bytes(size) < quantity_bytes(has):
        path = "spec.persistentVolumeClaim.size"
        yield path, f"a disk never shrinks: it has {has}, and the guest's data would be cut off at {size}"
