"""Which storage class an image or disk goes to, and where that class keeps its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmctl.resources.annotations import DEFAULT_STORAGE_CLASS
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from vmctl.planning.objects import Object, Objects

BUILT_IN = "local"


@dataclass(frozen=True, slots=True)
class Home:
    """A class that exists: its name, its directory, and whether disks wait for their first machine."""

    name: str
    directory: str
    waits_for_consumer: bool = False
    expands: bool = True


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such class, or none to choose; the sentence names what is there."""

    message: str


def is_default(item: Object) -> bool:
    return str(item.annotations.get(DEFAULT_STORAGE_CLASS, "")).lower() == "true"


def choose(objects: Objects, wanted: str | None, preferred: str | None = None) -> Home | Missing:
    """The class that was asked for, else the module's default for this kind, else the default class."""
    name = wanted or preferred
    if name:
        found = objects.get(Key("StorageClass", "", name))
        if found is None or found.terminating:
            return Missing(
                f"StorageClass {name} does not exist; known: {', '.join(objects.names('StorageClass')) or 'none'}"
            )
        return home(found)
    marked = sorted(
        (item for item in objects.of_kind("StorageClass") if is_default(item)),
        key=lambda item: (item.key.name == BUILT_IN, item.key.name),
    )
    if not marked:
        return Missing(
            f"no StorageClass is marked as default; name one of: {', '.join(objects.names('StorageClass')) or 'none'}"
        )
    return home(marked[0])


def home(item: Object) -> Home:
    """What a StorageClass says of where and how."""
    document = item.document
    return Home(
        item.key.name,
        str((document.get("parameters") or {}).get("path", "")),
        document.get("volumeBindingMode") == "WaitForFirstConsumer",
        document.get("allowVolumeExpansion") is not False,
    )


def directories(objects: Objects) -> dict[str, str]:
    """Where each class keeps its layers, by its name."""
    return {item.key.name: home(item).directory for item in objects.of_kind("StorageClass")}


def keeps_data(objects: Objects, name: str) -> bool:
    """Whether a class keeps the data of disks that are deleted (reclaimPolicy Retain)."""
    found = objects.get(Key("StorageClass", "", name))
    return found is not None and found.document.get("reclaimPolicy") == "Retain"
