"""Changes that are refused before anything happens: what is frozen, what would shrink, what would move data.

The policies of the fields decide; what they cannot know is how large a disk has become that never named a size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vmctl.planning import attachments, usage
from vmctl.planning.changes import judge
from vmctl.planning.diff import diff
from vmctl.resources.policies import Effect, Facts, dotted

if TYPE_CHECKING:
    from vmctl.planning.objects import Object, Objects
    from vmctl.resources.keys import Key

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
    before, after = as_made(old, new).model, replace(old, document=new).model
    facts = Facts(hash_key=b"guard", settled=old.phase in MADE)
    for change in diff(before, after):
        verdict = judge(change, facts).verdict
        if verdict.effect is Effect.REFUSE and old.key.kind != "VirtualMachine":  # a machine's are judged by what runs
            yield dotted(change.path), verdict.reason


def crowding(before: Objects, after: Objects, news: Collection[Key]) -> Iterator[tuple[Key, str, str]]:
    """Why attachments and machines cannot be declared together as they are to be: the object, the path, the reason."""
    for key in sorted(news):
        item = after.get(key)
        if item is None or item.terminating:
            continue
        if key.kind == usage.ATTACHMENT:
            yield from ((key, path, why) for path, why in _of_attachment(item, after, news))
        elif key.kind == "VirtualMachine":
            yield from ((key, path, why) for path, why in _of_machine(item, before, after))


def _of_attachment(item: Object, after: Objects, news: Collection[Key]) -> Iterator[Refusal]:
    device, machine = usage.device_of(item), after.get(usage.machine_of(item))
    for other in usage.attachments_of(device, after) if device.kind == "VirtualDisk" else ():
        first = other.key not in news or other.key < item.key
        if other.key != item.key and not other.terminating and first:
            yield (
                "spec.blockDeviceRef",
                f"{device.short} is attached by {other.key.short} already; delete that one first",
            )
    if machine is None:
        return
    if attachments.has_no_bus(machine.document):
        yield "spec.virtualMachineName", attachments.NO_BUS.format(machine=machine.key.short)
    if _crowded(machine, after):
        yield "spec.virtualMachineName", attachments.full(machine)


def _of_machine(item: Object, before: Objects, after: Objects) -> Iterator[Refusal]:
    """A device that is plugged in may not become one of the spec's while it is; the rest is room."""
    old = before.get(item.key)
    had = usage.device_keys(old) if old is not None else ()
    plugged = {
        usage.device_of(one): one
        for one in usage.attachments_of(item.key, after)
        if not one.terminating and before.get(one.key) is not None
    }
    for index, device in enumerate(usage.device_keys(item)):
        if device in plugged and device not in had:
            why = f"{device.short} is attached by {plugged[device].key.short}; delete that one first"
            yield f"spec.blockDeviceRefs.{index}", why
    if len(usage.device_keys(item)) > len(had) and _crowded(item, after):
        yield "spec.blockDeviceRefs", attachments.full(item)


def _crowded(machine: Object, objects: Objects) -> bool:
    plugged = [one for one in usage.attachments_of(machine.key, objects) if not one.terminating]
    return bool(plugged) and len(usage.device_keys(machine)) + len(plugged) > attachments.MOST_DEVICES


def _intent(document: Json) -> Json:
    """What a document asks for, its metadata aside."""
    return {name: value for name, value in document.items() if name != "metadata"}


def as_made(old: Object, new: Json) -> Object:
    """What was applied, with the size and the class that the object came to, where only the new document names them."""
    said = (new.get("spec") or {}).get("persistentVolumeClaim") or {}
    spec = old.document.get("spec") or {}
    claim = spec.get("persistentVolumeClaim") or {}
    made = {"size": old.status.get("capacity"), "storageClassName": old.status.get("storageClassName")}
    chosen = {name: value for name, value in made.items() if value and name in said and name not in claim}
    if not chosen:
        return old
    return replace(old, document={**old.document, "spec": {**spec, "persistentVolumeClaim": {**claim, **chosen}}})
