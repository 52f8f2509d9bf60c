"""Where the present version of an object comes from: the commit beside file and line, and what became of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmctl.engine.applying import Applied
    from vmctl.engine.ledger import Ledger
    from vmctl.errors import Problem
    from vmctl.manifests.documents import Manifest
    from vmctl.manifests.sources import Source
    from vmctl.state.store import Store

COMMIT = "commit"  # the note that holds it
EDITED = "-edited"  # after the id of a commit that the file has left behind
SHORT = 12  # characters of a commit's id that people are shown


def record(
    store: Store, ledger: Ledger, applied: Iterable[Applied], manifests: Iterable[Manifest], sources: Iterable[Source]
) -> None:
    """Note the commit on objects that changed, with an event that says whence."""
    changed = {one.key: one.done for one in applied if one.done in ("created", "configured")}
    manifests = [item for item in manifests if item.path and item.key in changed]
    commits = _commits(manifests, sources)
    with store.batch():
        for manifest in manifests:
            item = ledger.get(manifest.key)
            if item is None:
                continue
            commit = commits.get(manifest.path, "")
            store.note(item.uid, COMMIT, commit)
            said = f"{changed[manifest.key]} from {manifest.path}:{manifest.line}" + told(commit, SHORT)
            store.record_event(manifest.key, "Normal", "Applied", said, uid=item.uid)


def told(commit: str, length: int = 40) -> str:
    """A recorded commit for people, at the end of a sentence; empty where there is none."""
    identity, edited, _ = commit.partition(EDITED)
    return f" (commit {identity[:length]}{', edited since' if edited else ''})" if identity else ""


def _commits(manifests: Sequence[Manifest], sources: Iterable[Source]) -> dict[str, str]:
    """By file, the commit that its repository stands at, marked where the file says something else than the commit."""
    from vmctl.manifests.sources import uncommitted  # `describe` reads what is recorded, and asks git nothing

    found: dict[str, str] = {}
    for source in sources:
        files = {item.path for item in manifests if item.directory == source.directory}
        if source.commit and files:
            edited = uncommitted(source.directory, files)
            found |= {file: source.commit + (EDITED if file in edited else "") for file in files}
    return found


def report(store: Store, sources: Iterable[Source], file: str, problems: Sequence[Problem]) -> None:
    """Tell the objects of a bad file why they stay as they were."""
    for source in sources:
        for stored in store.inventory(source.identity):
            if stored.file == file:
                store.record_event(
                    stored.key,
                    "Warning",
                    "BadManifest",
                    f"{problems[0]}; the last good version stays in force",
                    uid=stored.uid,
                )
