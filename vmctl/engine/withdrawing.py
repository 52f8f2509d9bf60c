"""Deleting by name what a file declares: a daemon that watches the file would make it again, and so would an apply."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vmctl.engine import freshness, origins
from vmctl.errors import ChangeRefused
from vmctl.manifests import holding, removing
from vmctl.manifests.holding import Held
from vmctl.state.lock import holder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vmctl.engine.origins import Origin
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store


def declared(store: Store, keys: Iterable[Key]) -> list[Origin]:
    """Those of the objects that a file still declares, or that one may declare which cannot be read."""
    found = (origins.origin(store, stored) for key in keys if (stored := store.get(key)) is not None)
    return [origin for origin in found if origin.of_file and origin.hindrance != origins.ABSENT]


def refuse_watched(store: Store, state_dir: Path, found: Iterable[Origin]) -> None:
    """Raise ChangeRefused, with the places, for objects whose directory a daemon watches."""
    engine = holder(state_dir)
    if engine is None or not engine.stays:
        return
    watched = json.loads(store.notes(freshness.ENGINE).get(freshness.WATCHED, "[]"))
    there = [origin for origin in found if origin.stored.source in watched]
    if there:
        places = "\n  ".join(f"{origin.stored.key.short}: {origin.place}" for origin in there)
        raise ChangeRefused(
            f"a daemon watches what declares this, and would make it again; nothing was changed:\n  {places}",
            remedy="remove the document there, or add --from-file to have that done",
        )


def without_documents(found: Sequence[Origin], keys: Iterable[Key]) -> None:
    """Remove the documents of all of the objects from their files, where all of them can be.

    Raises ChangeRefused, with the place, where one cannot; nothing is written then.
    """
    known = {origin.stored.key: origin for origin in found}
    missing = [key.short for key in keys if key not in known]
    if missing:
        raise ChangeRefused(
            f"no file declares {', '.join(missing)}; nothing was changed", remedy="delete it without --from-file"
        )
    for origin in found:
        hindrance = "" if origin.hindrance == origins.UNAPPLIED else origin.hindrance
        if origin.held is None or hindrance:
            raise ChangeRefused(
                f"{origin.place}: {hindrance or 'it cannot be read'}; nothing was changed",
                remedy=f"remove the document of {origin.stored.key.short} there yourself",
            )
        removing.removed(origin.held)
    for key, origin in known.items():
        if origin.held is not None:
            _remove(origin.held.file, key)


def _remove(file: str, key: Key) -> None:
    """Take one document out of its file as the file is now: another may have gone before."""
    held = holding.hold(file, key)
    if isinstance(held, Held):
        removing.remove(held, removing.removed(held))
