"""Warnings about objects: as an event for users, as a line of the log for whoever keeps the daemon."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmctl.planning.objects import Object
    from vmctl.state.store import Store

log = logging.getLogger(__name__)


def warn(store: Store, item: Object, reason: str, message: str) -> None:
    """Record a warning with an object, and log it."""
    store.record_event(item.key, "Warning", reason, message, uid=item.uid)
    log.warning("%s: %s: %s", item.key.short, reason, message)
