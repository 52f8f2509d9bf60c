"""`vmctl describe`: everything about objects, with their conditions and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vmctl.cli import asking, output
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.describing import described
from vmctl.cli.event_documents import event_documents
from vmctl.cli.options import (
    all_namespaces_option,
    files_options,
    namespace_option,
    pass_session,
    selector_option,
    verb,
)
from vmctl.cli.selectors import by_labels
from vmctl.engine.provenance import COMMIT, told
from vmctl.errors import NotFoundError
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from vmctl.cli.asking import Document
    from vmctl.cli.session import Session
    from vmctl.resources.registry import Kind


@verb(
    "describe",
    examples="""
    vmctl describe vm linux-vm
    vmctl describe vm/linux-vm vd/linux-disk
    vmctl describe vi -l app=web
    vmctl describe -f machines/web.yaml
    """,
)
@click.argument("what", nargs=-1, metavar="KIND [NAME]...|KIND/NAME...", shell_complete=kinds_and_names)
@files_options
@namespace_option
@all_namespaces_option
@selector_option
@click.option("--show-events/--no-show-events", default=True, help="Tell the events too.")
@pass_session
def command(
    session: Session,
    what: tuple[str, ...],
    filename: tuple[str, ...],
    recursive: bool,
    all_namespaces: bool,
    selector: str,
    show_events: bool,
) -> int:
    """Tell everything about objects: what is wanted, what is, conditions, events.

    Secrets are told by their length only.
    """
    namespace = None if all_namespaces else session.namespace
    wanted = asking.wanted(what, filename, recursive=recursive)
    answer = asking.answer(session.store, wanted, namespace, chosen=by_labels(selector))
    now = session.clock()
    texts = [
        described(
            document,
            _events(session, found.kind, document),
            now,
            show_events=show_events,
            declared=_declared(session, found.kind, document),
        )
        for found in answer.found
        for document in found.documents
    ]
    output.data("\n\n".join(texts))
    for sentence in answer.missing:
        output.error(sentence)
    if not texts and not answer.missing:
        output.remark("No resources found" + (f" in {namespace} namespace." if namespace else ""))
    return NotFoundError.exit_code if answer.missing else 0


def _events(session: Session, kind: Kind, document: Document) -> list[Document]:
    """The events of this very object: those of a namesake that is gone are left out."""
    metadata = asking.metadata_of(document)
    found = event_documents(session.store, key=_key(kind, document))
    return [event for event in found if _uid(event) in (None, metadata.get("uid"))]


def _declared(session: Session, kind: Kind, document: Document) -> str:
    """The file and the line that the object was read from, and the commit that its directory stood at."""
    found = session.store.get(_key(kind, document))
    if found is None or not found.file:
        return ""
    return f"{found.file}:{found.line}" + told(session.store.notes(found.uid).get(COMMIT, ""))


def _key(kind: Kind, document: Document) -> Key:
    metadata = asking.metadata_of(document)
    return Key(kind.name, str(metadata.get("namespace", "")), str(metadata.get("name", "")))


def _uid(event: Document) -> object:
    involved = event["involvedObject"]
    return involved.get("uid") if isinstance(involved, dict) else None
