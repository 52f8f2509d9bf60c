"""What happens while a verb works: one line for each change of phase, a moving line of transfers on a terminal, and
what is waited for.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vmctl.cli import output
from vmctl.planning import goals
from vmctl.planning.conditions import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vmctl.planning.objects import Object
    from vmctl.resources.keys import Key


PAUSE_S = 3.0  # what is waited for is told no more often, and not at all of what is there by then
WAITING = frozenset(
    {
        "NotRunning",
        "Provisioning",
        "DatasourceIsNotReady",
        "StorageClassIsNotReady",
        "WaitingForFirstConsumer",
        "Terminating",
        "ImageTerminating",
        "StartInProgress",
        "StopInProgress",
        "RestartInProgress",
    }
)


class Progress:
    """Tells stderr what a convergence does. Called from its threads."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lock = threading.Lock()
        self._transfers: dict[str, str] = {}
        self._told: dict[Key, str] = {}  # what objects wait for, as last told
        self._drawn = False

    def seen(self, before: Object, after: Object) -> None:
        """Take note of a new status."""
        if self._quiet:
            return
        with self._lock:
            self._transfer(after)
            if before.phase != after.phase and after.phase:
                self._clear()
                why = trouble(after)
                self._told[after.key] = why
                output.remark(f"{after.key} {after.phase}" + (f": {why}" if why else ""))
            self._draw()

    @contextmanager
    def waiting(self, look: Callable[[], Iterable[Object]]) -> Iterator[None]:
        """Meanwhile tell what objects wait for that are not where their spec asks, each when that is news."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(PAUSE_S):
                self._tell_news(look())

        thread = threading.Thread(target=watch, name="waiting", daemon=True)
        if not self._quiet:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if thread.ident is not None:
                thread.join()

    def _tell_news(self, items: Iterable[Object]) -> None:
        with self._lock:
            found = [(item, why) for item in items if (why := goals.missing(item))]
            news = [item for item, why in found if self._told.get(item.key) != why]
            self._told = {item.key: why for item, why in found}
            if news:
                self._clear()
                tell_waiting(news)
                self._draw()

    def close(self) -> None:
        """Leave a clean line behind."""
        with self._lock:
            self._transfers.clear()
            self._clear()

    def _transfer(self, item: Object) -> None:
        speed = (item.status.get("downloadSpeed") or {}).get("current")
        if item.phase == "Provisioning" and speed:
            self._transfers[item.key.name] = f"{item.key.name} {_bar(str(item.status.get('progress') or ''))} {speed}"
        else:
            self._transfers.pop(item.key.name, None)

    def _draw(self) -> None:
        if not sys.stderr.isatty():
            return
        self._clear()
        if self._transfers:
            text = "   ".join(self._transfers.values())
            sys.stderr.write(text[: output.width() - 1])
            sys.stderr.flush()
            self._drawn = True

    def _clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False


def tell_waiting(items: Iterable[Object]) -> None:
    """Tell stderr why objects are not where their spec asks; nothing of those that are."""
    for item in items:
        if why := goals.missing(item):
            output.remark(f"{item.key} {'failed' if goals.failed(item) else 'pending'}: {why}")


def trouble(item: Object) -> str:
    """What is wrong with an object, as against what it merely waits for; empty when nothing is."""
    for kind in ("Running", "Ready", "Completed"):
        entry = find(item.status, kind)
        if entry is not None and entry["status"] == "False" and entry["reason"] not in WAITING:
            return str(entry["message"])
    return ""


def _bar(percent: str) -> str:
    """`28.2%` as a bar of twenty."""
    try:
        done = float(percent.rstrip("%"))
    except ValueError:
        return percent
    filled = int(done / 5)
    return f"[{'#' * filled}{'.' * (20 - filled)}] {percent}"
