"""A cache may save work and nothing else: with it, without it, or with a broken one, the same comes out."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.manifests.samples import disk, machine
from vmctl.manifests import cache as cache_module
from vmctl.manifests.cache import ParseCache
from vmctl.manifests.loading import load
from vmctl.manifests.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from vmctl.manifests.documents import Loaded


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two good files, one with remarks, one bad."""
    found = tmp_path / "manifests"
    found.mkdir()
    (found / "disk.yaml").write_text(disk())
    (found / "disk.json").write_text('{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lab"}}')
    (found / "machine.yaml").write_text(machine())
    (found / "bad.yaml").write_text(disk("bad").replace("size", "sise"))
    return found


def cached(directory: Path, path: Path, namespace: str = "default") -> Loaded:
    with ParseCache(path) as cache:
        return load([str(directory)], cache=cache, namespace=namespace)


def rows(path: Path) -> list[str]:
    with sqlite3.connect(path) as database:
        found = sorted(os.path.basename(os.fsdecode(name)) for (name,) in database.execute("SELECT path FROM reading"))  # noqa: PTH119
    database.close()
    return found


def test_warm_is_cold(directory: Path, tmp_path: Path) -> None:
    without = load([str(directory)])
    assert without.problems
    assert without.warnings
    assert cached(directory, tmp_path / "cache") == without
    assert cached(directory, tmp_path / "cache") == without
    assert rows(tmp_path / "cache") == ["disk.json", "disk.yaml", "machine.yaml"]


def test_what_changed_is_read_again(directory: Path, tmp_path: Path) -> None:
    cached(directory, tmp_path / "cache")
    (directory / "disk.yaml").write_text(disk(size="2Gi"))
    (directory / "bad.yaml").write_text(disk("good"))
    assert cached(directory, tmp_path / "cache") == load([str(directory)])
    assert cached(directory, tmp_path / "cache", namespace="lab") == load([str(directory)], namespace="lab")


def test_entries_leave_with_their_files(directory: Path, tmp_path: Path) -> None:
    cached(directory, tmp_path / "cache")
    (directory / "disk.yaml").unlink()
    (directory / "new.yaml").write_text(disk("new"))
    cached(directory, tmp_path / "cache")
    assert rows(tmp_path / "cache") == ["disk.json", "machine.yaml", "new.yaml"]


def test_other_directories_keep_their_entries(directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "other.yaml").write_text(disk("other"))
    cached(directory, tmp_path / "cache")
    cached(other, tmp_path / "cache")
    assert rows(tmp_path / "cache") == ["disk.json", "disk.yaml", "machine.yaml", "other.yaml"]


def test_a_cache_of_another_program_is_dropped(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(directory, tmp_path / "cache")
    poison(tmp_path / "cache")
    assert not cached(directory, tmp_path / "cache").warnings, "the poison shows while the program is the same"
    monkeypatch.setattr("vmctl.__version__", "999")
    assert cached(directory, tmp_path / "cache") == load([str(directory)])


def poison(path: Path) -> None:
    """Make all entries empty, checksums and all."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE reading SET payload = ?", (cache_module._packed(Reading()),))
    database.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_damage_is_never_an_error_and_never_seen(directory: Path, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "cache"
    expected = cached(directory, path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    assert cached(directory, path) == expected
    assert cached(directory, path) == expected


def test_a_file_that_is_no_database_is_replaced(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"not a database" * 100)
    expected = load([str(directory)])
    assert cached(directory, path) == expected
    assert cached(directory, path) == expected
    assert len(rows(path)) == 3


@pytest.mark.parametrize("path", ["missing/cache", "manifests"])
def test_a_place_that_cannot_be_written_is_no_cache(directory: Path, tmp_path: Path, path: str) -> None:
    assert cached(directory, tmp_path / path) == load([str(directory)])
    assert (directory / "disk.yaml").exists()


def test_a_locked_cache_is_not_waited_for_long(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "BUSY_TIMEOUT_S", 0.01)
    path = tmp_path / "cache"
    cached(directory, path)
    (directory / "new.yaml").write_text(disk("new"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert cached(directory, path) == load([str(directory)])
    holder.execute("ROLLBACK")
    holder.close()
    assert "new.yaml" not in rows(path)
    cached(directory, path)
    assert "new.yaml" in rows(path)


def test_names_that_are_no_text_are_kept_too(directory: Path, tmp_path: Path) -> None:
    with open(os.fsencode(directory) + b"/\xff.yaml", "w") as file:  # noqa: PTH123  # pathlib has no bytes
        file.write(disk("odd"))
    expected = load([str(directory)])
    assert "odd" in {item.key.name for item in expected.manifests}
    assert cached(directory, tmp_path / "cache") == expected
    assert cached(directory, tmp_path / "cache") == expected
    assert len(rows(tmp_path / "cache")) == 4


def test_only_the_owner_may_read_it(directory: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cached(directory, tmp_path / "cache")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o600


def test_unchanged_files_need_no_parser_and_no_models(directory: Path, tmp_path: Path) -> None:
    (directory / "bad.yaml").unlink()
    program = (
        "import sys; from vmctl.manifests.cache import ParseCache; from vmctl.manifests.loading import load\n"
        "with ParseCache(sys.argv[2]) as cache: found = load([sys.argv[1]], cache=cache)\n"
        "print(len(found.manifests), *sorted({'pydantic', 'ruamel.yaml', 'networkx', 'asyncio'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(directory), str(tmp_path / "cache")]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    assert runs == [["3", "pydantic", "ruamel.yaml"], ["3"]]


def test_processes_may_share_it(directory: Path, tmp_path: Path) -> None:
    (directory / "bad.yaml").unlink()
    for number in range(50):
        (directory / f"{number}.yaml").write_text(disk(f"disk-{number}"))
    program = (
        "import sys; from vmctl.manifests.cache import ParseCache; from vmctl.manifests.loading import load\n"
        "for _ in range(3):\n"
        "    with ParseCache(sys.argv[2]) as cache: found = load([sys.argv[1]], cache=cache)\n"
        "    print(len(found.manifests), len(found.problems))"
    )
    command = [sys.executable, "-c", program, str(directory), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in running] == ["53 0\n" * 3] * 4
    assert len(rows(tmp_path / "cache")) == 53
