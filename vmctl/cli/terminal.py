"""Joins a terminal and a serial console until one of them ends: raw bytes both ways, Ctrl+] leaves.

Works without a terminal too: what is piped in is typed, and its end leaves.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.hypervisor.driver import Console

ESCAPE = b"\x1d"  # Ctrl+]
_CHUNK_BYTES = 4096

Ending = Literal["left", "closed"]


def talk(console: Console, keyboard: int | None = None, screen: int | None = None) -> Ending:
    """Pass bytes both ways; `left` when the user went, `closed` when the console ended; then close it."""
    keyboard = sys.stdin.fileno() if keyboard is None else keyboard
    screen = sys.stdout.fileno() if screen is None else screen
    ended_read, ended_write = os.pipe()
    listener = threading.Thread(target=_show, args=(console, screen, ended_write), name="console", daemon=True)
    try:
        with _raw(keyboard):
            listener.start()
            return _type(console, keyboard, ended_read)
    finally:
        console.close()
        listener.join(timeout=2)
        for descriptor in (ended_read, ended_write):
            os.close(descriptor)


def _show(console: Console, screen: int, ended: int) -> None:
    """Everything that comes from the machine, until there is no more."""
    try:
        while received := console.receive():
            _write(screen, received)
    except OSError:
        return  # the reader of our output went away
    finally:
        os.write(ended, b"\n")


def _write(screen: int, data: bytes) -> None:
    while data:
        data = data[os.write(screen, data) :]


def _type(console: Console, keyboard: int, ended: int) -> Ending:
    while True:
        ready, _, _ = select.select([keyboard, ended], [], [])
        if ended in ready:
            return "closed"
        typed = os.read(keyboard, _CHUNK_BYTES)
        before, escape, _ = typed.partition(ESCAPE)
        if before:
            console.send(before)
        if escape or not typed:
            return "left"


@contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    """Hand every key on as it is; a terminal is given back as it was."""
    if not os.isatty(keyboard):
        yield
        return
    before = termios.tcgetattr(keyboard)
    try:
        tty.setraw(keyboard)
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
