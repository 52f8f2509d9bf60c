"""What systemd is told: ready, alive, reloading, stopping, and a line of status (sd_notify(3)).

The protocol is a datagram of a few words, so it needs no library. Nothing is told where nobody asks.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.engine.clock import Clock

MICROSECONDS = 1_000_000


class Supervisor:
    """The other end of NOTIFY_SOCKET, if there is one."""

    def __init__(self, clock: Clock, environment: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._period_s = _period_s(environment)
        self._due = clock.elapsed()
        self._status = ""
        self.is_ready = False

    def ready(self, status: str) -> None:
        """Say that work has begun, or begun again after a reload."""
        self._status, self.is_ready = status, True
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that everything is read anew; `ready` ends it."""
        self.is_ready = False
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.elapsed() * MICROSECONDS)}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1\nSTATUS=stopping; machines keep running")

    def status(self, text: str) -> None:
        """Say in a line what is going on; nothing when it was said last."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Say that the loop goes round, twice in each of the periods that the watchdog allows."""
        if self._period_s and self._clock.elapsed() >= self._due:
            self._due = self._clock.elapsed() + self._period_s / 2
            self._send("WATCHDOG=1")

    @property
    def most_s(self) -> float:
        """How long the loop may sleep at a time."""
        return self._period_s / 4 if self._period_s else float("inf")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as caller:
            caller.sendto(text.encode(), address)


def _period_s(environment: Mapping[str, str]) -> float:
    """The watchdog's period in seconds; 0 where there is none, or where it watches another process."""
    microseconds, watched = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (watched and watched != str(os.getpid())):
        return 0.0
    return int(microseconds) / MICROSECONDS
