"""`vmctl doctor`: examines the host and says what is wrong and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vmctl.cli import output
from vmctl.cli.options import pass_session, verb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmctl.cli.session import Session
    from vmctl.engine.findings import Finding

_SIGNS = {"ok": ("ok", output.GREEN), "warning": ("warning", output.YELLOW), "problem": ("PROBLEM", output.RED)}


@verb(
    "doctor",
    examples="""
    vmctl doctor
    vmctl doctor -o json
    """,
)
@click.option("-o", "--output", "form", type=click.Choice(["json", "yaml"]), help="Findings as a document.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is not well.")
@pass_session
def command(session: Session, form: str | None, quiet: bool) -> int:
    """Examine the host: libvirt, rights, KVM, QEMU, firmware, image directories, disk space, kernel, clock, store.

    Exit code 0 when machines can run (warnings included), 1 when there is a problem.
    """
    from vmctl.engine.doctor import examine

    found = examine(session.settings, session.connect, session.clock)
    if form:
        findings = list(found)
        _document(findings, form)
    else:
        findings = _lines(found, quiet=quiet)
    return 1 if any(finding.level == "problem" for finding in findings) else 0


def _lines(found: Iterable[Finding], *, quiet: bool) -> list[Finding]:
    """Print findings as they are made; some take a moment."""
    findings: list[Finding] = []
    for finding in found:
        findings.append(finding)
        if quiet and finding.level == "ok":
            continue
        sign, colour = _SIGNS[finding.level]
        front = output.coloured(sign.ljust(7), colour, data=True)
        output.line(f"{front}   {finding.subject.ljust(18)} {output.printable(finding.what)}")
        if finding.remedy:
            output.line(f"{' ' * 29}-> {output.printable(finding.remedy)}")
        output.flush()
    return findings


def _document(findings: list[Finding], form: str) -> None:
    from vmctl.cli.documents import as_json, as_yaml

    write = as_json if form == "json" else as_yaml
    worst = max(findings, key=lambda finding: list(_SIGNS).index(finding.level)).level
    entries = [
        {"subject": each.subject, "level": each.level, "what": each.what, "remedy": each.remedy} for each in findings
    ]
    output.data(write({"findings": entries, "worst": worst}))
