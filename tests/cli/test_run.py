"""`vmctl run` before it runs: what it refuses, the unit it prints; and verbs that leave work to it."""

from __future__ import annotations

import configparser
import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from vmctl.cli import working
from vmctl.planning.place import Place
from vmctl.state.lock import EngineLock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import World


def unit(text: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, strict=True)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(text)
    return parsed


def test_it_wants_directories(world: World, tmp_path: Path) -> None:
    assert world.run("run").code == 2
    assert world.run("run", "-f", "-").code == 2
    file = tmp_path / "one.yaml"
    file.write_text("")
    ran = world.run("run", "-f", str(file))
    assert ran.code == 2
    assert "is not a directory" in ran.err
    assert world.run("run", "-f", str(tmp_path), "--resync=0s").code == 2
    assert world.run("run", "-f", str(tmp_path), "--prune", "--prune-max=some").code == 2


def test_a_second_daemon_is_refused_kindly(world: World, tmp_path: Path) -> None:
    world.directory.mkdir()
    with EngineLock(world.directory) as lock:
        lock.acquire("vmctl run -f /srv/machines")
        ran = world.run("run", "-f", str(tmp_path))
    assert ran.code == 5
    assert f"`vmctl run -f /srv/machines` (process {os.getpid()}) is at work" in ran.err
    assert "-f may be repeated" in ran.err


@pytest.mark.parametrize(
    ("command", "told"),
    [("vmctl run -f m", "the daemon goes on with what was begun"), ("vmctl apply -f m", "goes on with the next apply")],
)
def test_an_interrupted_verb_says_who_goes_on(
    world: World, capsys: pytest.CaptureFixture[str], command: str, told: str
) -> None:
    world.directory.mkdir()
    with EngineLock(world.directory) as lock:
        lock.acquire(command)
        with pytest.raises(KeyboardInterrupt):
            working.converge(Interrupted(Place("this", str(world.directory))), [])  # type: ignore[arg-type]
    assert told in capsys.readouterr().err


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A session in which the user presses Ctrl-C."""

    place: Place

    def converge(self, *_keys: object, **_how: object) -> None:
        raise KeyboardInterrupt


def test_the_unit(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b").mkdir()
    (tmp_path / "100%").mkdir()
    options = ("-R", "--prune", "--prune-max=all", "--listen", "127.0.0.1:9177", "--log-format=json")
    ran = world.run("run", "-f", "a b", "-f", "100%", *options, "--print-unit")
    assert (ran.code, ran.err) == (0, "")
    found = unit(ran.out)
    command = found["Service"]["ExecStart"]
    assert f'run -f "{tmp_path}/a b" -f "{tmp_path}/100%%"' in command
    for option in ("--recursive", "--prune", "--prune-max=all", "--listen=127.0.0.1:9177", "--log-format=json"):
        assert f" {option} " in command
    assert "--print-unit" not in command
    assert f"--state-dir {world.directory}" in command
    assert found["Service"]["Type"] == "notify"
    assert found["Service"]["KillMode"] == "process", "guests of a session's libvirt are in our own control group"
    ends_before = {"libvirtd.service", "libvirt-guests.service", "virt-guest-shutdown.target"}
    assert ends_before <= set(found["Unit"]["After"].split())
    assert "virt-guest-shutdown.target" in found["Unit"]["Wants"].split(), "or it orders nothing without libvirt-guests"
    assert int(found["Service"]["WatchdogSec"]) > 0
    assert not world.directory.exists(), "printing changes nothing"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(world: World, tmp_path: Path) -> None:
    directory = tmp_path / 'quoted "name"'
    directory.mkdir()
    file = tmp_path / "vmctl.service"
    file.write_text(world.run("run", "-f", str(directory), "--print-unit").out)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(file)], check=False, capture_output=True, text=True
    )
    complaints = [line for line in checked.stderr.splitlines() if "vmctl.service" in line]
    assert complaints == []


def test_work_is_left_to_a_daemon_only(world: World, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("")
    nobody = world.run("apply", "-f", str(tmp_path), "--no-wait")
    assert nobody.code == 5
    assert "vmctl run -f DIR" in nobody.err
    world.directory.mkdir()
    with EngineLock(world.directory) as lock:
        lock.acquire("vmctl apply -f x")
        assert world.run("apply", "-f", str(tmp_path), "--no-wait").code == 5
    assert world.run("apply", "-f", str(tmp_path), "--no-wait", "--wait").code == 2


def test_once_says_a_reason_once(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMCTL_LIBVIRT_URI", "test:///default")
    logging.getLogger("vmctl").propagate = False  # nobody listens to the log, unlike in tests
    ran = world.run("run", "--once", "-f", str(tmp_path / "none"))
    assert ran.code == 3
    assert ran.err.count("there is no such file or directory") == 1


def test_once_says_what_it_does_not_carry_out(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMCTL_LIBVIRT_URI", "test:///default")
    logging.getLogger("vmctl").propagate = False
    home = tmp_path / "home"
    home.mkdir()
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"
    for name in ("east", "north", "south", "west"):
        (home / f"{name}.yaml").write_text(text.format(name=name))
    operation = "kind: VirtualMachineOperation\nmetadata: {name: off}\nspec: {type: Stop, virtualMachineName: web}\n"
    (home / "off.yaml").write_text(f"apiVersion: virtualization.deckhouse.io/v1alpha2\n{operation}")
    first = world.run("run", "--once", "-f", str(home))
    assert "/off not executed: this store has no history of" in first.out
    for name in ("east", "north", "south"):
        (home / f"{name}.yaml").unlink()
    ran = world.run("run", "--once", "--prune", "-f", str(home))
    assert ran.code == 3
    assert ran.err.count("nothing is pruned: 3 of the 4 objects") == 1
    assert "--prune-max 3" in ran.err
    assert world.run("get", "ns", "east").code == 0
    assert world.run("run", "--once", "--prune", "--prune-max=3", "-f", str(home)).code == 0
    assert world.run("get", "ns", "east").code == 4
