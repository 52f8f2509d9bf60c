"""Deleting: what is asked for by name goes, data included; what merely is not in a file any more is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vmctl.engine.built_in import always_there
from vmctl.errors import ChangeRefused
from vmctl.planning import storage_classes
from vmctl.planning.steps import layer_path
from vmctl.resources.annotations import DELETION_POLICY, FORCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmctl.engine.ledger import Ledger
    from vmctl.planning.objects import Object
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store

KEPT_DATA = "the data is kept until it is deleted by name"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What became of one object that was to be deleted."""

    key: Key
    done: Literal["deleted", "retained", "absent"]
    kept: tuple[str, ...] = ()  # files of its data that its storage class keeps


def delete(store: Store, ledger: Ledger, keys: Iterable[Key], *, by_name: bool, force: bool = False) -> list[Deletion]:
    """Mark objects deleted. A disk that is not named itself is retained, unless its annotation says Delete.

    Raises ChangeRefused for what is always there; nothing is marked then.
    """
    keys = list(keys)
    refuse_always_there(keys)
    return [_delete(store, ledger, key, by_name=by_name, force=force) for key in keys]


def refuse_always_there(keys: Iterable[Key]) -> None:
    """Raise ChangeRefused when one of the objects exists without being declared."""
    refused = [key.short for key in keys if always_there(key)]
    if refused:
        raise ChangeRefused(
            f"{', '.join(refused)} cannot be deleted: it is always there", remedy="leave it out; nothing was changed"
        )


def _delete(store: Store, ledger: Ledger, key: Key, *, by_name: bool, force: bool) -> Deletion:
    item = ledger.get(key)
    if item is None:
        return Deletion(key, "absent")
    if not by_name and retains(item):
        return _retain(store, item, KEPT_DATA)
    if force:
        metadata = {**item.metadata, "annotations": {**item.annotations, FORCE: "true"}}
        stored, _ = store.replace(key, {**item.document, "metadata": metadata})
        ledger.learn(stored)
    ledger.mark_deleted(key, f"asked for with vmctl delete{'' if by_name else ' -f'}{' --force' if force else ''}")
    return Deletion(key, "deleted", _kept(store, ledger, item))


def let_go(
    store: Store, ledger: Ledger, keys: Iterable[Key], kept: Mapping[Key, str], directory: str
) -> list[Deletion]:
    """Mark deleted what a directory declares no more; what is kept, for the reasons given, has no owner any more."""
    done: list[Deletion] = []
    with ledger.batch():
        for item in filter(None, map(ledger.get, keys)):
            if item.key in kept:
                done.append(_retain(store, item, kept[item.key]))
            else:
                store.record_event(item.key, "Normal", "Pruned", f"its manifest has left {directory}", uid=item.uid)
                ledger.mark_deleted(item.key, f"pruned: its manifest has left {directory}")
                done.append(Deletion(item.key, "deleted"))
    return done


def _retain(store: Store, item: Object, why: str) -> Deletion:
    """Leave an object without an owner, to be deleted by name or adopted again."""
    store.adopt(item.key, "", "", 0)
    store.record_event(item.key, "Normal", "Retained", f"its manifest is gone; {why}", uid=item.uid)
    return Deletion(item.key, "retained")


def _kept(store: Store, ledger: Ledger, item: Object) -> tuple[str, ...]:
    """Where the data of a disk will be found that is deleted in a class which keeps it."""
    objects = ledger.snapshot()
    rows = store.layers([item.uid]) if item.key.kind == "VirtualDisk" else []
    kept = [row for row in rows if storage_classes.keeps_data(objects, row.storage_class)]
    directories = storage_classes.directories(objects)
    return tuple(layer_path(directories[row.storage_class], row.id) for row in kept)


def retains(item: Object) -> bool:
    """Whether an object holds data that outlives its manifest."""
    return (
        item.key.kind == "VirtualDisk"
        and "capacity" in item.status
        and item.annotations.get(DELETION_POLICY) != "Delete"
    )
