"""Talking through a console, on real pipes and a real pseudo-terminal; and the transcript."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import add_machine
from vmctl.cli.terminal import talk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import World


class Line:
    """A console whose other end the test holds: a serial line as a pair of sockets."""

    def __init__(self) -> None:
        self._ours, self.guest = socket.socketpair()
        self.closed = False

    def receive(self) -> bytes:
        try:
            return self._ours.recv(4096)
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        self._ours.sendall(data)

    def close(self) -> None:
        self.closed = True
        self._ours.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.guest.close()
    made._ours.close()


@pytest.fixture
def screen() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class Talk(threading.Thread):
    """A talk in the background."""

    def __init__(self, line: Line, keyboard: int, screen: int) -> None:
        super().__init__(daemon=True)
        self._arguments = (line, keyboard, screen)
        self.ending = ""
        self.start()

    def run(self) -> None:
        self.ending = talk(*self._arguments)


def test_bytes_go_both_ways_until_the_escape(line: Line, screen: tuple[int, int]) -> None:
    master, keyboard = pty.openpty()
    before = termios.tcgetattr(keyboard)
    talking = Talk(line, keyboard, screen[1])
    line.guest.sendall(b"login: \x1b[1m")
    assert os.read(screen[0], 100) == b"login: \x1b[1m"
    while termios.tcgetattr(keyboard)[3] & termios.ECHO:
        pass  # until the terminal is raw
    os.write(master, b"cloud\r\x03\x1drest")
    assert line.guest.recv(100) == b"cloud\r\x03"  # Ctrl+C is the guest's, Ctrl+] is ours
    talking.join(timeout=30)
    assert talking.ending == "left"
    assert line.closed
    assert termios.tcgetattr(keyboard) == before
    os.close(master)
    os.close(keyboard)


def test_the_end_of_the_console_ends_the_talk(line: Line, screen: tuple[int, int]) -> None:
    read, write = os.pipe()
    talking = Talk(line, read, screen[1])
    line.guest.sendall(b"powering off\n")
    line.guest.shutdown(socket.SHUT_WR)
    talking.join(timeout=30)
    assert talking.ending == "closed"
    assert os.read(screen[0], 100) == b"powering off\n"
    os.close(read)
    os.close(write)


def test_what_is_piped_in_is_typed_and_its_end_leaves(line: Line, screen: tuple[int, int]) -> None:
    read, write = os.pipe()
    os.write(write, b"reboot\n")
    os.close(write)
    talking = Talk(line, read, screen[1])
    assert line.guest.recv(100) == b"reboot\n"
    talking.join(timeout=30)
    assert talking.ending == "left"
    os.close(read)


@pytest.fixture
def recorded(world: World) -> Path:
    """A machine whose transcript virtlogd has already put aside twice."""
    machine = add_machine(world, "web")
    directory = world.directory / "consoles"
    directory.mkdir()
    (directory / f"{machine.uid}.log.1").write_bytes(b"first\r\n")
    (directory / f"{machine.uid}.log.0").write_bytes(b"second\r\n")
    (directory / f"{machine.uid}.log").write_bytes(b"\x1b[1mthird\x1b[0m\r\n")
    return directory


def test_the_transcript_is_printed_in_order_as_it_was_said(world: World, recorded: Path) -> None:
    assert recorded.is_dir()
    world.close()
    ran = subprocess.run(
        [sys.executable, "-m", "vmctl", "console", "web", "--log", "--state-dir", str(world.directory)],
        capture_output=True, check=True,
    )  # fmt: skip
    assert ran.stdout == b"first\r\nsecond\r\n\x1b[1mthird\x1b[0m\r\n"


def test_a_machine_that_never_ran_has_no_transcript(world: World) -> None:
    add_machine(world, "web")
    ran = world.run("console", "vm/web", "--log")
    assert (ran.code, ran.out) == (0, "")
    assert "has not run yet" in ran.err


def test_only_machines_have_a_console(world: World) -> None:
    assert world.run("console", "gone").code == 4
    assert world.run("console", "vd/root").code == 2
