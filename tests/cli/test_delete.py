"""`delete NAME` of what a file declares: with a daemon that watches it, and without."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vmctl.engine import freshness, withdrawing
from vmctl.manifests.sources import source_of
from vmctl.resources.keys import Key
from vmctl.state.lock import EngineLock
from vmctl.state.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import World

EAST = "# the east\napiVersion: v1\nkind: Namespace\nmetadata: {name: east}\n"
WEST = "# the west\napiVersion: v1\nkind: Namespace\nmetadata: {name: west}\n"


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that has been applied."""
    monkeypatch.setenv("VMCTL_LIBVIRT_URI", "test:///default")
    path = tmp_path / "home"
    path.mkdir()
    (path / "both.yaml").write_text(f"{WEST}---\n{EAST}")
    assert world.run("apply", "-q", "-f", str(path)).code == 0
    return path


@pytest.fixture
def daemon(world: World, home: Path) -> EngineLock:
    """A daemon, as others see it, that watches the directory; killed when it lets go."""
    with Store.open(world.directory, clock=lambda: 0.0) as store:
        store.note(freshness.ENGINE, freshness.WATCHED, json.dumps([source_of(str(home)).identity]))
    lock = EngineLock(world.directory)
    lock.acquire(f"vmctl run -f {home}")
    return lock


def names(world: World) -> list[str]:
    return world.run("get", "ns", "-o", "name").out.split()


def test_without_a_daemon_it_is_deleted_and_said_to_come_back(world: World, home: Path) -> None:
    done = world.run("delete", "ns", "east")
    assert (done.code, done.out) == (0, "namespace/east deleted\n")
    assert f"{home}/both.yaml:7: the next apply of {home} brings it back" in done.err
    assert world.run("apply", "-f", str(home)).lines == ["namespace/west unchanged", "namespace/east created"]


def test_its_end_is_the_last_event(world: World, home: Path) -> None:
    world.run("delete", "ns", "east")
    assert world.run("events", "ns/east").lines[-1].endswith("asked for with vmctl delete")
    assert " Deleted " in world.run("events", "ns/east").lines[-1]


def test_a_daemon_that_watches_the_file_has_it_refused_with_the_place(
    world: World, home: Path, daemon: EngineLock
) -> None:
    refused = world.run("delete", "ns", "east")
    assert (refused.code, refused.out) == (5, "")
    assert f"Namespace east: {home}/both.yaml:7" in refused.err
    assert "--from-file" in refused.err
    assert names(world) == ["namespace/east", "namespace/west"]
    daemon.release()  # a daemon that is gone refuses nothing, though its note is still there
    assert world.run("delete", "ns", "east").code == 0


def test_a_daemon_does_not_keep_what_left_the_file_or_is_of_another_directory(
    world: World, home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "core.yaml").write_text(EAST.replace("east", "core"))
    world.run("apply", "-q", "-f", str(other))
    (home / "both.yaml").write_text(WEST)
    with Store.open(world.directory, clock=lambda: 0.0) as store, EngineLock(world.directory) as lock:
        store.note(freshness.ENGINE, freshness.WATCHED, json.dumps([source_of(str(home)).identity]))
        lock.acquire(f"vmctl run -f {home}")
        found = withdrawing.declared(store, [Key("Namespace", "", name) for name in ("east", "core", "absent")])
        assert [origin.stored.key.name for origin in found] == ["core"]
        withdrawing.refuse_watched(store, world.directory, found)
    done = world.run("delete", "ns", "east", "core")
    assert (done.code, done.lines) == (0, ["namespace/east deleted", "namespace/core deleted"])
    assert "Namespace east" not in done.err
    assert f"{other}/core.yaml:2" in done.err


def test_from_file_removes_the_document_and_leaves_the_rest(world: World, home: Path) -> None:
    done = world.run("delete", "ns", "east", "--from-file")
    assert (done.code, done.out) == (0, "namespace/east deleted\n")
    assert done.err == f"Namespace east: removed from {home}/both.yaml:7\n"
    assert (home / "both.yaml").read_text() == WEST
    assert world.run("apply", "-f", str(home)).lines == ["namespace/west unchanged"]
    assert world.run("delete", "ns/west", "--from-file").code == 0
    assert not (home / "both.yaml").exists()


@pytest.mark.parametrize("words", [("vi", "--all"), ("ns", "-l", "tier=none"), ("vm,vi", "--all", "--force")])
def test_where_there_is_nothing_to_delete_it_is_said(world: World, home: Path, words: tuple[str, ...]) -> None:
    done = world.run("delete", *words)
    assert (done.code, done.out, done.err) == (0, "", "No resources found\n")


def test_two_documents_of_one_file_go_together(world: World, home: Path) -> None:
    assert world.run("delete", "ns", "east", "west", "--from-file").code == 0
    assert not (home / "both.yaml").exists()
    assert names(world) == []


def test_from_file_changes_nothing_where_one_document_cannot_be_removed(world: World, home: Path) -> None:
    world.run("create", "-f", str(_piped(home)))
    (home.parent / "alone.yaml").unlink()
    refused = world.run("delete", "ns", "east", "alone", "--from-file")
    assert (refused.code, refused.out) == (5, "")
    assert "no file declares Namespace alone" in refused.err
    (home / "both.yaml").chmod(0o444)
    refused = world.run("delete", "ns", "east", "--from-file")
    assert refused.code == 5
    assert f"{home}/both.yaml:7: it is read-only" in refused.err
    assert (home / "both.yaml").read_text() == f"{WEST}---\n{EAST}"
    assert names(world) == ["namespace/alone", "namespace/east", "namespace/west"]


def _piped(home: Path) -> Path:
    path = home.parent / "alone.yaml"
    path.write_text(EAST.replace("east", "alone"))
    return path


def test_from_file_goes_with_names(world: World, home: Path) -> None:
    refused = world.run("delete", "-f", str(home), "--from-file")
    assert refused.code == 2
    assert "goes with names" in refused.err


@pytest.fixture
def disks(world: World, home: Path) -> World:
    """Three disks, two of them with data, one of which goes with its manifest."""
    size = {"persistentVolumeClaim": {"size": "1Gi"}}
    made = {"phase": "Ready", "capacity": "1Gi"}
    world.add("VirtualDisk", "empty", spec=size, labels={"tier": "a"})
    world.add("VirtualDisk", "data", spec=size, status=made, labels={"tier": "b"})
    world.add("VirtualDisk", "logs", spec=size, status=made, labels={"tier": "b"})
    annotations = {"vmctl.dev/deletion-policy": "Delete"}
    world.add("VirtualDisk", "scratch", spec=size, status=made, labels={"tier": "c"}, annotations=annotations)
    world.rest()
    return world


def disk_names(world: World) -> list[str]:
    return [name.partition("/")[2] for name in world.run("get", "vd", "-o", "name").out.split()]


@pytest.mark.parametrize(
    "words",
    [
        ("vd", "--all"),
        ("vm,vd", "--all"),
        ("vd", "-l", "tier=b"),
        ("all", "--all"),
        ("all", "-l", "tier=b"),
        ("all", "--all", "--yes"),
        ("all", "--all", "--force", "--yes"),
    ],
)
def test_who_names_no_disk_deletes_no_data(disks: World, words: tuple[str, ...]) -> None:
    refused = disks.run("delete", *words)
    assert (refused.code, refused.out) == (2, "")
    said = " ".join(word for word in words if word not in ("--force", "--yes"))
    assert f"'{said}' would delete disks with their data (data, logs); nothing was changed" in refused.err
    assert "vmctl delete vd/data vd/logs" in refused.err
    assert ("or add --yes" in refused.err) == (words[0] != "all")
    assert disk_names(disks) == ["data", "empty", "logs", "scratch"]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("vd/data", "vd/logs"), ["empty", "scratch"]),
        (("vd", "data"), ["empty", "logs", "scratch"]),
        (("vd", "--all", "--yes"), []),
        (("vd", "-l", "tier=b", "--yes"), ["empty", "scratch"]),
        (("vd", "-l", "tier in (a,c)"), ["data", "logs"]),  # no data, and data that goes with its manifest
    ],
)
def test_data_goes_with_its_name_or_when_it_is_allowed(disks: World, words: tuple[str, ...], left: list[str]) -> None:
    done = disks.run("delete", *words, "--wait", "--timeout=60s")
    assert (done.code, disk_names(disks)) == (0, left)


def test_a_disk_that_is_being_deleted_already_is_not_asked_for_again(disks: World) -> None:
    for name in ("data", "logs"):
        disks.store.mark_deleted(Key("VirtualDisk", "default", name))
    disks.rest()
    assert disks.run("delete", "vd", "--all", "--wait", "--timeout=60s").code == 0
    assert disk_names(disks) == []


def test_the_names_to_copy_are_of_the_namespace(world: World, home: Path) -> None:
    status = {"phase": "Ready", "capacity": "1Gi"}
    world.add("VirtualDisk", "data", namespace="east", status=status)
    world.rest()
    refused = world.run("delete", "vd", "--all", "-n", "east")
    assert "vmctl delete -n east vd/data ; or" in refused.err
