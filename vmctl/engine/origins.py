"""Where the desired state of an object is kept: in a file that declares it, or in the store alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.errors import Problem
from vmctl.manifests import holding

if TYPE_CHECKING:
    from vmctl.manifests.holding import Held
    from vmctl.state.store import Store
    from vmctl.state.stored import Stored

UNAPPLIED = "it has changes that are not applied yet"
ABSENT = "no file of it declares the object any more"


@dataclass(frozen=True, slots=True)
class Origin:
    """An object and its document in a file, if one declares it. `hindrance` says why that file cannot be written,
    `place` which file it is; both are empty for an object of the store.
    """

    stored: Stored
    held: Held | None = None
    directory: str = ""  # of the source that owns the object
    place: str = ""
    hindrance: str = ""

    @property
    def of_file(self) -> bool:
        """Whether a file has to change for the object to change."""
        return bool(self.place)


def origin(store: Store, stored: Stored) -> Origin:
    """Find the document of an object, where its file is recorded or elsewhere in its directory."""
    directory = next((item.directory for item in store.sources() if item.id == stored.source), "")
    if not stored.file and not stored.source:
        return Origin(stored)
    found = holding.hold(stored.file, stored.key) if stored.file else None
    if found is None and directory:
        found = _searched(stored, directory)
    if isinstance(found, Problem):
        line = f":{found.line}" if found.line else ""
        return Origin(stored, None, directory, f"{found.file}{line}", f"it cannot be read: {found.what}")
    if found is None and stored.source:
        where = directory or stored.file
        return Origin(stored, None, directory, where, ABSENT)
    if found is None:  # the file that was given once is gone: nothing declares the object but the store
        return Origin(stored)
    return Origin(stored, found, directory, f"{found.file}:{found.line}", _hindrance(store, stored, found, directory))


def _searched(stored: Stored, directory: str) -> Held | Problem | None:
    """Look through a directory for a document that has moved."""
    from vmctl.manifests.loading import load

    if not Path(directory).is_dir():
        return None
    for manifest in load([directory], recursive=True).manifests:
        if manifest.key == stored.key:
            return holding.hold(manifest.path, stored.key)
    return None


def _hindrance(store: Store, stored: Stored, found: Held, directory: str) -> str:
    why = holding.unwritable(found.file, directory)
    if why:
        return f"it {why}"
    if store.foresee(stored.key, found.declared.document) != stored.document:
        return UNAPPLIED
    return ""
