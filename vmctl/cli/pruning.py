"""What verbs share that remove what a directory declares no more: their options, the guards, the lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmctl.cli import output
from vmctl.errors import ChangeRefused, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmctl.cli.options import Decorated
    from vmctl.engine.deleting import Deletion
    from vmctl.engine.ledger import Ledger
    from vmctl.engine.pruning import Leaving, Most, Scan
    from vmctl.manifests.documents import Loaded, Manifest
    from vmctl.manifests.sources import Source
    from vmctl.planning.objects import Object, Objects
    from vmctl.state.store import Store

WORDS = {"deleted": "pruned", "retained": "retained"}
NAMED = 5  # objects that a remark names


@dataclass(frozen=True, slots=True)
class Pruning:
    """What the user asked for, and the looks at the directories that it rests on."""

    looks: tuple[Scan, ...]
    wanted: bool
    most: Most

    def leaving(self, store: Store, ledger: Ledger, manifests: Sequence[Manifest]) -> list[Leaving]:
        """What is to go when the manifests are applied. Raises ChangeRefused when that is more than is allowed."""
        from vmctl.engine import applying, pruning

        if not self.wanted:
            return []
        objects = applying.foreseen(ledger, manifests)
        found = [pruning.leaving(store, objects, look) for look in self.looks]
        pruning.refuse_excess(found, self.most)
        return found

    def begin(self, store: Store) -> None:
        """Note what was not read of directories that are applied for the first time."""
        from vmctl.engine import pruning

        for look in self.looks:
            pruning.begin(store, look)

    def finish(self, store: Store, objects: Objects, *, quiet: bool) -> None:
        """Forget what was carried out once and has left; tell what is left behind."""
        from vmctl.engine import pruning

        for look in self.looks:
            pruning.catch_up(store, look)
            pruning.forget(store, look)
        if not quiet:
            self.tell_left_behind(store, objects)

    def tell_left_behind(self, store: Store, objects: Objects) -> None:
        """Say what the directories own and declare no more, where nothing is pruned."""
        from vmctl.engine import pruning

        for look in () if self.wanted else self.looks:
            behind = pruning.left_behind(store, objects, look)
            if behind:
                names = ", ".join(key.short for key in behind[:NAMED]) + (" …" if len(behind) > NAMED else "")
                output.remark(
                    f"{names}: not in {look.source.directory} any more, and kept; --prune removes such objects"
                )


def prune_options(function: Decorated) -> Decorated:
    """Give a verb --prune and --prune-max as `prune` and `prune_max`."""
    function = click.option(
        "--prune-max", metavar="N|all", help="How many objects may be pruned at most (a third, or two, unless given)."
    )(function)
    return click.option(
        "--prune", is_flag=True, help="Delete what the directory declares no more; disks with data are kept."
    )(function)


def limit(prune_max: str | None) -> Most:
    """How many objects may go, as the user wrote it. Raises UsageError."""
    if prune_max is None or prune_max == "all":
        return prune_max  # type: ignore[return-value]  # mypy does not narrow a str to the literal it equals
    if not prune_max.isdecimal():
        raise UsageError(f"--prune-max is a number or all, not {prune_max!r}", remedy="for example  --prune-max 5")
    return int(prune_max)


def asked(
    filename: tuple[str, ...],
    loaded: Loaded,
    sources: tuple[Source, ...],
    *,
    recursive: bool,
    prune: bool,
    prune_max: str | None,
) -> Pruning:
    """What is to be pruned, if anything. Raises ChangeRefused where the directories cannot be read as a whole."""
    from vmctl.engine import pruning

    most = limit(prune_max)
    if prune_max is not None and not prune:
        raise UsageError("--prune-max says how much --prune may remove", remedy="add --prune")
    looks = tuple(pruning.scan(loaded, source, below=recursive) for source in sources)
    if not prune:
        return Pruning(looks, wanted=False, most=most)
    files = [path for path in filename if path == "-" or (Path(path).exists() and not Path(path).is_dir())]
    if files:
        raise UsageError(f"{files[0]} is no directory: files and stdin own nothing", remedy="prune a directory")
    if loaded.problems:
        for problem in loaded.problems:
            output.problem(problem)
        raise ChangeRefused(
            "nothing is pruned, and nothing was changed: not all of what was given can be read",
            remedy="what is missing may be in there; put it right, or apply without --prune",
        )
    pruning.refuse_incomplete(looks)
    return Pruning(looks, wanted=True, most=most)


def tell_held(ledger: Ledger, gone: Iterable[Deletion]) -> None:
    """Print what was pruned and is still there, with who holds it."""
    for item in gone:
        left = ledger.get(item.key) if item.done == "deleted" else None
        if left is not None:
            output.line(terminating(left))


def terminating(item: Object) -> str:
    """The line of an object that is deleted and still there."""
    said = {entry["type"]: entry["message"] for entry in item.status.get("conditions") or ()}
    why = _finalizers(item) or said.get("InUse") or said.get("Ready")  # who holds it, before that it goes
    return f"{item.key} terminating" + (f": {why}" if why else "")


def _finalizers(item: Object) -> str:
    """Who else has to let go of an object first, and how that is said."""
    if not item.finalizers:
        return ""
    return f"held by finalizers {', '.join(item.finalizers)}; take them out of its manifest and apply that"
