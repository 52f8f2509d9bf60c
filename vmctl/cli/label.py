"""`vmctl label`: set and remove labels, as kubectl does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from vmctl.cli import asking, output, working
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.options import namespace_option, pass_session, verb
from vmctl.errors import ChangeRefused, NotFoundError, UsageError
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.cli.session import Session
    from vmctl.planning.objects import Object, Objects

NAME = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@verb(
    "label",
    examples="""
    vmctl label vm linux-vm app=nginx
    vmctl label node host1 disktype=ssd
    vmctl label vm linux-vm app-
    """,
)
@click.argument("what", nargs=-1, metavar="KIND NAME... KEY=VALUE... KEY-...", shell_complete=kinds_and_names)
@click.option("--overwrite", is_flag=True, help="Change labels that have another value.")
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@namespace_option
@pass_session
def command(session: Session, what: tuple[str, ...], overwrite: bool, everything: bool) -> int:
    """Set labels (KEY=VALUE) and remove them (KEY-)."""
    objects = [word for word in what if "=" not in word and not word.endswith("-")]
    wanted = _labels([word for word in what if word not in objects])
    with working.at_work(session) as engine:
        snapshot = engine.ledger.snapshot()
        items = _items(session, objects, snapshot, everything=everything)
        for item in items:
            _refuse_change(item, wanted, overwrite=overwrite)
        for item in items:
            labels = {name: value for name, value in {**item.labels, **wanted}.items() if value is not None}
            metadata = {name: value for name, value in item.metadata.items() if name != "labels"} | (
                {"labels": labels} if labels else {}
            )
            changed = labels != dict(item.labels)
            if changed:
                stored, _ = engine.store.replace(item.key, {**item.document, "metadata": metadata})
                engine.ledger.learn(stored)
            removed = all(value is None for value in wanted.values())
            output.line(f"{item.key} {'not labeled' if not changed else 'unlabeled' if removed else 'labeled'}")
        working.converge(engine, [*(item.key for item in items), *_waiting(snapshot)], quiet=True)
    return 0


def _waiting(objects: Objects) -> list[Key]:
    """Machines that wait for a place: a label may give them one."""
    return [machine.key for machine in objects.of_kind("VirtualMachine") if machine.phase in ("Starting", "Pending")]


def _labels(words: list[str]) -> dict[str, str | None]:
    """The labels to set, and those to remove (None). Raises UsageError for what can be no label."""
    wanted: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            key, value = word.removesuffix("-"), ""
        if not NAME.fullmatch(key) or not VALUE.fullmatch(value):
            raise UsageError(
                f"{word!r} is no label",
                remedy="a key is like app or example.com/app; a value has letters, digits, - _ . (at most 63)",
            )
        wanted[key] = value if equals else None
    if not wanted:
        raise UsageError("say which labels", remedy="for example  vmctl label vm linux-vm app=nginx")
    return wanted


def _items(session: Session, words: list[str], objects: Objects, *, everything: bool) -> list[Object]:
    """The objects that were named. Raises NotFoundError for what does not exist."""
    found: list[Object] = []
    for each in asking.asked(words):
        namespace = session.namespace if each.kind.namespaced else ""
        if everything:
            found += [item for item in objects.of_kind(each.kind.name) if item.key.namespace == namespace]
        for name in each.names:
            key = Key(each.kind.name, namespace, name)
            item = objects.get(key)
            if item is None:
                raise NotFoundError(asking.not_found(key))
            found.append(item)
    return found


def _refuse_change(item: Object, wanted: Mapping[str, str | None], *, overwrite: bool) -> None:
    """Raise ChangeRefused rather than replace a value unasked."""
    for key, value in wanted.items():
        has = item.labels.get(key)
        if value is not None and has not in (None, value) and not overwrite:
            raise ChangeRefused(f"{item.key.short} already has the label {key}={has}", remedy="add --overwrite")
