"""Processes beside each other in one state directory, over libvirt's test driver: a daemon, and verbs that wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from tests.engine import manifests as texts
from tests.waiting import PATIENCE_S, until
from vmctl.engine.clock import SystemClock
from vmctl.resources.keys import Key
from vmctl.state.lock import holder
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.http_images import ImageServer

MET = "virtualimage.virtualization.deckhouse.io/os condition met\n"
IMAGE = Key("VirtualImage", "default", "os")


@dataclass(frozen=True, slots=True)
class Place:
    """A directory with an image whose server refuses it until it is told otherwise."""

    directory: Path
    server: ImageServer

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def host(self) -> Path:
        """The file that says what libvirt's test driver is; without it there is no host."""
        return self.directory / "host.xml"

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A process of the program; it is killed at the end of the block if it is still there."""
        process = subprocess.Popen(
            [sys.executable, "-m", "vmctl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "VMCTL_LIBVIRT_URI": f"test://{self.host}", "VMCTL_STATE_DIR": str(self.state)},
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def waiting(self) -> AbstractContextManager[subprocess.Popen[str]]:
        return self.running("wait", "vi/os", "--for=condition=Ready", "--timeout=10m")

    def applied(self) -> None:
        """Declare the image; it fails."""
        with self.running("apply", "-f", str(self.directory / "machines")) as process:
            assert process.wait(PATIENCE_S) == 3

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[str]]:
        """A daemon that is at work."""
        with self.running("run", "-f", str(self.directory / "machines")) as process:
            until(lambda: process.poll() is not None or self.at_work(process.pid), "a daemon is at work")
            assert process.poll() is None
            yield process

    def at_work(self, pid: int) -> bool:
        found = holder(self.state)
        return found is not None and found.pid == pid

    def phase(self) -> str:
        with Store.open(self.state, clock=SystemClock().now, readonly=True) as store:
            found = store.get(IMAGE)
        return str(found.status.get("phase")) if found is not None else ""

    def asked(self) -> int:
        """How often the server was asked."""
        return len(self.server.behaviour.requests)


@pytest.fixture
def place(tmp_path: Path, image_server: ImageServer) -> Place:
    (tmp_path / "machines").mkdir()
    (tmp_path / "machines" / "os.yaml").write_text(texts.image("os", image_server.url("os.qcow2")))
    file = image_server.directory / "os.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(file), "8M"], check=True)
    image_server.behaviour.status = HTTPStatus.SERVICE_UNAVAILABLE
    made = Place(tmp_path, image_server)
    made.host.write_text("<node/>")
    return made


def test_a_daemon_begins_beside_a_wait_and_is_killed(place: Place) -> None:
    place.applied()
    with place.waiting() as waiting:
        until(lambda: place.at_work(waiting.pid), "the wait tries")
        with place.daemon() as daemon:
            assert waiting.poll() is None
            daemon.kill()
            daemon.wait()
        until(lambda: place.at_work(waiting.pid), "the wait goes on by itself")
        place.server.behaviour.status = None
        assert waiting.communicate(timeout=PATIENCE_S) == (MET, "")
        assert waiting.returncode == 0
    assert place.phase() == "Ready"
    assert holder(place.state) is None


def test_two_waits_beside_each_other_end_both(place: Place) -> None:
    place.applied()
    with place.waiting() as first, place.waiting() as second:
        until(lambda: place.at_work(first.pid), "the first has a turn")
        until(lambda: place.at_work(second.pid), "the second has a turn")
        second.send_signal(signal.SIGINT)
        assert second.wait(PATIENCE_S) == 130
        with place.waiting() as third:
            place.server.behaviour.status = None
            assert (first.wait(PATIENCE_S), third.wait(PATIENCE_S)) == (0, 0)


def test_a_wait_that_finds_no_host_goes_on_when_there_is_one(place: Place) -> None:
    place.applied()
    place.server.behaviour.status = None
    away = place.host.rename(place.directory / "away.xml")
    with place.waiting() as waiting:
        assert waiting.stderr is not None
        told = next(line for line in waiting.stderr if line.startswith("warning: "))  # the driver complains first
        assert "what is waited for may not come by itself" in told
        away.rename(place.host)
        out, _ = waiting.communicate(timeout=PATIENCE_S)
        assert (waiting.returncode, out) == (0, MET)


def test_a_hangup_has_a_daemon_try_again_what_had_failed_for_good(place: Place) -> None:
    place.server.behaviour.status = HTTPStatus.NOT_FOUND
    with place.daemon() as daemon:
        until(lambda: place.phase() == "Failed", "the image has failed")
        asked = place.asked()
        daemon.send_signal(signal.SIGHUP)
        until(lambda: place.asked() > asked, "it is tried again")
        place.server.behaviour.status = None
        until(lambda: place.phase() == "Failed", "the second try has failed")
        daemon.send_signal(signal.SIGHUP)
        until(lambda: place.phase() == "Ready", "the image is there")
        daemon.send_signal(signal.SIGTERM)
        _, err = daemon.communicate(timeout=PATIENCE_S)
        assert daemon.returncode == 0
        assert err.count("reading everything anew") == 2
