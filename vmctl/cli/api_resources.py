"""`vmctl api-resources`: the kinds that manifests may use, by all their names."""

from __future__ import annotations

import click

from vmctl.cli import output
from vmctl.cli.options import verb
from vmctl.cli.tables import render
from vmctl.resources import registry


@verb(
    "api-resources",
    examples="""
    vmctl api-resources
    vmctl api-resources --api-group=virtualization.deckhouse.io -o name
    """,
)
@click.option("--api-group", metavar="GROUP", help="Only this group; '' is the core group.")
@click.option("--namespaced/--cluster-wide", default=None, help="Only kinds with, or without, a namespace.")
@click.option("-o", "--output", "form", type=click.Choice(["wide", "name"]), help="More columns, or names only.")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
def command(api_group: str | None, namespaced: bool | None, form: str | None, no_headers: bool) -> None:
    """List the kinds that manifests may use.

    ACTS tells whether `apply` carries a kind out already; the others validate.
    """
    kinds = [
        kind
        for kind in sorted(registry.KINDS, key=lambda kind: (kind.group, kind.plural))
        if api_group in (None, kind.group) and namespaced in (None, kind.namespaced)
    ]
    if form == "name":
        for kind in kinds:
            output.line(f"{kind.plural}.{kind.group}" if kind.group else kind.plural)
        return
    wide = form == "wide"
    headings = ("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "ACTS", *(("VERSIONS",) if wide else ()))
    rows = [
        (kind.plural, ",".join(kind.short_names), kind.api_version, str(kind.namespaced).lower(), kind.name,
         str(kind.acts or kind.built_in).lower(), *((",".join(kind.versions),) if wide else ()))
        for kind in kinds
    ]  # fmt: skip
    output.data(render(headings, rows, show_headings=not no_headers))
