"""libvirt's events as hints: which domain something happened to. Planning reads the state itself.

What happened is kept in two cases only, because no state tells it later: a guest's own restart, and QEMU ended by a
signal, which libvirt's state calls "shutdown" as it does a guest's power-off.

Callbacks run in libvirt's event loop and only pass the uid on: a call into libvirt from there would hold up all other
events.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import libvirt
import libvirt_qemu

from vmctl.planning.observed import TERMINATED

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.planning.observed import Domain

_log = logging.getLogger(__name__)

# Of a domain, what a pass may have to act on. Not among them, because they come by themselves all the time: balloon,
# RTC.
_EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
    libvirt.VIR_DOMAIN_EVENT_ID_CONTROL_ERROR,
    libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
)
ANYTHING = ""  # instead of a uid: events may have been missed
# QEMU reports every reboot twice, 50 ms apart (measured: QEMU 7.2); no guest comes through its firmware this fast.
_SAME_REBOOT_S = 1.0
# A reboot that is told of later than this may be over: its guest is out of its firmware by then.
_LATE_S = 0.5


class Events:
    """One dispatcher for all events of a connection: libvirt takes only one callback for each kind."""

    def __init__(
        self,
        changed: Callable[[str], None],
        rebooted: Callable[[str], None] | None = None,
        *,
        elapsed: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._changed = changed
        self._rebooted = rebooted
        self._elapsed, self._now = elapsed, now
        self._late: set[str] = set()  # guests whose last reset was told late, by uid
        self._reboots: dict[str, float] = {}  # of the last second, by uid
        self._ended: set[str] = set()  # machines whose QEMU was last told to end by its host, by uid
        self._registered: list[int] = []
        self._resets: int | None = None

    def register(self, connection: Any) -> None:
        """Listen on a new connection, and report that the old one may have missed something."""
        self._registered, self._resets = [], None
        self._ended.clear()
        special = {
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: self.switched,
            libvirt.VIR_DOMAIN_EVENT_ID_REBOOT: self.restarted,
        }
        for event in (*special, *_EVENTS):
            try:
                happened = special.get(event, self._happened)
                self._registered.append(connection.domainEventRegisterAny(None, event, happened, None))
            except libvirt.libvirtError as error:  # an older libvirt, or another driver, knows fewer: hints only
                _log.debug("no events of kind %s: %s", event, error)
        self._watch_resets(connection)
        try:
            connection.registerCloseCallback(self._closed, None)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                raise
        self._changed(ANYTHING)

    def unregister(self, connection: Any) -> None:
        """Stop listening, so that the connection can be closed: every registration holds it open."""
        try:
            for identity in self._registered:
                connection.domainEventDeregisterAny(identity)
            if self._resets is not None:
                libvirt_qemu.qemuMonitorEventDeregister(connection, self._resets)
            connection.unregisterCloseCallback()
        except libvirt.libvirtError as error:  # a dead connection has forgotten them already
            _log.debug("nothing to stop listening to: %s", error)
        self._registered, self._resets = [], None

    def _watch_resets(self, connection: Any) -> None:
        """Have QEMU say when it resets a guest, which libvirt's own event, coming right after, does not tell.

        Whoever stood still for a while, we or libvirtd, hears of it late. Clocks of two hosts are not compared.
        """
        if urlsplit(connection.getURI()).hostname:
            return
        try:
            self._resets = libvirt_qemu.qemuMonitorEventRegister(connection, None, "RESET", self.reset, None, 0)
        except libvirt.libvirtError as error:  # only QEMU has a monitor
            _log.debug("QEMU's own time of a reset is not known: %s", error)

    def reset(
        self, _connection: Any, domain: Any, _event: str, seconds: int, micros: int, _details: str, _opaque: Any
    ) -> None:
        """Note whether a guest's reset is told in time; seconds and microseconds are those of QEMU's clock."""
        uid, late_s = domain.UUIDString(), self._now() - (seconds + micros / 1e6)
        if late_s >= _LATE_S:
            _log.info("the reset of %s is told %.1f s late", uid, late_s)
            self._late.add(uid)
        else:
            self._late.discard(uid)

    def restarted(self, _connection: Any, domain: Any, *_details: Any) -> None:
        """Pass a guest's own restart on, once, and as any other event after that."""
        uid, now = domain.UUIDString(), self._elapsed()
        known = uid in self._reboots and now - self._reboots[uid] < _SAME_REBOOT_S
        self._reboots = {other: at for other, at in self._reboots.items() if now - at < _SAME_REBOOT_S} | {uid: now}
        if self._rebooted is not None and not known and uid not in self._late:
            self._rebooted(uid)
        self._changed(uid)

    def switched(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        """Keep whose doing the end of a machine is, until it starts again; then as any other event."""
        uid = domain.UUIDString()
        match event:
            case libvirt.VIR_DOMAIN_EVENT_SHUTDOWN if detail == libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST:
                self._ended.add(uid)
            case (
                libvirt.VIR_DOMAIN_EVENT_SHUTDOWN
                | libvirt.VIR_DOMAIN_EVENT_STARTED
                | libvirt.VIR_DOMAIN_EVENT_UNDEFINED
            ):
                self._ended.discard(uid)
        self._changed(uid)

    def explained(self, domain: Domain) -> Domain:
        """A domain, with the reason of its being off that only its event told.

        `virsh destroy` ends QEMU by a signal too, and libvirt has a reason of its own for that, which stays.
        """
        ended = domain.uid in self._ended and (domain.power, domain.power_reason) == ("off", "shutdown")
        return replace(domain, power_reason=TERMINATED) if ended else domain

    def _happened(self, _connection: Any, domain: Any, *_details: Any) -> None:
        self._changed(domain.UUIDString())

    def _closed(self, _connection: Any, reason: int, _opaque: Any) -> None:
        if reason != libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT:
            self._changed(ANYTHING)
