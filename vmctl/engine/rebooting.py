"""A guest's own reboot, made a cold start when changes wait for one: at once, beside the queue of passes.

QEMU goes on through a reboot with what it was started with, so the changes would wait on. Only while the guest is still
in its firmware is nothing lost by cutting its power: its agent is gone, and less than a second has passed. Too late, or
nothing waiting: the guest is left alone, and what waits goes on waiting.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from vmctl.errors import VmctlError
from vmctl.planning import drift, requests
from vmctl.planning.machine_trouble import comes_up
from vmctl.planning.requests import Request
from vmctl.resources.annotations import PAUSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.engine.clock import Clock
    from vmctl.engine.ledger import Ledger
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.objects import Object
    from vmctl.planning.observed import Domain
    from vmctl.state.store import Store

log = logging.getLogger(__name__)
IN_FIRMWARE_S = 1.0  # no firmware has loaded a guest's system by then, and nothing of it is in the guest's hands
CLOSES_WITHIN_S, LOOK_AGAIN_S = 0.5, 0.02
WHY = "its guest rebooted, and changes waited for that"
ENDED = ""  # instead of a uid: nothing more comes


@dataclass(slots=True)
class Reboots:
    """Listens for reboots. `happened` may be called from libvirt's thread; the work is done in a thread of its own."""

    store: Store
    ledger: Ledger
    driver: Driver
    clock: Clock
    _heard: queue.SimpleQueue[tuple[str, float]] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to act on what is heard."""
        self._thread = threading.Thread(target=self._listen, name="reboots", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End what is under way and hear no more."""
        self._heard.put((ENDED, 0.0))
        if self._thread is not None:
            self._thread.join()

    def happened(self, uid: str) -> None:
        """Hear that a guest reboots."""
        self._heard.put((uid, self.clock.elapsed()))

    def answer(self, uid: str, heard_at: float) -> bool:
        """Switch a machine off for a cold start if that is right; whether it was. Its pass starts it."""
        machine, notes = self._machine(uid), self.store.notes(uid)
        if machine is None or not _wants_restart(machine, notes) or requests.active(notes) is not None:
            return False
        domain = self._in_firmware(uid, heard_at)
        if domain is None or domain.running is None or self._is_late(machine, heard_at):
            return False
        # not forced: should we die before the next line, a later pass must ask a guest that has come up by then
        request = Request("Restart", WHY, nonce=domain.running.nonce)
        entry = self.store.begin(uid, "ColdRestart", {"what": WHY})
        self.store.note(uid, requests.NOTE, request.text(), unsettles=True)
        in_time = not self._is_late(machine, heard_at)  # others may have held the store up, or its disk
        if in_time:
            self.driver.destroy(uid)
        else:
            self.store.note(uid, requests.NOTE, notes.get(requests.NOTE, ""), unsettles=True)
        self.store.finish(entry)
        self.ledger.changed(machine.key, ())
        return in_time

    def _in_firmware(self, uid: str, heard_at: float) -> Domain | None:
        """A guest whose agent's channel is closed; None for one that keeps it open, and is in its system.

        What resets a guest without its doing (`virsh reset`, a watchdog) closes the channel a moment after the event.
        """
        while (domain := self.driver.observe(uid)) is not None and domain.agent_connected:
            if self.clock.elapsed() - heard_at >= CLOSES_WITHIN_S:
                return None
            self.clock.sleep(LOOK_AGAIN_S)
        return domain

    def _is_late(self, machine: Object, heard_at: float) -> bool:
        """Whether the guest may be out of its firmware by now."""
        late = self.clock.elapsed() - heard_at >= IN_FIRMWARE_S
        if late:
            log.info("%s: heard too late of its reboot; its changes go on waiting", machine.key.short)
        return late

    def _listen(self) -> None:
        while True:
            uid, heard_at = self._heard.get()
            if uid == ENDED:
                return
            try:
                self.answer(uid, heard_at)
            except VmctlError as error:  # its pass looks at it anyway
                log.warning("the reboot of %s was not made a cold start: %s", uid, error.message)

    def _machine(self, uid: str) -> Object | None:
        return next((item for item in self.ledger.snapshot().of_kind("VirtualMachine") if item.uid == uid), None)


def _wants_restart(machine: Object, notes: Mapping[str, str]) -> bool:
    """Whether changes wait, and everything is there that its start needs: a reboot never leaves a machine off."""
    waits = bool(machine.status.get("restartAwaitingChanges"))
    return waits and comes_up(notes) and not machine.terminating and drift.mode(machine) != PAUSED
