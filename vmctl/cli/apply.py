"""`vmctl apply`: make the host match the manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vmctl.cli import output, working
from vmctl.cli.options import files_options, pass_session, verb
from vmctl.errors import UsageError

if TYPE_CHECKING:
    from vmctl.cli.session import Session
    from vmctl.manifests.documents import Loaded, Manifest


@verb(
    "apply",
    examples="""
    vmctl apply -f machines/
    vmctl apply -f machines/ --wait --timeout=10m
    vmctl apply -f machines/ --dry-run
    vmctl apply -f image.yaml -f disk.yaml
    cat vm.yaml | vmctl apply -f -
    """,
)
@files_options
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--wait", is_flag=True, help="Go on until every object is where its spec asks.")
@click.option("--timeout", metavar="TIME", help="Give up waiting after this time (10m unless given), exit code 6.")
@click.option("--keep-going", is_flag=True, help="Apply the good files although others are bad; exit code 3.")
@click.option("--take-over", is_flag=True, help="Move objects here that another directory owns.")
@click.option("-q", "--quiet", is_flag=True, help="Print only what changed, no progress.")
@pass_session
def command(
    session: Session,
    filename: tuple[str, ...],
    recursive: bool,
    dry_run: bool,
    wait: bool,
    timeout: str | None,
    keep_going: bool,
    take_over: bool,
    quiet: bool,
) -> int:
    """Make the host match the manifests.

    Everything is checked before anything is changed: with one bad file nothing happens at all. Changes that can be made
    while a machine runs are made at once; the others wait for its next restart and are listed in
    status.restartAwaitingChanges.
    """
    from vmctl.engine import applying

    if not filename:
        raise UsageError("say what to apply", remedy="for example  vmctl apply -f machines/")
    loaded, source = load(session, filename, recursive=recursive)
    manifests = applying.judge(loaded, keep_going=keep_going)
    bad = bool(loaded.problems or loaded.not_acting) or len(manifests) < len(loaded.manifests)
    if bad:
        for problem in (*loaded.problems, *loaded.not_acting, *applying.refusals(loaded)):
            output.problem(problem)
    for caution in loaded.warnings:
        output.problem(caution)
    if dry_run:
        return _preview(session, manifests, "" if take_over else source)
    code = _apply(
        session,
        manifests,
        source=source,
        directory=loaded.directories[0] if source else "",
        wait=wait,
        timeout_s=working.seconds(timeout or ("10m" if wait else None)),
        take_over=take_over,
        quiet=quiet,
    )
    return working.SOME_FAILED if bad and code == 0 else code


def load(
    session: Session, filename: tuple[str, ...], *, recursive: bool, allow_generate_name: bool = False
) -> tuple[Loaded, str]:
    """Read the manifests, and tell which source they are: a directory is one, files and stdin are none."""
    from vmctl.cli.manifests import read
    from vmctl.manifests import sources

    loaded = read(session, filename, recursive=recursive, allow_generate_name=allow_generate_name)
    only_directory = len(filename) == 1 and len(loaded.directories) == 1
    return loaded, sources.source_of(loaded.directories[0]).identity if only_directory else ""


def _apply(
    session: Session,
    manifests: tuple[Manifest, ...],
    *,
    source: str,
    directory: str,
    wait: bool,
    timeout_s: float | None,
    take_over: bool,
    quiet: bool,
) -> int:
    from vmctl.engine import applying
    from vmctl.engine.session import Result

    with working.at_work(session) as engine:
        applying.guard(engine.ledger, applying.changed(engine.ledger, manifests))
        applied = applying.store_all(
            engine.store, engine.ledger, manifests, source=source, directory=directory, take_over=take_over
        )
        for item in applied:
            output.line(f"{item.key} {item.done}")
        output.flush()
        goal = [item.key for item in applied]
        restless = engine.unsettled()
        if wait:  # what is at rest may be waited for all the same: another process may bring what it lacks
            restless = list(dict.fromkeys([*restless, *working.unreached(engine, goal)]))
        if not restless:
            return working.report(Result(), goal, engine, wait=False)
        result = working.converge(engine, restless, wait=wait, timeout_s=timeout_s, goal=goal, quiet=quiet)
        return working.report(result, goal, engine, wait=wait)


def _preview(session: Session, manifests: tuple[Manifest, ...], source: str) -> int:
    from vmctl.engine.applying import guard
    from vmctl.engine.previewing import look

    words = {"create": "created", "change": "configured", "none": "unchanged"}
    with look(session.settings) as host:
        guard(host.ledger, manifests)
        host.store.refuse_other_owners((item.key for item in manifests), source)
        for preview in host.previews(manifests):
            output.line(f"{preview.key} {words[preview.verb]} (dry run)")
    return 0
