"""`vmctl delete`: by name (data included), by label or all of a kind (data with --yes), or by file (disks are kept)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmctl.cli import asking, output, selectors, working
from vmctl.cli.apply import load
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.options import files_options, namespace_option, pass_session, selector_option, verb
from vmctl.cli.pruning import terminating
from vmctl.errors import ChangeRefused, NotFoundError, TimedOut, UsageError
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmctl.cli.session import Session
    from vmctl.engine.deleting import Deletion
    from vmctl.engine.origins import Origin
    from vmctl.engine.session import Session as Engine


@verb(
    "delete",
    examples="""
    vmctl delete vm linux-vm
    vmctl delete vm/linux-vm vd/linux-disk --wait
    vmctl delete vm linux-vm --from-file
    vmctl delete -f machines/
    """,
)
@click.argument("what", nargs=-1, metavar="[KIND NAME...|KIND/NAME...]", shell_complete=kinds_and_names)
@files_options
@namespace_option
@selector_option
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option("--wait", is_flag=True, help="Go on until they are gone.")
@click.option("--timeout", metavar="TIME", help="Give up waiting after this time, exit code 6.")
@click.option(
    "--force", is_flag=True, help="Cut the power of machines instead of shutting them down; asks for each name."
)
@click.option(
    "--yes", is_flag=True, help="Do not ask with --force, and delete disks with data that are not named one by one."
)
@click.option("--from-file", is_flag=True, help="Remove the documents from their files as well.")
@click.option("--ignore-not-found", is_flag=True, help="What does not exist counts as deleted.")
@pass_session
def command(
    session: Session,
    what: tuple[str, ...],
    filename: tuple[str, ...],
    recursive: bool,
    selector: str,
    everything: bool,
    wait: bool,
    timeout: str | None,
    force: bool,
    yes: bool,
    from_file: bool,
    ignore_not_found: bool,
) -> int:
    """Delete objects.

    A machine is shut down and removed, its disks stay. A disk named here goes with its data. With -f disks are kept,
    unless their annotation vmctl.dev/deletion-policy says Delete: a manifest that is gone is not the name of a disk.
    Neither is --all, -l or a word for several kinds: where they mean a disk with data, --yes has to be added.

    What a daemon would make again, because a file in its directory declares it, is not deleted unless --from-file
    removes the document too.
    """
    from vmctl.engine.deleting import delete, refuse_always_there

    if bool(what) == bool(filename):
        raise UsageError("name objects or give files, one of the two", remedy="for example  vmctl delete vm linux-vm")
    if from_file and filename:
        raise UsageError("--from-file goes with names of objects", remedy="leave out -f")
    keys = (
        _of_files(session, filename, recursive=recursive)
        if filename
        else _of_names(session, what, selector, everything=everything, yes=yes)
    )
    if not keys:
        output.remark("No resources found")
        return 0
    if force and not yes:
        _ask(keys)
    timeout_s = working.seconds(timeout)
    with working.at_work(session) as engine:
        absent = [key for key in keys if engine.ledger.get(key) is None]
        if absent and not ignore_not_found and not filename:
            raise NotFoundError("; ".join(asking.not_found(key) for key in absent))
        there = [key for key in keys if key not in absent]
        refuse_always_there(there)
        returning = [] if filename else _documents(engine, there, remove=from_file)
        deletions = delete(engine.store, engine.ledger, there, by_name=not filename, force=force)
        _tell_return(returning)
        going = [item.key for item in deletions if item.done == "deleted"]
        gone = lambda: all(engine.ledger.get(key) is None for key in going)  # noqa: E731  # a predicate of two uses
        engine.converge(going, until=gone if wait else None, timeout_s=timeout_s)
        return _report(engine, deletions, wait=wait)


def _documents(engine: Engine, keys: Sequence[Key], *, remove: bool) -> list[Origin]:
    """Those of the objects that the next apply of a directory makes again; with `remove` their documents go, so none.

    Raises ChangeRefused where a daemon would make them again at once.
    """
    from vmctl.engine import withdrawing

    found = withdrawing.declared(engine.store, keys)
    if remove:
        withdrawing.without_documents(found, keys)
        for origin in found:
            output.remark(f"{origin.stored.key.short}: removed from {origin.place}")
        return []
    withdrawing.refuse_watched(engine.store, Path(engine.place.state_dir), found)
    return [origin for origin in found if origin.stored.source]


def _tell_return(returning: Sequence[Origin]) -> None:
    for origin in returning:
        name, where = origin.stored.key.short, origin.directory
        output.remark(f"{name} is declared in {origin.place}: the next apply of {where} brings it back")


def _report(engine: Engine, deletions: Sequence[Deletion], *, wait: bool) -> int:
    held = []
    for item in deletions:
        left = engine.ledger.get(item.key)
        if item.done == "retained":
            output.line(f"{item.key} retained: its data is kept; `vmctl delete vd {item.key.name}` deletes it")
        elif left is None:
            kept = f": its storage class keeps its data, {', '.join(item.kept)}" if item.kept else ""
            output.line(f"{item.key} deleted{kept}")
        else:
            output.line(terminating(left))
            held.append(item.key)
    if held and wait:
        raise TimedOut(
            f"{len(held)} still there: {', '.join(key.short for key in held)}",
            remedy="see `vmctl describe` for what holds it",
        )
    return 0


def _of_files(session: Session, filename: tuple[str, ...], *, recursive: bool) -> list[Key]:
    from vmctl.errors import ManifestError

    loaded, _ = load(session, filename, recursive=recursive)
    if loaded.problems:
        raise ManifestError(loaded.problems)
    return [item.key for item in loaded.manifests]


def _of_names(session: Session, what: tuple[str, ...], selector: str, *, everything: bool, yes: bool) -> list[Key]:
    wanted = asking.asked(what)
    chosen = selectors.by_labels(selector) if selector else None
    several = any(word in asking.CATEGORIES for word in what[0].lower().split(","))
    keys: list[Key] = []
    unnamed: list[Key] = []
    for each in wanted:
        namespace = session.namespace if each.kind.namespaced else ""
        if each.names:
            keys += [Key(each.kind.name, namespace, name) for name in each.names]
        elif everything or chosen is not None:
            answer = asking.answer(
                session.store, [each], namespace or None, **({"chosen": chosen} if chosen is not None else {})
            )
            found = [Key(each.kind.name, namespace, asking.name_of(document)) for document in answer.documents]
            keys += found
            unnamed += found
        else:
            raise UsageError(f"say which {each.kind.plural}", remedy="give names, -l or --all")
    if several or not yes:
        how = f" -l {selector}" if selector else " --all" if everything else ""
        _spare_disks(session, keys if several else unnamed, " ".join(what) + how, yes_will_do=not several)
    return keys


def _spare_disks(session: Session, unnamed: Sequence[Key], said: str, *, yes_will_do: bool) -> None:
    """Refuse to delete data whose own name nobody has said: only a label, --all, or a word for several kinds.

    Who did not even say that disks are meant gets no way around their names: --yes allows so much else.
    """
    from vmctl.engine.deleting import retains
    from vmctl.engine.ledger import as_object

    stored = filter(None, map(session.store.get, (key for key in unnamed if key.kind == "VirtualDisk")))
    disks = [item.key.name for item in map(as_object, stored) if retains(item) and not item.terminating]
    if disks:
        where = "" if session.namespace == "default" else f" -n {session.namespace}"
        raise UsageError(
            f"'{said}' would delete disks with their data ({', '.join(disks)}); nothing was changed",
            remedy=f"name them:  vmctl delete{where} {' '.join(f'vd/{name}' for name in disks)}"
            + (" ; or add --yes" if yes_will_do else ""),
        )


def _ask(keys: Sequence[Key]) -> None:
    """Have each name typed: power is cut, and what a guest had not written is lost."""
    if not output.interactive():
        raise UsageError("--force asks for the names, and nobody is there to ask", remedy="add --yes")
    for key in keys:
        typed = click.prompt(f"{key.short} is cut off without a shutdown. Type its name to go on", err=True)
        if typed.strip() != key.name:
            raise ChangeRefused("the name was not confirmed; nothing was changed")
