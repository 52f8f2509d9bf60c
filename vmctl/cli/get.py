"""`vmctl get`: lists objects, or prints them as documents. Reads the store and nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from vmctl.cli import asking, output
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.following import follow
from vmctl.cli.options import (
    all_namespaces_option,
    files_options,
    namespace_option,
    pass_session,
    selector_option,
    verb,
)
from vmctl.cli.printing import FORMS, Printer, Style, printer
from vmctl.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.cli.asking import Answer, Asked, Document, Found
    from vmctl.cli.session import Session


FRESH_S = 10  # what was looked at so lately needs no remark about its age


class Question(NamedTuple):
    """What is looked for, and where; `namespace` None means everywhere."""

    asked: tuple[Asked, ...]
    namespace: str | None
    chosen: Callable[[Document], bool]
    sort_by: str = ""

    @property
    def single(self) -> bool:
        """Exactly one object is named."""
        return sum(len(each.names) for each in self.asked) == 1 and len(self.asked) == 1

    @property
    def named(self) -> bool:
        return any(each.names for each in self.asked)


@verb(
    "get",
    examples="""
    vmctl get vm
    vmctl get vi,vd,vm -o wide
    vmctl get vm linux-vm -o jsonpath='{.status.ipAddress}'
    vmctl get vd -A -l app=web --sort-by=.status.capacity
    vmctl get vm/web vd/web-root -o yaml
    vmctl get vm -w
    vmctl get -f machines/
    """,
)
@click.argument("what", nargs=-1, metavar="KIND[,KIND] [NAME]...|KIND/NAME...", shell_complete=kinds_and_names)
@files_options
@click.option("-o", "--output", "form", default="", metavar="FORM", help=f"One of {', '.join(FORMS)}.")
@namespace_option
@all_namespaces_option
@selector_option
@click.option(
    "--field-selector", metavar="QUERY", default="", help="Only objects with these fields: status.phase=Running."
)
@click.option("-w", "--watch", is_flag=True, help="List, then follow the changes until interrupted.")
@click.option("--watch-only", is_flag=True, help="Follow the changes without listing first.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@click.option("--show-labels", is_flag=True, help="Add a column with all labels.")
@click.option("-L", "--label-columns", multiple=True, metavar="KEY[,KEY]", help="Add a column for a label.")
@click.option("--show-kind", is_flag=True, help="Put the kind in front of each name.")
@click.option("--sort-by", metavar="PATH", default="", help="Order by a field: .metadata.creationTimestamp.")
@click.option("--ignore-not-found", is_flag=True, help="An object that does not exist is no failure.")
@pass_session
def command(
    session: Session,
    what: tuple[str, ...],
    filename: tuple[str, ...],
    recursive: bool,
    form: str,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    watch: bool,
    watch_only: bool,
    no_headers: bool,
    show_labels: bool,
    label_columns: tuple[str, ...],
    show_kind: bool,
    sort_by: str,
    ignore_not_found: bool,
) -> int:
    """List objects, or print them as documents.

    Kinds go by their plural, singular or short name, several joined by commas; `all` means every namespaced kind.
    """
    asked = asking.wanted(what, filename, recursive=recursive)
    namespace = None if all_namespaces else session.namespace
    question = Question(asked, namespace, _chosen(selector, field_selector), sort_by)
    style = Style(
        headings=not no_headers,
        wide=form == "wide",
        labels=show_labels,
        label_columns=tuple(key for keys in label_columns for key in keys.split(",") if key),
        namespaces=all_namespaces,
        qualified=show_kind or len({each.kind.name for each in asked}) > 1,
    )
    shown = printer(form, style, session.clock)
    watching = watch or watch_only
    answer = look(session, question, fresh=not watching)
    if not watch_only:
        _show(answer, shown, question, quiet=ignore_not_found or form not in ("", "wide"))
    if answer.missing and not ignore_not_found:
        for sentence in answer.missing:
            output.error(sentence)
        return NotFoundError.exit_code
    if watching:
        follow(session.store, lambda: look(session, question, fresh=False), answer, shown)
    return 0


def look(session: Session, question: Question, *, fresh: bool) -> Answer:
    """Read the store once; the one place where listings get their objects. `fresh` asks libvirt as well if need be."""
    answer = asking.answer(session.store, question.asked, question.namespace)
    if fresh:
        answer = _fresh(session, answer)
    return answer._replace(found=tuple(_arranged(found, question) for found in answer.found))


def _arranged(found: Found, question: Question) -> Found:
    """What the selectors choose, in the order asked for."""
    documents = tuple(filter(question.chosen, found.documents))
    if question.sort_by:
        from vmctl.cli.sorting import ordered

        documents = ordered(documents, question.sort_by)
    return found._replace(documents=documents)


def _fresh(session: Session, answer: Answer) -> Answer:
    """Where no engine keeps the store: machines with the phase libvirt shows, and on stderr how old the rest is."""
    at = next(
        (index for index, each in enumerate(answer.found) if each.kind.name == "VirtualMachine" and each.documents),
        None,
    )
    if at is None:
        return answer
    from vmctl.cli.ages import duration
    from vmctl.engine.freshness import corrected, last_work

    machines, trouble, kept = corrected(answer.found[at].documents, session.settings)
    if kept:
        return answer
    last = last_work(session.store)
    rest = f"is as of {duration(session.clock() - last)} ago" if last is not None else "was never looked at"
    what = f"libvirt does not answer ({trouble}), what is shown" if trouble else "PHASE is of now, the rest"
    if trouble or last is None or session.clock() - last > FRESH_S:
        output.remark(f"no apply is running: {what} {rest}")
    found = list(answer.found)
    found[at] = found[at]._replace(documents=tuple(machines))
    return answer._replace(found=tuple(found))


def _chosen(selector: str, field_selector: str) -> Callable[[Document], bool]:
    if not selector and not field_selector:
        return lambda _: True
    from vmctl.cli.selectors import by_fields, by_labels

    labels, fields = by_labels(selector), by_fields(field_selector)
    return lambda document: labels(document) and fields(document)


def _show(answer: Answer, shown: Printer, question: Question, *, quiet: bool) -> None:
    shown.show(answer, single=question.single)
    if quiet or question.named or answer.documents:
        return
    everywhere = question.namespace is None or not any(each.kind.namespaced for each in question.asked)
    output.remark("No resources found" if everywhere else f"No resources found in {question.namespace} namespace.")
