"""How old is what the store says? Without an engine at work nobody keeps it; the power of machines is asked for at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.errors import HypervisorError
from vmctl.planning.phases import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmctl.engine.settings import Settings
    from vmctl.planning.observed import Power
    from vmctl.state.store import Store

ENGINE, LAST_WORK = "engine", "last-work"
WATCHED = "watched"  # the note in which a daemon lists its sources

Document = dict[str, Any]


def corrected(machines: Iterable[Document], settings: Settings) -> tuple[list[Document], str, bool]:
    """The machines with the phase that libvirt shows now; what kept it from answering; whether an engine keeps the
    rest.
    """
    from vmctl.state.lock import holder

    machines = list(machines)
    if not machines or holder(settings.state_dir) is not None:
        return machines, "", True
    from vmctl.hypervisor.powers import powers

    try:
        seen = powers(settings.libvirt_uri)
    except HypervisorError as error:
        return machines, error.message, False
    return [_corrected(machine, seen) for machine in machines], "", False


def _corrected(machine: Document, seen: Mapping[str, Power]) -> Document:
    status: Document = dict(machine.get("status") or {})
    known, power = status.get("phase"), seen.get(str((machine.get("metadata") or {}).get("uid")), "off")
    told = shown(known or "", power, kept=False)
    if told == (known or ""):
        return machine
    status["phase"] = told
    if power == "off":
        status.pop("nodeName", None)
    return {**machine, "status": status}


def last_work(store: Store) -> float | None:
    """When an engine last worked here, epoch seconds."""
    last = store.notes(ENGINE).get(LAST_WORK)
    return None if last is None else float(last)
