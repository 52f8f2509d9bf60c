"""`vmctl annotate`: set and remove annotations, as kubectl does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from vmctl.cli.completing import kinds_and_names
from vmctl.cli.label import LABELS
from vmctl.cli.labelling import Options, Sort, assign
from vmctl.cli.options import namespace_option, pass_session, selector_option, verb

if TYPE_CHECKING:
    from vmctl.cli.session import Session

ANNOTATIONS = Sort(
    part="annotations",
    one="annotation",
    key=LABELS.key,
    value=re.compile(r".*", re.DOTALL),
    rule="a key is like note or example.com/note, a value is any text",
    example="vmctl annotate vm linux-vm vmctl.dev/reconcile=DetectOnly",
    done=("annotated", "annotated", "annotated (no change)"),
)


@verb(
    "annotate",
    examples="""
    vmctl annotate vm linux-vm vmctl.dev/reconcile=DetectOnly
    vmctl annotate vd linux-disk vmctl.dev/deletion-policy=Delete --overwrite
    vmctl annotate vm --all note='moved in spring'
    vmctl annotate vm linux-vm note-
    """,
)
@click.argument("what", nargs=-1, metavar="KIND NAME... KEY=VALUE... KEY-...", shell_complete=kinds_and_names)
@click.option("--overwrite", is_flag=True, help="Change annotations that have another value.")
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option("--dry-run", is_flag=True, help="Say what would be changed, and change nothing.")
@selector_option
@namespace_option
@pass_session
def command(
    session: Session, what: tuple[str, ...], overwrite: bool, everything: bool, dry_run: bool, selector: str
) -> None:
    """Set annotations (KEY=VALUE) and remove them (KEY-).

    Annotations of an object that a file declares are written into the file.
    """
    assign(session, ANNOTATIONS, what, Options(selector, everything, overwrite, dry_run))
