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

if TYPE_CHECKING:
    from vmctl.planning.objects import Object

Json = Mapping[str, Any]
Refusal = tuple[str, str]  # dotted path of the field, and why
MADE = frozenset({"Ready", "Resizing", "PVCLost", "ImageLost"})  # images and disks that have their content


def refusals(old: Object, new: Json) -> Iterator[Refusal]:
    """Why an object may not become what the document says; nothing when it may."""
    if old.document == new:
        return
    if old.terminating and _intent(old.document) == _intent(new):
        return  # labels, annotations, finalizers: what may still change, and may have to
    if old.terminating:
        yield "metadata.name", f"{old.key.short} is being deleted; wait until it is gone, then apply again"
        return
    before, after = replace(old, document=_as_made(old, new)).model, replace(old, document=new).model
    facts = Facts(hash_key=b"guard", settled=old.phase in MADE)
    for change in diff(before, after):
        verdict = judge(change, facts).verdict
        if verdict.effect is Effect.REFUSE and old.key.kind != "VirtualMachine":  # a machine's are judged by what runs
            yield dotted(change.path), verdict.reason


def _intent(document: Json) -> Json:
    """What a document asks for, its metadata aside."""
    return {name: value for name, value in document.items() if name != "metadata"}


def _as_made(old: Object, new: Json) -> Json:
    """What was applied, with the size and the class that the object came to, where only the new document names them."""
    said = (new.get("spec") or {}).get("persistentVolumeClaim") or {}
    spec = old.document.get("spec") or {}
    claim = spec.get("persistentVolumeClaim") or {}
    made = {"size": old.status.get("capacity"), "storageClassName": old.status.get("storageClassName")}
    chosen = {name: value for name, value in made.items() if value and name in said and name not in claim}
    if not chosen:
        return old.document
    return {**old.document, "spec": {**spec, "persistentVolumeClaim": {**claim, **chosen}}}
