"""`vmctl explain`: what a field means, what it may be, and what a change of it costs."""

from __future__ import annotations

import click

from vmctl.cli import output
from vmctl.cli.completing import kinds
from vmctl.cli.options import verb


@verb(
    "explain",
    examples="""
    vmctl explain vm
    vmctl explain vm.spec.cpu
    vmctl explain vm.spec.blockDeviceRefs --recursive
    """,
)
@click.argument("field", metavar="KIND[.FIELD]...", shell_complete=kinds)
@click.option("--recursive", is_flag=True, help="All fields below, without their descriptions.")
def command(field: str, recursive: bool) -> None:
    """Tell what a field means: type, default, bounds, and what a change of it costs a running machine."""
    from vmctl.resources import explaining

    kind, found = explaining.explain(field)
    output.data(explaining.text(kind, found, recursive=recursive))
