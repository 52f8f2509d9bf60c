"""Clear up what nobody names any more: layers of images that are gone, and what interrupted steps left behind."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.planning import storage_classes
from vmctl.storage import layers

if TYPE_CHECKING:
    from vmctl.engine.ledger import Ledger
    from vmctl.state.store import Store

log = logging.getLogger(__name__)


def tidy(store: Store, ledger: Ledger) -> None:
    """Remove image layers without owner and without a layer above, partial files without owner, and answered journal
    entries.
    """
    _images(store, ledger)
    _interrupted(store, ledger)


def leave_class(store: Store, name: str, directory: str) -> None:
    """Remove the copies of images that lie in a class which is about to go; what kept disks stand on stays."""
    rows = store.layers()
    needed = {row.backing for row in rows if row.backing}
    for row in rows:
        if row.storage_class == name and row.purpose == "image" and row.id not in needed and directory:
            log.info("removing layer %s: its storage class was deleted", row.id)
            layers.remove(Path(directory), row.id)
            store.remove_layer(row.id)


def _images(store: Store, ledger: Ledger) -> None:
    """An image that was deleted keeps its layer as long as a disk stands on it; the last one to go takes it along."""
    snapshot = ledger.snapshot()
    uids = {item.uid for item in snapshot.by_key.values()}
    rows = store.layers()
    needed = {row.backing for row in rows if row.backing}
    directories = storage_classes.directories(snapshot)
    for row in rows:
        unused = row.purpose == "image" and row.owner not in uids and row.id not in needed
        if unused and directories.get(row.storage_class):
            log.info("removing layer %s: its image was deleted and no disk stands on it", row.id)
            layers.remove(Path(directories[row.storage_class]), row.id)
            store.remove_layer(row.id)


def _interrupted(store: Store, ledger: Ledger) -> None:
    """What a killed step was making: kept while its object still wants that very layer, removed otherwise."""
    known = {row.id for row in store.layers()}
    uids = {item.uid: item for item in ledger.snapshot().by_key.values()}
    for entry in store.unfinished():
        layer, directory = entry.detail.get("layer"), entry.detail.get("directory")
        if layer in known or not layer:
            store.finish(entry.id)
            continue
        item = uids.get(entry.uid)
        if item is not None and item.phase in ("Provisioning", "Pending"):
            continue  # it is being tried again under the same id
        layers.remove(Path(str(directory)), str(layer))
        store.finish(entry.id)
