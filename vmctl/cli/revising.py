"""What verbs share that change single objects by hand: finding them, changing all or none, telling how it went."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from vmctl.cli import asking, output, selectors, working
from vmctl.errors import FileRefused, Overtaken, UsageError
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vmctl.cli.session import Session
    from vmctl.engine.editing import Revision
    from vmctl.engine.session import Session as Engine
    from vmctl.state.store import Store
    from vmctl.state.stored import Stored

ATTEMPTS = 10


class Revised(NamedTuple):
    """What became of one object, or would: whether it is different, and in a dry run what that comes to."""

    key: Key
    changed: bool
    told: tuple[str, ...] = ()


def named(
    session: Session, store: Store, words: Sequence[str], *, selector: str = "", everything: bool = False
) -> list[Key]:
    """The objects that are meant, by name, by label, or all of a kind. Raises UsageError; what is not there is found
    out later.
    """
    chosen = selectors.by_labels(selector) if selector else None
    keys: list[Key] = []
    for each in asking.asked(words):
        namespace = session.namespace if each.kind.namespaced else ""
        if each.names and (selector or everything):
            raise UsageError("both names and -l or --all are given", remedy="give one of them")
        if not each.names and not (selector or everything):
            raise UsageError(f"say which {each.kind.plural}", remedy="give names, -l or --all")
        keys += (Key(each.kind.name, namespace, name) for name in each.names)
        if not each.names:
            known = store.list(each.kind.name, namespace)
            keys += (item.key for item in known if chosen is None or chosen(item.manifest()))
    return keys


def revise_all(
    engine: Engine, keys: Sequence[Key], change: Callable[[Stored], Mapping[str, Any]], *, dry_run: bool = False
) -> list[Revised]:
    """Change objects, and say of each whether it became different. All are judged before the first is changed.

    Raises what `editing.revise` and `editing.commit` raise; the change that a file would have taken is printed then.
    """
    from vmctl.engine import editing

    def revise(key: Key) -> Revision:
        found = editing.look_up(engine.store, key, asking.not_found(key))
        return editing.revise(engine.ledger, engine.store, found, change(found.stored))

    with patch_printed():
        judged = [revise(key) for key in keys]
        if dry_run:
            told = _foreseen(engine, judged)
            return [Revised(item.key, item.changes, told.get(item.key, ())) for item in judged]
        # found again, as two of them may lie in one file
        return [Revised(key, _insist(engine, key, revise)) for key in keys]


def _foreseen(engine: Engine, judged: Sequence[Revision]) -> dict[Key, tuple[str, ...]]:
    """What `diff` would say of changes, without the names of the objects."""
    from vmctl.cli.diff import lines
    from vmctl.engine.previewing import Look

    look = Look.over(engine.store, engine.driver, engine.ledger, engine.place, engine.clock)
    previews = look.revised({item.key: item.document for item in judged if item.changes})
    return {preview.key: tuple(lines(preview))[1:] for preview in previews}


def _insist(engine: Engine, key: Key, revise: Callable[[Key], Revision]) -> bool:
    """Make a change although others change the same file or object at the same time."""
    for _ in range(ATTEMPTS):
        try:
            return commit(engine, revise(key))
        except Overtaken as error:
            last = error
    raise last


def commit(engine: Engine, revision: Revision) -> bool:
    """Make one change and say whether there was one; tells of warnings, and which file was written."""
    from vmctl.engine import editing

    changed = editing.commit(engine.ledger, engine.store, revision)
    for caution in revision.warnings:
        output.problem(caution)
    if revision.writes:
        output.remark(f"{revision.origin.place} written")
    return changed


def settle(engine: Engine, keys: Sequence[Key]) -> None:
    """Carry out what follows from changed objects; machines that wait for a place look again, as labels decide that."""
    snapshot = engine.ledger.snapshot()
    waiting = [
        machine.key for machine in snapshot.of_kind("VirtualMachine") if machine.phase in ("Starting", "Pending")
    ]
    working.converge(engine, [*keys, *waiting], quiet=True)


@contextmanager
def patch_printed() -> Iterator[None]:
    """Print the change that a file would take to stdout, where the file cannot be written."""
    try:
        yield
    except FileRefused as error:
        output.data(error.patch)
        raise
