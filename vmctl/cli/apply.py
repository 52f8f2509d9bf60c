"""`vmctl apply`: make the host match the manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vmctl.cli import output, working
from vmctl.cli.options import files_options, pass_session, verb
from vmctl.cli.pruning import WORDS, asked, prune_options, tell_held
from vmctl.errors import UsageError

if TYPE_CHECKING:
    from vmctl.cli.pruning import Pruning
    from vmctl.cli.session import Session
    from vmctl.engine.applying import Applied
    from vmctl.engine.previewing import Look, Preview
    from vmctl.manifests.documents import Loaded, Manifest
    from vmctl.manifests.sources import Source


@verb(
    "apply",
    examples="""
    vmctl apply -f machines/
    vmctl apply -f machines/ --wait --timeout=10m
    vmctl apply -f machines/ --dry-run
    vmctl apply -f machines/ --prune
    vmctl apply -f image.yaml -f disk.yaml
    cat vm.yaml | vmctl apply -f -
    """,
)
@files_options
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--wait", is_flag=True, help="Go on until every object is where its spec asks.")
@click.option("--no-wait", is_flag=True, help="Leave the work to the daemon (`vmctl run`) and return.")
@click.option("--timeout", metavar="TIME", help="Give up waiting after this time (10m unless given), exit code 6.")
@click.option("--keep-going", is_flag=True, help="Apply the good files although others are bad; exit code 3.")
@click.option("--take-over", is_flag=True, help="Move objects here that another directory owns.")
@prune_options
@click.option("-q", "--quiet", is_flag=True, help="Print only what changed, no progress.")
@pass_session
def command(
    session: Session,
    filename: tuple[str, ...],
    recursive: bool,
    dry_run: bool,
    wait: bool,
    no_wait: bool,
    timeout: str | None,
    keep_going: bool,
    take_over: bool,
    prune: bool,
    prune_max: str | None,
    quiet: bool,
) -> int:
    """Make the host match the manifests.

    Everything is checked before anything is changed: with one bad file nothing happens at all. Changes that can be made
    while a machine runs are made at once; the others wait for its next restart and are listed in
    status.restartAwaitingChanges.

    A directory owns what is applied from it. With --prune, what it declares no more is deleted, except disks, whose
    data is kept. Nothing happens at all when a file cannot be read, or when more than a third of what the directory
    owns would go, unless --prune-max allows it.
    """
    from vmctl.engine import applying

    if not filename:
        raise UsageError("say what to apply", remedy="for example  vmctl apply -f machines/")
    if no_wait:
        working.require_daemon(session, wait=wait)
    loaded, sources = load(session, filename, recursive=recursive)
    pruning = asked(filename, loaded, sources, recursive=recursive, prune=prune, prune_max=prune_max)
    manifests = applying.judge(loaded, keep_going=keep_going)
    bad = bool(loaded.problems or loaded.not_acting) or len(manifests) < len(loaded.manifests)
    if bad:
        for problem in (*loaded.problems, *loaded.not_acting, *applying.refusals(loaded)):
            output.problem(problem)
    for caution in loaded.warnings:
        output.problem(caution)
    if dry_run:
        return _preview(session, manifests, sources, pruning, take_over=take_over)
    code = _apply(
        session,
        manifests,
        sources,
        pruning,
        wait=wait,
        hand_over=no_wait,
        timeout_s=working.seconds(timeout or ("10m" if wait else None)),
        take_over=take_over,
        quiet=quiet,
    )
    return working.SOME_FAILED if bad and code == 0 else code


def load(
    session: Session, filename: tuple[str, ...], *, recursive: bool, allow_generate_name: bool = False
) -> tuple[Loaded, tuple[Source, ...]]:
    """Read the manifests, and tell of which sources they are: each directory is one, files and stdin are none."""
    from vmctl.cli.manifests import read
    from vmctl.manifests import sources

    loaded = read(session, filename, recursive=recursive, allow_generate_name=allow_generate_name)
    return loaded, tuple(map(sources.source_of, loaded.directories))


def _apply(
    session: Session,
    manifests: tuple[Manifest, ...],
    sources: tuple[Source, ...],
    pruning: Pruning,
    *,
    wait: bool,
    hand_over: bool,
    timeout_s: float | None,
    take_over: bool,
    quiet: bool,
) -> int:
    from vmctl.engine import applying, provenance
    from vmctl.engine.pruning import prune
    from vmctl.engine.pursuing import Result

    with working.at_work(session) as engine:
        leaving = pruning.leaving(engine.store, engine.ledger, manifests)
        going = [key for source in leaving for key in source.pruned]
        applying.guard(engine.ledger, applying.changed(engine.ledger, manifests), going)
        pruning.begin(engine.store)
        applied = applying.store_all(engine.store, engine.ledger, manifests, sources=sources, take_over=take_over)
        provenance.record(engine.store, engine.ledger, applied, manifests, sources)
        for each in applied:
            output.line(str(each))
        gone = [item for source in leaving for item in prune(engine.store, engine.ledger, source)]
        for item in gone:
            output.line(f"{item.key} {WORDS[item.done]}")
        output.flush()
        pruning.finish(engine.store, engine.ledger.snapshot(), quiet=quiet)
        goal = [item.key for item in applied]
        restless = list(dict.fromkeys([*engine.unsettled(), *(item.key for item in gone if item.done == "deleted")]))
        if wait:  # what is at rest may be waited for all the same: another process may bring what it lacks
            restless = list(dict.fromkeys([*restless, *working.unreached(engine, goal)]))
        if hand_over:
            engine.hand_over(restless)
            return 0
        if not restless:
            return working.report(Result(), goal, engine, wait=False)
        result = working.converge(engine, restless, wait=wait, timeout_s=timeout_s, goal=goal, quiet=quiet)
        tell_held(engine.ledger, gone)
        return working.report(result, goal, engine, wait=wait)


def _preview(
    session: Session,
    manifests: tuple[Manifest, ...],
    sources: tuple[Source, ...],
    pruning: Pruning,
    *,
    take_over: bool,
) -> int:
    from vmctl.engine.previewing import look

    words = {"create": "created", "change": "configured", "none": "unchanged", "prune": "pruned", "retain": "retained"}
    with look(session.settings) as host:
        previews, rest = foresee(host, manifests, sources, pruning, take_over=take_over)
        for preview in previews:
            output.line(f"{preview.key} {words[preview.verb]} (dry run)")
        for item in rest:
            output.line(f"{item} (dry run)")
    return 0


def foresee(
    host: Look, manifests: tuple[Manifest, ...], sources: tuple[Source, ...], pruning: Pruning, *, take_over: bool
) -> tuple[list[Preview], list[Applied]]:
    """What apply would do, and what it would say of manifests that are carried out once; tells what would be left
    behind. Raises what apply would.
    """
    from vmctl.engine import applying, once

    leaving = pruning.leaving(host.store, host.ledger, manifests)
    going = [key for source in leaving for key in source.pruned]
    applying.guard(host.ledger, applying.changed(host.ledger, manifests), going)
    if not take_over:
        applying.refuse_other_owners(host.store, manifests, sources)
    found = once.sort_out(host.store, host.ledger, manifests, sources)
    pruning.tell_left_behind(host.store, host.ledger.snapshot())
    return host.previews(found.meant, leaving), applying.not_again(found)
