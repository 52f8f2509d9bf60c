"""What systemd hears, over a real datagram socket."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from tests.engine.daemons import Daemon, LeapingClock
from tests.engine.lab import FrozenClock
from vmctl.engine.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.lab import Lab


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(10)
        yield made


def heard(systemd: socket.socket) -> str:
    return systemd.recv(4096).decode()


def nothing(systemd: socket.socket) -> bool:
    systemd.setblocking(False)
    try:
        systemd.recv(4096)
    except BlockingIOError:
        return True
    finally:
        systemd.settimeout(10)
    return False


def test_every_word(systemd: socket.socket) -> None:
    clock = FrozenClock(passed=12.5)
    supervisor = Supervisor(clock, {"NOTIFY_SOCKET": systemd.getsockname()})
    supervisor.ready("3 objects")
    assert heard(systemd) == "READY=1\nSTATUS=3 objects"
    supervisor.status("3 objects")
    assert nothing(systemd)
    supervisor.status("4 objects")
    assert heard(systemd) == "STATUS=4 objects"
    supervisor.reloading()
    assert heard(systemd) == "RELOADING=1\nMONOTONIC_USEC=12500000"
    supervisor.alive()
    assert nothing(systemd), "no watchdog was asked for"
    supervisor.stopping()
    assert heard(systemd).startswith("STOPPING=1\n")


def test_the_watchdog_hears_twice_in_a_period(systemd: socket.socket) -> None:
    clock = FrozenClock()
    asked = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}
    supervisor = Supervisor(clock, asked)
    for _ in range(8):
        supervisor.alive()
        clock.sleep(supervisor.most_s)
    told = 0
    while not nothing(systemd):
        told += 1
    assert told == 4, "every 4 s in 16 s"


@pytest.mark.parametrize("watched", [{"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}, {}])
def test_another_process_is_watched_or_none(systemd: socket.socket, watched: dict[str, str]) -> None:
    supervisor = Supervisor(FrozenClock(), {"NOTIFY_SOCKET": systemd.getsockname(), **watched})
    supervisor.alive()
    assert nothing(systemd)


def test_nobody_listens(tmp_path: Path) -> None:
    for address in ("", str(tmp_path / "nobody"), "@nobody-listens-there"):
        Supervisor(FrozenClock(), {"NOTIFY_SOCKET": address}).ready("")


def test_a_daemon_tells_its_life(lab: Lab, systemd: socket.socket) -> None:
    clock = LeapingClock()
    asked = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "2000000"}
    with Daemon(lab, clock=clock, supervisor=Supervisor(clock, asked)) as daemon:
        said = [heard(systemd)]
        while not said[-1].startswith("READY=1"):
            said.append(heard(systemd))
        daemon.reload()
        while not said[-1].startswith("RELOADING=1"):
            said.append(heard(systemd))
        while not said[-1].startswith("READY=1"):
            said.append(heard(systemd))
        daemon.stop()
        while not said[-1].startswith("STOPPING=1"):
            said.append(heard(systemd))
    assert "WATCHDOG=1" in said
