"""`vmctl schema`: the JSON Schema of a kind, or of all, for editors and other tools."""

from __future__ import annotations

import click

from vmctl.cli import asking, output
from vmctl.cli.completing import kinds
from vmctl.cli.options import verb


@verb(
    "schema",
    examples="""
    vmctl schema vm > virtualmachine.json
    vmctl schema > vmctl.schema.json
    """,
)
@click.argument("kind", required=False, shell_complete=kinds)
def command(kind: str | None) -> None:
    """Print the JSON Schema of a kind, or of all kinds in one.

    An editor with yaml-language-server checks and completes manifests that begin with
    `# yaml-language-server: $schema=FILE`.
    """
    from vmctl.resources import schema

    output.data(schema.shipped(asking.kind_of(kind) if kind else None))
