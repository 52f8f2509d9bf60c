"""Which files are read, and what is said about paths that cannot be."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.manifests.samples import disk
from vmctl.manifests.finding import LARGEST_BYTES
from vmctl.manifests.loading import load

if TYPE_CHECKING:
    from collections.abc import Iterator


def names(directory: Path, *, recursive: bool = False) -> list[str]:
    loaded = load([str(directory)], recursive=recursive)
    assert loaded.problems == ()
    return [str(Path(item.file).relative_to(directory)) for item in loaded.manifests]


def only_problem(*paths: Path | str, recursive: bool = False) -> str:
    loaded = load([str(path) for path in paths], recursive=recursive)
    (problem,) = loaded.problems
    return f"{problem.what} ({problem.remedy})"


def test_a_directory_gives_its_manifests_and_nothing_else(tmp_path: Path) -> None:
    good = ["a.json", "b.yaml", "c.yml", "d.YAML"]
    other = ["e.txt", ".f.yaml", "#g.yaml#", ".#h.yaml", "i.yaml~", ".j.yaml.swp", "k.yaml.tmp", "4913", "README.md"]
    for number, name in enumerate(good + other):
        (tmp_path / name).write_text(disk(f"disk-{number}") if name != "a.json" else '{"apiVersion": "v1", "kind": '
                                     '"Namespace", "metadata": {"name": "lab"}}')  # fmt: skip
    for hidden in (".git", "below"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "l.yaml").write_text(disk(f"disk-{hidden.strip('.')}"))
    assert names(tmp_path) == good
    assert names(tmp_path, recursive=True) == ["a.json", "b.yaml", "below/l.yaml", "c.yml", "d.YAML"]


def test_a_file_that_is_named_is_read_whatever_its_name(tmp_path: Path) -> None:
    odd = tmp_path / ".manifest~"
    odd.write_text(disk())
    assert [item.key.name for item in load([str(odd)]).manifests] == ["data"]


def test_files_come_in_order_under_the_names_the_user_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b", "a"):
        Path(f"{name}.yaml").write_text(disk(name))
    Path("sub").mkdir()
    Path("sub/c.yaml").write_text(disk("c"))
    loaded = load(["sub", "."])
    assert [item.file for item in loaded.manifests] == ["sub/c.yaml", "a.yaml", "b.yaml"]
    assert loaded.directories == (str(tmp_path / "sub"), str(tmp_path))
    assert loaded.files == 3


def test_a_file_counts_once_under_all_its_names(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(disk())
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    os.link(tmp_path / "a.yaml", tmp_path / "c.yaml")
    assert names(tmp_path) == ["a.yaml"]
    loaded = load([str(tmp_path), str(tmp_path / "c.yaml")])
    assert (len(loaded.manifests), loaded.problems) == (1, ())


def test_directories_behind_links_are_entered_but_never_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/a.yaml").write_text(disk("a"))
    (tmp_path / "host").mkdir()
    (tmp_path / "host/more").symlink_to("../shared")
    assert names(tmp_path / "host", recursive=True) == ["more/a.yaml"]
    (tmp_path / "host/back").symlink_to("..")
    assert f"leads back to {tmp_path / 'host'}" in only_problem(tmp_path / "host", recursive=True)


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("gone.yaml")
    assert "the link leads to gone.yaml, which does not exist" in only_problem(tmp_path)
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    assert "in a circle" in only_problem(tmp_path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("a.yaml")
    assert "a named pipe, not a file" in only_problem(".")
    assert "a named pipe, not a file" in only_problem("a.yaml")
    Path("a.yaml").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.yaml")
        assert "a socket, not a file" in only_problem(".")
    Path("a.yaml").unlink()
    Path("a.yaml").symlink_to("/dev/zero")
    assert "a device, not a file" in only_problem(".")


def test_a_pipe_of_the_shell_is_read() -> None:
    reader, writer = os.pipe()

    def feed() -> None:
        with os.fdopen(writer, "w") as pipe:
            pipe.write(disk())

    feeder = threading.Thread(target=feed)
    feeder.start()
    loaded = load([f"/dev/fd/{reader}"])
    feeder.join()
    os.close(reader)
    assert [item.key.name for item in loaded.manifests] == ["data"]


def test_an_empty_directory_says_so(tmp_path: Path) -> None:
    assert only_problem(tmp_path) == "there is no manifest in this directory (*.yaml, *.yml, *.json) ()"
    (tmp_path / "below").mkdir()
    assert only_problem(tmp_path).endswith("(subdirectories are read with -R)")
    assert "no manifest" in only_problem(tmp_path, recursive=True)


def test_files_without_a_document_declare_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# to be written\n---\n")
    assert only_problem(tmp_path) == "nothing is declared here (write a manifest into it)"
    (tmp_path / "b.yaml").write_text(disk())
    assert names(tmp_path) == ["b.yaml"]


def test_a_missing_path_comes_with_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text(disk())
    assert only_problem(tmp_path / "machine.yml") == (
        f"there is no such file or directory (did you mean {tmp_path / 'machine.yaml'}?)"
    )
    assert "no such file" in only_problem("/nonexistent/dir/x")
    assert "a NUL character" in only_problem("a\0b")
    assert "too long" in only_problem("x" * 5000)
    assert "is not a directory" in only_problem(tmp_path / "machine.yaml" / "x")


def test_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(disk())
    (tmp_path / "a.yaml").chmod(0)
    (tmp_path / "b.yaml").write_text(disk())
    (tmp_path / "closed").mkdir(mode=0)
    with unprivileged(tmp_path):
        loaded = load([str(tmp_path)], recursive=True)
    assert [(Path(problem.file).name, problem.what) for problem in loaded.problems] == [
        ("a.yaml", "it may not be read"),
        ("closed", "it may not be read"),
    ]
    assert len(loaded.manifests) == 1


@contextmanager
def unprivileged(directory: Path) -> Iterator[None]:
    """Act as a user who owns nothing, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    ways = {above: above.stat().st_mode for above in (directory, *directory.parents)}
    for above, mode in ways.items():
        above.chmod(mode | 0o555)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for above, mode in ways.items():
            above.chmod(mode)


def test_large_files_are_refused_unread(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    assert "larger than 16 MiB" in only_problem(large)
    with large.open("w") as file:
        file.write(disk())
        file.write("#" * (LARGEST_BYTES - len(disk())))
    assert load([str(large)]).problems == ()


@pytest.mark.parametrize(
    ("data", "place", "what"),
    [
        (b"a: 1\nb: \xff\xfe\n", (2, 4), "0xff is not UTF-8"),
        (b"a: \xc3\xa9\nb: caf\xe9\n", (2, 7), "0xe9 is not UTF-8"),
        ("a: 1\n".encode("utf-16"), (1, 1), "UTF-16"),
        (b"a: 1\nb: \0\n", (2, 4), "NUL"),
        (b"a: 1\nb: \x1b[31m\n", (2, 4), "control character"),
        ("a: 1\nb: \x85\n".encode(), (2, 4), "control character"),
    ],
)
def test_what_is_no_text(tmp_path: Path, data: bytes, place: tuple[int, int], what: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    (problem,) = load([str(path)]).problems
    assert (problem.line, problem.column) == place
    assert what in problem.what


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + disk().replace("\n", "\r\n").encode())
    assert names(tmp_path) == ["a.yaml"]
    path.write_bytes(b"\xef\xbb\xbf" + disk().replace("size", "sise").replace("\n", "\r\n").encode())
    (problem,) = load([str(path)]).problems
    assert (problem.line, problem.column, problem.text) == (7, 5, "    sise: 1Gi")
