"""What is told while a verb waits: what for, when that is news, and not to who wants it quiet."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import condition
from vmctl.cli import INTERRUPTED, progress
from vmctl.cli.progress import Progress
from vmctl.planning.objects import Object
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import TextIO

    from tests.cli.conftest import World

WEB = "virtualmachine.virtualization.deckhouse.io/web"
MACHINE = """
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata: {name: web}
spec:
  virtualMachineClassName: host
  cpu: {cores: 1, coreFraction: 5%}
  memory: {size: 64Mi}
  blockDeviceRefs: [{kind: VirtualDisk, name: nodisk}]
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE_S", 0.01)


def machine(why: str) -> Object:
    """A machine that waits for that; with no reason one that runs."""
    status = {"phase": "Pending", "conditions": [condition("BlockDevicesReady", "False", message=why)]}
    key = Key("VirtualMachine", "default", "web")
    return Object(key, "uid", 1, {"spec": {}}, status if why else {"phase": "Running"})


def watch(shown: Progress, reasons: Sequence[str]) -> None:
    """Have a machine watched that waits for one after another."""
    ended = threading.Event()
    left = list(reasons)

    def look() -> Iterable[Object]:
        if not left:
            ended.set()
            return []
        return [machine(left.pop(0))]

    with shown.waiting(look):
        assert ended.wait(60)


def test_what_is_waited_for_is_told_when_it_is_news(capsys: pytest.CaptureFixture[str]) -> None:
    watch(Progress(), ["a disk", "a disk", "an image", "", "an image"])
    told = [f"{WEB} pending: {why}" for why in ("a disk", "an image", "an image")]
    assert capsys.readouterr().err.splitlines() == told


def test_what_came_with_the_phase_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress()
    status = {"phase": "Pending", "conditions": [condition("Running", "False", reason="Unknown", message="no class")]}
    shown.seen(machine(""), Object(machine("").key, "uid", 1, {"spec": {}}, status))
    watch(shown, ["no class"])
    assert capsys.readouterr().err.splitlines() == [f"{WEB} Pending: no class"]


def test_nobody_looks_for_who_wants_it_quiet() -> None:
    with Progress(quiet=True).waiting(list):
        assert "waiting" not in [thread.name for thread in threading.enumerate()]


class Impatient:
    """A terminal whose user presses Ctrl-C when a word appears, once."""

    def __init__(self, stream: TextIO, word: str) -> None:
        self.stream, self.word = stream, word

    def write(self, text: str) -> int:
        if self.word and self.word in text:
            self.word = ""
            os.kill(os.getpid(), signal.SIGINT)
        return self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return False


def test_an_apply_that_waits_says_what_for_also_when_it_is_interrupted(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMCTL_LIBVIRT_URI", "test:///default")
    file = tmp_path / "web.yaml"
    file.write_text(MACHINE)
    assert world.run("apply", "-q", "-f", str(file)).code == 0
    lacks = "VirtualDisk nodisk does not exist"
    monkeypatch.setattr(sys, "stderr", Impatient(sys.stderr, lacks))
    ran = world.run("apply", "--wait", "-f", str(file))
    assert (ran.code, ran.lines) == (INTERRUPTED, [f"{WEB} unchanged"])
    waited, interrupted, stopping, _ = ran.err.splitlines()
    assert waited == interrupted
    assert interrupted.startswith(f"{WEB} pending: ")
    assert lacks in interrupted
    assert stopping.startswith("stopping; ")
