"""`vmctl events`: what happened, newest last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vmctl.cli import asking, output
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.event_documents import event_documents
from vmctl.cli.following import follow
from vmctl.cli.options import all_namespaces_option, namespace_option, pass_session, verb
from vmctl.cli.printing import Style, printer
from vmctl.errors import UsageError
from vmctl.resources import registry

if TYPE_CHECKING:
    from vmctl.cli.asking import Answer, Document
    from vmctl.cli.session import Session
    from vmctl.resources.keys import Key

TYPES = ("Normal", "Warning")


@verb(
    "events",
    examples="""
    vmctl events
    vmctl events vm/linux-vm
    vmctl events --types=Warning -w
    """,
)
@click.argument("what", nargs=-1, metavar="[KIND NAME|KIND/NAME]", shell_complete=kinds_and_names)
@click.option("--for", "about", metavar="KIND/NAME", default="", shell_complete=kinds_and_names,
              help="Only what happened to this object.")  # fmt: skip
@click.option("--types", default="", metavar="TYPE[,TYPE]", help="Only Normal, or only Warning.")
@click.option("-o", "--output", "form", default="", metavar="FORM", help="wide, json, yaml, jsonpath=…, as in get.")
@click.option("-w", "--watch", is_flag=True, help="Follow what happens until interrupted.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@namespace_option
@all_namespaces_option
@pass_session
def command(
    session: Session,
    what: tuple[str, ...],
    about: str,
    types: str,
    form: str,
    watch: bool,
    no_headers: bool,
    all_namespaces: bool,
) -> None:
    """Tell what happened, newest last. Events of objects that are gone are told too."""
    if what and about:
        raise UsageError("an object and --for are given", remedy="give one of them")
    namespace = None if all_namespaces else session.namespace
    words = what or ((about,) if about else ())
    key = asking.one(words, session.namespace) if words else None
    wanted = _types(types)
    shown = printer(form, Style(headings=not no_headers, wide=form == "wide", namespaces=all_namespaces), session.clock)

    def look() -> Answer:
        return _answer(session, namespace, key, wanted)

    first = look()
    shown.show(first, single=False)
    if watch:
        follow(session.store, look, first, shown)
    elif not first.documents and form in ("", "wide"):
        output.remark("No events found" + (f" in {namespace} namespace." if namespace and not key else "."))


def _answer(session: Session, namespace: str | None, key: Key | None, types: frozenset[str]) -> Answer:
    found = event_documents(session.store, None if key else namespace, key=key)
    return asking.Answer((asking.Found(registry.BY_NAME["Event"], tuple(_of_types(found, types))),))


def _of_types(found: list[Document], types: frozenset[str]) -> list[Document]:
    return [event for event in found if not types or event["type"] in types]


def _types(text: str) -> frozenset[str]:
    found = frozenset(part.strip().capitalize() for part in text.split(",") if part.strip())
    if unknown := sorted(found.difference(TYPES)):
        raise UsageError(f'"{unknown[0]}" is no type of event', remedy=f"use {' or '.join(TYPES)}")
    return found
