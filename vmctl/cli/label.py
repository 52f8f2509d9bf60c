"""`vmctl label`: set and remove labels, as kubectl does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from vmctl.cli.completing import kinds_and_names
from vmctl.cli.labelling import Options, Sort, assign
from vmctl.cli.options import namespace_option, pass_session, selector_option, verb

if TYPE_CHECKING:
    from vmctl.cli.session import Session

LABELS = Sort(
    part="labels",
    one="label",
    key=re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"),
    value=re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"),
    rule="a key is like app or example.com/app; a value has letters, digits, - _ . (at most 63)",
    example="vmctl label vm linux-vm app=nginx",
    done=("labeled", "unlabeled", "not labeled"),
)


@verb(
    "label",
    examples="""
    vmctl label vm linux-vm app=nginx
    vmctl label vm -l app=nginx tier=front --overwrite
    vmctl label node host1 disktype=ssd
    vmctl label vm linux-vm app-
    """,
)
@click.argument("what", nargs=-1, metavar="KIND NAME... KEY=VALUE... KEY-...", shell_complete=kinds_and_names)
@click.option("--overwrite", is_flag=True, help="Change labels that have another value.")
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option("--dry-run", is_flag=True, help="Say what would be changed, and change nothing.")
@selector_option
@namespace_option
@pass_session
def command(
    session: Session, what: tuple[str, ...], overwrite: bool, everything: bool, dry_run: bool, selector: str
) -> None:
    """Set labels (KEY=VALUE) and remove them (KEY-).

    Labels of an object that a file declares are written into the file.
    """
    assign(session, LABELS, what, Options(selector, everything, overwrite, dry_run))
