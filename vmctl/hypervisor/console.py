"""The serial console of a machine through libvirt's stream: works for remote connections too."""

from __future__ import annotations

from typing import Any

import libvirt

from vmctl.errors import Busy
from vmctl.hypervisor.failures import translate

_CHUNK_BYTES = 4096


class StreamConsole:
    """An open console: `receive` in one thread, `send` and `close` from any."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name
        self._closed = False

    def receive(self) -> bytes:
        """Block until there are bytes; empty when the machine went off, somebody took the console, or after `close`."""
        try:
            received: bytes = self._stream.recv(_CHUNK_BYTES)
        except libvirt.libvirtError:
            return b""  # libvirt ends a stream that someone else took over, or that was closed here, with an error
        return received

    def send(self, data: bytes) -> None:
        """Type into the console. Raises HypervisorError when it is gone."""
        try:
            while data:
                data = data[self._stream.send(data) :]
        except libvirt.libvirtError as error:
            raise translate(error, "write to the console of", self._name) from error

    def close(self) -> None:
        """Let the console go, so that others can open it; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        try:
            self._stream.abort()
        except libvirt.libvirtError:
            return  # it ended before


def open_console(connection: Any, domain: Any, *, force: bool) -> StreamConsole:
    """Open the console of a running domain. Raises Busy when somebody has it and `force` is not given."""
    name = domain.name()
    try:
        stream = connection.newStream(0)
        domain.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE if force else 0)
    except libvirt.libvirtError as error:
        if "Active console session exists" in (error.get_error_message() or ""):
            raise Busy(
                f"somebody has the console of {name} open",
                remedy="close it there, or take it over with --force",
                operation="open the console of",
                subject=name,
                code=error.get_error_code(),
            ) from error
        raise translate(error, "open the console of", name) from error
    return StreamConsole(stream, name)
