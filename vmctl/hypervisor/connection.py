"""One connection to libvirt, shared by all threads, made when it is first needed and made again when it died.

A restarted libvirtd leaves every old connection dead for good: the next call gets a new one, and whoever listens for
events is told to register again. libvirt's event loop runs in one thread of the process; it serves keepalive, close
notices and events.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import libvirt

from vmctl.errors import Unreachable
from vmctl.hypervisor.failures import translate

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)
_loop_lock = threading.Lock()
_loop: threading.Thread | None = None

# A peer that says nothing for interval * count seconds is gone; libvirt's own default of 30 s holds a pass too long.
_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT = 5, 3


def _run_loop() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:  # one bad descriptor must not end the loop for all connections
            _log.exception("libvirt's event loop stumbled")


def _start_loop() -> None:
    """Start the event loop once per process. libvirt wants it registered before the connections it shall serve."""
    global _loop
    with _loop_lock:
        if _loop is None:
            libvirt.virEventRegisterDefaultImpl()
            _loop = threading.Thread(target=_run_loop, name="libvirt-events", daemon=True)
            _loop.start()


def _silence(_context: object, _error: object) -> None:
    """libvirt prints every error to stderr unless told otherwise; ours are raised and reported once."""


class Connection:
    """A URI and the connection to it; with `events`, one that the event loop serves."""

    def __init__(self, uri: str, *, events: bool = True) -> None:
        self.uri = uri
        self._events = events
        self._opened: Callable[[Any], None] | None = None
        self._closing: Callable[[Any], None] | None = None
        self._lock = threading.Lock()
        self._current: Any = None

    def get(self) -> Any:
        """Return a living connection. Raises Unreachable."""
        with self._lock:
            if self._current is not None and not self._current.isAlive():
                self._give_back()
            if self._current is None:
                self._current = self._open()
            return self._current

    def on_open(self, opened: Callable[[Any], None], closing: Callable[[Any], None]) -> None:
        """Call `opened` with the present connection and every later one before it is used, `closing` before it goes.

        Raises Unreachable.
        """
        self.get()
        with self._lock:
            self._opened, self._closing = opened, closing
            opened(self._current)

    def close(self) -> None:
        """Give the connection back and call nobody any more; the next `get` opens another."""
        with self._lock:
            self._give_back()
            self._opened = self._closing = None

    def _open(self) -> Any:
        libvirt.registerErrorHandler(_silence, None)
        if self._events:
            _start_loop()
        try:
            connection = libvirt.open(self.uri)
            if self._events:
                _keep_alive(connection)
            if self._opened is not None:
                self._opened(connection)
        except libvirt.libvirtError as error:
            failure = translate(error, "connect to", self.uri)
            raise Unreachable(
                failure.message,
                remedy="see that libvirt's daemon runs and that you may use it (`vmctl doctor`)",
                operation="connect",
                subject=self.uri,
                code=failure.code,
            ) from error
        return connection

    def _give_back(self) -> None:
        connection, self._current = self._current, None
        if connection is None:
            return
        if self._closing is not None:
            self._closing(connection)
        try:
            connection.close()
        except libvirt.libvirtError:
            _log.debug("closing a dead connection to %s", self.uri, exc_info=True)


def _keep_alive(connection: Any) -> None:
    try:
        connection.setKeepAlive(_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:  # drivers inside our own process have no peer to lose
            raise
