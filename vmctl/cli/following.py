"""Following the store: what has appeared, changed or gone since the last look, for -w and `wait`.

Looks are cheap (SQLite's data_version, microseconds); objects are read again only when somebody has written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from vmctl.cli import INTERRUPTED, output
from vmctl.cli.asking import Answer, Document, Found, metadata_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmctl.cli.printing import Printer
    from vmctl.state.store import Store

INTERVAL_S = 0.1

Identity = tuple[str, object, object, object]


def ticks(store: Store, *, pause: Callable[[float], None] = time.sleep) -> Iterator[bool]:
    """One look after another, for ever: True when somebody has written since the last one (and the first time)."""
    seen: int | None = None
    while True:
        version = store.data_version()
        yield version != seen
        seen = version
        pause(INTERVAL_S)


def follow(store: Store, look: Callable[[], Answer], first: Answer, shown: Printer) -> None:
    """Show what changes after `first`, until interrupted: for kubectl's users that is how it ends, without a word."""
    try:
        output.flush()
        for found in changes(store, look, first):
            shown.follow(found)
            output.flush()
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None


def changes(store: Store, look: Callable[[], Answer], first: Answer) -> Iterator[Found]:
    """What differs from `first`, and from then on from the last look; what is gone appears once more as it was."""
    known = _by_identity(first)
    for written in ticks(store):
        if not written:
            continue
        answer = look()
        now = _by_identity(answer)
        for found in answer.found:
            changed = tuple(
                document
                for document in found.documents
                if _version(known.get(_identity(found, document))) != _version(document)
            )
            gone = tuple(
                document
                for identity, document in known.items()
                if identity[0] == found.kind.name and identity not in now
            )
            if changed or gone:
                yield Found(found.kind, changed + gone)
        known = now


def _by_identity(answer: Answer) -> dict[Identity, Document]:
    return {_identity(found, document): document for found in answer.found for document in found.documents}


def _identity(found: Found, document: Document) -> Identity:
    metadata = metadata_of(document)
    return found.kind.name, metadata.get("namespace"), metadata.get("name"), metadata.get("uid")


def _version(document: Document | None) -> object:
    return None if document is None else metadata_of(document).get("resourceVersion")
