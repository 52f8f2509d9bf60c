"""`vmctl version`: the versions of vmctl, libvirt and QEMU."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import click

import vmctl
from vmctl.cli import output
from vmctl.cli.options import pass_session, verb
from vmctl.errors import HypervisorError

if TYPE_CHECKING:
    from vmctl.cli.session import Session


@verb(
    "version",
    examples="""
    vmctl version
    vmctl version --client
    vmctl version -o json
    """,
)
@click.option("--client", is_flag=True, help="Only vmctl itself; asks no libvirt.")
@click.option("-o", "--output", "form", type=click.Choice(["json", "yaml"]), help="As a document.")
@pass_session
def command(session: Session, client: bool, form: str | None) -> None:
    """Print the versions of vmctl, libvirt and QEMU.

    A libvirt that cannot be reached is told, and is no failure: `vmctl doctor` says what to do.
    """
    found: dict[str, object] = {"client": {"version": vmctl.__version__, "python": platform.python_version()}}
    remark = ""
    if not client:
        server, remark = _server(session)
        found |= {"server": server} if server else {}
    if form:
        from vmctl.cli.documents import as_json, as_yaml

        output.data((as_json if form == "json" else as_yaml)(found))
    else:
        _lines(found)
    if remark:
        output.remark(remark)


def _server(session: Session) -> tuple[dict[str, object], str]:
    """What libvirt says of itself, or why it says nothing."""
    try:
        driver = session.connect()
        try:
            host = driver.host()
        finally:
            driver.close()
    except HypervisorError as error:
        return {}, f"libvirt: {error.message}"
    accelerator = {"accelerator": host.accelerator, "acceleratorReason": host.accelerator_reason}
    return {"libvirt": host.libvirt, "qemu": host.qemu, "uri": host.uri, "host": host.name, **accelerator}, ""


def _lines(found: dict[str, object]) -> None:
    output.line(f"vmctl: {vmctl.__version__} (Python {platform.python_version()})")
    server = found.get("server")
    if isinstance(server, dict):
        why = f" ({server['acceleratorReason']})" if server["acceleratorReason"] else ""
        output.line(f"libvirt: {server['libvirt']} at {server['uri']}")
        output.line(f"QEMU: {server['qemu']}, accelerator {server['accelerator']}{why}")
