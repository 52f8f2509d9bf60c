"""What happens while a verb works: one line for each change of phase, and a moving line of transfers on a terminal."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from vmctl.cli import output
from vmctl.planning.conditions import find

if TYPE_CHECKING:
    from vmctl.planning.objects import Object


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
                output.remark(f"{after.key} {after.phase}" + (f": {why}" if why else ""))
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
