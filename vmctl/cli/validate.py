"""`vmctl validate`: checks manifests without touching anything but its memory of unchanged files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vmctl.cli import output
from vmctl.cli.options import files_options, pass_session, verb
from vmctl.errors import ManifestError, UsageError

if TYPE_CHECKING:
    from vmctl.cli.session import Session
    from vmctl.manifests.documents import Loaded


@verb(
    "validate",
    examples="""
    vmctl validate -f machines/
    vmctl validate -R -f . -f extra.yaml
    cat vm.yaml | vmctl validate -f -
    """,
)
@files_options
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all is well.")
@pass_session
def command(session: Session, filename: tuple[str, ...], recursive: bool, quiet: bool) -> None:
    """Check manifests: syntax, kinds, fields, values, names that are there twice.

    Every problem is told at once, with its file, line and column; exit code 2 when there is one. What this version does
    not carry out yet is told as a remark: it validates, and `apply` refuses it.
    """
    from vmctl.cli.manifests import read

    if not filename:
        raise UsageError("say what to validate", remedy="for example  vmctl validate -f machines/")
    loaded = read(session, filename, recursive=recursive, allow_generate_name=True)
    _remarks(loaded)
    if loaded.problems:
        raise ManifestError(loaded.problems)
    if not quiet:
        count = len(loaded.manifests)
        output.line(f"{_count(count, 'object')} in {_count(loaded.files, 'file')}: valid")


def _remarks(loaded: Loaded) -> None:
    for caution in loaded.warnings:
        output.problem(caution)
    for later in loaded.not_acting:
        output.problem(later)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
