"""libvirt's events as hints: which domain something happened to, never what. Planning reads the state itself.

Callbacks run in libvirt's event loop and only pass the uid on: a call into libvirt from there would hold up all other
events.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import libvirt

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

# Of a domain, what a pass may have to act on. Not among them, because they come by themselves all the time: balloon,
# RTC.
_EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_REBOOT,
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


class Events:
    """One dispatcher for all events of a connection: libvirt takes only one callback for each kind."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._registered: list[int] = []

    def register(self, connection: Any) -> None:
        """Listen on a new connection, and report that the old one may have missed something."""
        self._registered = []
        for event in _EVENTS:
            try:
                self._registered.append(connection.domainEventRegisterAny(None, event, self._happened, None))
            except libvirt.libvirtError as error:  # an older libvirt, or another driver, knows fewer: hints only
                _log.debug("no events of kind %s: %s", event, error)
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
            connection.unregisterCloseCallback()
        except libvirt.libvirtError as error:  # a dead connection has forgotten them already
            _log.debug("nothing to stop listening to: %s", error)
        self._registered = []

    def _happened(self, _connection: Any, domain: Any, *_details: Any) -> None:
        self._changed(domain.UUIDString())

    def _closed(self, _connection: Any, reason: int, _opaque: Any) -> None:
        if reason != libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT:
            self._changed(ANYTHING)
