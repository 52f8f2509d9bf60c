"""Watches on real directories, and what tells that a file is being written."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.waiting import PATIENCE_S
from vmctl.manifests import watching
from vmctl.manifests.memory import COARSE_S, Memory
from vmctl.manifests.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Ear:
    """Counts what a watch says."""

    def __init__(self) -> None:
        self.heard = threading.Event()

    def __call__(self) -> None:
        self.heard.set()

    def hears(self, act: Callable[[], object]) -> None:
        """Something is heard after an act."""
        self.heard.clear()
        act()
        assert self.heard.wait(PATIENCE_S)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "machines"
    made.mkdir()
    return made


@pytest.fixture
def ear(directory: Path) -> Iterator[Ear]:
    found = Ear()
    watch = watching.Watch(str(directory), found, recursive=True)
    assert found.heard.wait(PATIENCE_S)
    yield found
    watch.close()


def test_every_way_of_saving_is_heard(directory: Path, ear: Ear) -> None:
    file, beside = directory / "web.yaml", directory / ".web.yaml.tmp"
    ear.hears(lambda: file.write_text("a"))
    beside.write_text("b")
    ear.hears(lambda: beside.rename(file))
    ear.hears(lambda: file.rename(directory / "moved.yaml"))
    ear.hears((directory / "moved.yaml").unlink)
    (directory / "below").mkdir()
    ear.hears(lambda: (directory / "below" / "deep.yml").write_text("c"))


def test_a_directory_that_is_replaced_is_watched_again(directory: Path, ear: Ear) -> None:
    away = directory.with_name("away")
    ear.hears(lambda: directory.rename(away))
    ear.hears(directory.mkdir)
    for text in ("a", "b", "c"):
        ear.hears(lambda text=text: (directory / "web.yaml").write_text(text))  # type: ignore[misc]


def test_a_link_that_leads_elsewhere_is_followed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    link = tmp_path / "current"
    link.symlink_to("one")
    found = Ear()
    watch = watching.Watch(str(link), found, recursive=False)
    try:
        assert found.heard.wait(PATIENCE_S)
        other = tmp_path / "next"
        other.symlink_to("two")
        found.hears(lambda: other.rename(link))
        found.hears(lambda: (tmp_path / "two" / "web.yaml").write_text("a"))
    finally:
        watch.close()


class Eye:
    """Reads the whole directory whenever a watch says something, as the engine does, and at no other time."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._news = directory, threading.Condition()
        self.seen: dict[str, str] = {}

    def __call__(self) -> None:
        now: dict[str, str] = {}
        for path, _, names in os.walk(self._directory):  # which forgives what goes meanwhile
            for file in (Path(path, name) for name in names):
                with suppress(OSError):
                    now[str(file.relative_to(self._directory))] = file.read_text()
        with self._news:
            self.seen = now
            self._news.notify_all()

    def sees(self, expected: dict[str, str]) -> None:
        """What is there now was read in the end."""
        with self._news:
            assert self._news.wait_for(lambda: self.seen == expected, PATIENCE_S), self.seen


@pytest.fixture
def eye(directory: Path) -> Iterator[Eye]:
    found = Eye(directory)
    watch = watching.Watch(str(directory), found, recursive=True)
    yield found
    watch.close()


def test_directories_that_come_and_go_are_watched(tmp_path: Path, directory: Path, eye: Eye) -> None:
    for turn in range(20):  # whatever the watch is doing at that moment
        text = str(turn)
        (directory / "a" / "b").mkdir(parents=True)
        (directory / "a" / "b" / "web.yaml").write_text(text)
        eye.sees({"a/b/web.yaml": text})
        (directory / "a" / "b" / "web.yaml").write_text(f"{text} again")
        eye.sees({"a/b/web.yaml": f"{text} again"})
        (directory / "a").rename(directory / "c")
        (directory / "c" / "b" / "web.yaml").write_text(f"{text} moved")
        eye.sees({"c/b/web.yaml": f"{text} moved"})
        (directory / "c").rename(tmp_path / text)
        eye.sees({})
        (tmp_path / text).rename(directory / "d")
        (directory / "d" / "b" / "web.yaml").unlink()
        (directory / "d" / "b" / "db.yaml").write_text(text)
        eye.sees({"d/b/db.yaml": text})
        shutil.rmtree(directory / "d")
        eye.sees({})


def test_a_directory_that_was_away_is_read_when_it_is_back(tmp_path: Path, directory: Path, eye: Eye) -> None:
    (directory / "web.yaml").write_text("a")
    eye.sees({"web.yaml": "a"})
    directory.rename(tmp_path / "away")
    eye.sees({})
    (tmp_path / "away" / "web.yaml").write_text("b")
    (tmp_path / "away").rename(directory)
    eye.sees({"web.yaml": "b"})


def test_writing_without_an_end_is_heard_in_between(directory: Path, ear: Ear) -> None:
    file = directory / "web.yaml"
    ear.heard.clear()
    limit = time.monotonic() + PATIENCE_S
    while not ear.heard.is_set():
        file.write_text("a")
        assert time.monotonic() < limit


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        ("/m/web.yaml", True),
        ("/m/WEB.YAML", True),
        ("/m/web.json", True),
        ("/m/below", True),
        ("/m", True),
        ("/m/.web.yaml.swp", False),
        ("/m/.git/index", False),
        ("/m/below/.hidden/web.yaml", False),
        ("/m/web.yaml.tmp", False),
        ("/m/notes.txt", False),
    ],
)
def test_what_matters(path: str, *, matters: bool) -> None:
    assert watching._matters(path, "/m") is matters


def test_a_file_is_being_written_until_it_is_closed(tmp_path: Path) -> None:
    watching.quiet_leases()
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for file in files:
        file.write_text("a")
    paths = [str(file) for file in files]
    assert watching.being_written([*paths, str(tmp_path / "gone")]) == ""
    with files[1].open("a"):
        assert watching.being_written(paths) == paths[1]
    with files[1].open():
        assert watching.being_written(paths) == "", "who reads is no obstacle"
    assert watching.being_written(paths) == ""


def test_an_untouched_file_is_remembered(tmp_path: Path) -> None:
    file, reading = tmp_path / "web.yaml", Reading()
    file.write_text("a")
    now = [file.stat().st_ctime]
    memory = Memory(lambda: now[0])
    stamp, known = memory.get(str(file))
    memory.put(str(file), stamp, reading)
    assert known is None
    assert memory.get(str(file))[1] is None, "it changed a moment ago: the next write might look the same"
    now[0] += COARSE_S + 1
    memory.put(str(file), stamp, reading)
    assert memory.get(str(file)) == (stamp, reading)
    os.utime(file, ns=(0, stamp[3] if stamp else 0))
    assert memory.get(str(file))[1] is None, "times that are set by hand do not hide a change"
    memory.put(str(file), memory.get(str(file))[0], reading)
    memory.keep(set())
    assert memory.get(str(file))[1] is None
    file.unlink()
    assert memory.get(str(file)) == (None, None)
