"""What is carried out once: an operation whose document still lies in its directory when the object has been collected.

What a directory has asked for is remembered by name and spec. A store that has no history of a directory cannot know
what was carried out before it was lost, so it carries nothing out and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.manifests.documents import digest
from vmctl.manifests.sources import PATH
from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vmctl.engine.ledger import Ledger
    from vmctl.manifests.documents import Manifest
    from vmctl.manifests.sources import Source
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store


@dataclass(frozen=True, slots=True)
class Sorted:
    """Manifests by what is to be done about them, and what is to be remembered then: source, name, digest."""

    meant: tuple[Manifest, ...]  # to be stored
    over: tuple[Manifest, ...]  # asked for before, and gone since
    doubtful: tuple[Manifest, ...]  # perhaps carried out before this store existed
    news: tuple[tuple[str, Key, str], ...]


def sort_out(store: Store, ledger: Ledger, manifests: Sequence[Manifest], sources: Iterable[Source]) -> Sorted:
    """Tell what is asked for from what only still lies there; writes nothing.

    Files and stdin have no memory: what they ask for and is not there is meant. The directory of a file remembers it,
    so that it is not asked for once more when the directory is given.
    """
    owners = {source.directory: source for source in sources}
    if not any(_once(manifest) for manifest in manifests):
        return Sorted(tuple(manifests), (), (), ())
    known = {row.id for row in store.sources()}
    memory = {
        source.identity: {
            key: text for one in reversed(source.identities) for key, text in store.remembered(one).items()
        }
        for source in owners.values()
    }
    kept: dict[str, list[Manifest]] = {"meant": [], "over": [], "doubtful": []}
    news: list[tuple[str, Key, str]] = []
    for manifest in manifests:
        source = owners.get(manifest.directory)
        if source is None or not _once(manifest):
            kept["meant"].append(manifest)
            news += _of_file(store, manifest) if _once(manifest) else ()
            continue
        before, now = memory[source.identity].get(manifest.key), digest(manifest.document.get("spec") or {})
        if before != now:
            news.append((source.identity, manifest.key, now))
        if ledger.get(manifest.key) is not None:
            kept["meant"].append(manifest)
        elif before is not None:
            kept["over" if before == now else "meant"].append(manifest)
        else:
            kept["meant" if known.intersection(source.identities) else "doubtful"].append(manifest)
    return Sorted(tuple(kept["meant"]), tuple(kept["over"]), tuple(kept["doubtful"]), tuple(news))


def _of_file(store: Store, manifest: Manifest) -> list[tuple[str, Key, str]]:
    """What the directory of a file that was named remembers of it, if that is news; stdin lies in none."""
    if manifest.directory or not manifest.path:
        return []
    home, now = f"{PATH}{Path(manifest.path).parent}", digest(manifest.document.get("spec") or {})
    return [(home, manifest.key, now)] if store.remembered(home).get(manifest.key) != now else []


def doubt(manifest: Manifest) -> str:
    """Why an operation is not carried out, and what to do if it is meant."""
    return (
        f"this store has no history of {manifest.directory}, so it may have been carried out before;"
        f" create it with `vmctl create -f {manifest.file}` if it is meant"
    )


def gone(memory: Mapping[Key, str], present: Iterable[Key]) -> list[Key]:
    """What is remembered of a source and lies there no more."""
    there = set(present)
    return [key for key in memory if key not in there]


def _once(manifest: Manifest) -> bool:
    return registry.BY_NAME[manifest.key.kind].once
