"""Definitions and power: what we mean for a machine is noted before it is done, because libvirt cannot tell our
shutdown from the guest's own.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.engine.warning import warn
from vmctl.errors import NotReady, Rejected
from vmctl.planning import refusals, requests, steps
from vmctl.planning.power import NOTE, PowerNote
from vmctl.storage.access import access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmctl.engine.clock import Clock
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.hardware import Hardware
    from vmctl.planning.objects import Object
    from vmctl.planning.place import Place
    from vmctl.state.store import Store

SIGNAL_AGAIN_S = 3.0  # a shutdown that arrives before the guest listens is lost without a word
STARTS_AT_ONCE = 4  # more only compete for the processors


@dataclass(frozen=True, slots=True)
class Powering:
    """Carries out the steps that define machines and switch them on and off."""

    store: Store
    driver: Driver
    place: Place
    clock: Clock
    cancelled: Callable[[], bool]
    reached: set[Path] = field(default_factory=set[Path])
    starts: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(STARTS_AT_ONCE))

    def perform(
        self, item: Object, step: steps.Define | steps.Start | steps.ShutDown | steps.CutPower | steps.Undefine
    ) -> None:
        """Do one step for a machine."""
        match step:
            case steps.Define():
                if step.hardware.console_log:
                    make_directory(Path(step.hardware.console_log).parent)
                self._see_that_qemu_reaches(step.hardware)
                self.driver.define(step.hardware)
            case steps.Start():
                self._start(step)
            case steps.ShutDown():
                with self._meant_off(step):
                    self._shut_down(item, step)
            case steps.CutPower(cause=None):
                self.driver.destroy(step.uid)
            case steps.CutPower():
                with self._meant_off(step):
                    self.driver.destroy(step.uid)
            case steps.Undefine():
                self.driver.undefine(step.uid)

    def _start(self, step: steps.Start) -> None:
        boot, since = self.place.boot_id, self.clock.now()
        self._intend(step.uid, PowerNote("starting", boot, step.nonce, step.why, step.crashes, since))
        with self.starts:
            self.driver.start(step.uid)
        with self.store.batch():
            self._intend(step.uid, PowerNote("on", boot, step.nonce, step.why, step.crashes, since))
            self.store.note(step.uid, refusals.NOTE, "{}")  # a fresh start has made what was refused

    def _see_that_qemu_reaches(self, hardware: Hardware) -> None:
        """QEMU runs as a user of its own; its own complaint about a closed directory comes late and is terse."""
        for directory in {Path(disk.source).parent for disk in hardware.disks} - self.reached:
            findings = access(directory, self.driver.host().qemu_user)
            if findings:
                raise Rejected(
                    "; ".join(f"{finding.path}: {finding.what}" for finding in findings),
                    remedy="; ".join(dict.fromkeys(finding.remedy for finding in findings)),
                )
            self.reached.add(directory)

    @contextmanager
    def _meant_off(self, step: steps.ShutDown | steps.CutPower) -> Iterator[None]:
        """Note that a machine is on its way off, and then that it is."""
        note = PowerNote("stopping", self.place.boot_id, why=step.why, cause=step.cause)
        self._intend(step.uid, note)
        yield
        self._intend(step.uid, replace(note, intent="off"))

    def _intend(self, uid: str, note: PowerNote) -> None:
        self.store.note(uid, NOTE, note.text())

    def _shut_down(self, item: Object, step: steps.ShutDown) -> None:
        """Signal again and again until the guest is off; when its time is over, or somebody wants it by force, cut the
        power and say so. Raises NotReady instead when something else is asked of the machine meanwhile: what follows
        from that is planned anew.
        """
        asked = requests.active(self.store.notes(step.uid))
        deadline = self.clock.elapsed() + step.grace_s  # not of the clock that is set: it may leap past the deadline
        signal_at = self.clock.elapsed()
        while not self._is_off(step.uid):
            now = self.clock.elapsed()
            if now >= deadline or self.cancelled() or self._forced(step.uid):
                break
            if now >= signal_at and not self._is_overtaken(item, asked):
                self.driver.shutdown(step.uid)
                signal_at = now + SIGNAL_AGAIN_S
            self.clock.sleep(min(0.2, max(0.01, deadline - now)))
        if self._is_off(step.uid):
            return
        if self.cancelled():
            raise NotReady("the shutdown was interrupted; it is signalled again by the next apply")
        if self._is_overtaken(item, asked):
            raise NotReady("something else was asked of the machine while it was shut down; it is looked at anew")
        forced_by = self._forced(step.uid)
        late = f"the guest did not power off within {step.grace_s} s; its power is cut"
        if forced_by:
            late = "the power is cut without waiting for the guest any longer"
        why = forced_by or step.why
        warn(self.store, item, "PowerCut", f"{late} ({why})")
        self.driver.destroy(step.uid)

    def _is_overtaken(self, item: Object, asked: requests.Request | None) -> bool:
        """Whether the manifest has changed since the shutdown began, or who asked for it took it back and nobody takes
        its place. A guest that has heard the signal may go off all the same, so its time is waited for, and what we
        meant stays noted until then: it starts again if that is asked.
        """
        stored, last = self.store.get(item.key), requests.requested(self.store.notes(item.uid))
        edited = stored is not None and (stored.uid, stored.generation) != (item.uid, item.generation)
        over = last if asked is not None and last is not None and last.done else None
        return edited or (over is not None and not over.is_superseded)

    def _forced(self, uid: str) -> str:
        """Who wants the machine off at once; empty when nobody does."""
        request = requests.active(self.store.notes(uid))
        return request.why if request is not None and request.force else ""

    def _is_off(self, uid: str) -> bool:
        domain = self.driver.observe(uid)
        return domain is None or domain.power == "off"


def make_directory(path: Path) -> None:
    """A directory that QEMU's user may pass through and others cannot list."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o711)
