"""A bell at the engine's door: whoever has written the store rings, and the engine looks at once instead of at its next
timer.

A ring says nothing, and a lost one costs only time: the store holds the truth.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from vmctl.state.database import denied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

FILE = "engine.bell"


def ring(directory: Path) -> None:
    """Wake the engine of a state directory; nothing when none listens, or when it has rings enough waiting."""
    with suppress(OSError), _address(directory) as address, _datagrams() as caller:
        caller.sendto(b"\n", address)


class Bell:
    """The listening end. Only the holder of the engine's lock may have it: it replaces a dead engine's bell."""

    def __init__(self, directory: Path) -> None:
        """Put up the bell. Raises StateError when the directory does not allow it."""
        self._path = directory / FILE
        self._socket = _datagrams()
        try:
            self._path.unlink(missing_ok=True)
            with _address(directory) as address:
                self._socket.bind(address)
            self._path.chmod(0o600)
        except OSError as error:
            self._socket.close()
            raise denied(error, directory) from error

    def fileno(self) -> int:
        """For those who wait for several things at once."""
        return self._socket.fileno()

    def wait(self, timeout: float | None) -> bool:
        """Sleep until somebody rings or `timeout` seconds have passed (None: for ever); True when it rang, however
        often.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(None if timeout is None else max(0.0, timeout * 1000)):
            return False
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(16)
        return True

    def close(self) -> None:
        """Take the bell down."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _datagrams() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    """The socket's address through a descriptor of its directory: a path of its own may have 107 bytes at most."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{FILE}"
    finally:
        os.close(descriptor)
