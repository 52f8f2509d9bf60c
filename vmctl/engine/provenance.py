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
SHORT = 12  # characters of a commit's id that people are shown


def record(
    store: Store, ledger: Ledger, applied: Iterable[Applied], manifests: Iterable[Manifest], sources: Iterable[Source]
) -> None:
    """Note the commit on objects that changed, with an event that says whence."""
    changed = {one.key: one.done for one in applied if one.done in ("created", "configured")}
    commits = {source.directory: source.commit for source in sources}
    with store.batch():
        for manifest in manifests:
            item = ledger.get(manifest.key)
            commit = commits.get(manifest.directory, "")
            if item is None or not manifest.path or manifest.key not in changed:
                continue
            store.note(item.uid, COMMIT, commit)
            at = f" at commit {commit[:SHORT]}" if commit else ""
            said = f"{changed[manifest.key]} from {manifest.path}:{manifest.line}{at}"
            store.record_event(manifest.key, "Normal", "Applied", said, uid=item.uid)


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
