"""Who a directory is, asked of real repositories."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from vmctl.errors import UsageError
from vmctl.manifests.sources import home, source_of

if TYPE_CHECKING:
    from pathlib import Path


def git(directory: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, and a directory of manifests."""
    path = tmp_path / "repository"
    (path / "hosts/lab").mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch=main")
    for text in ("one", "two"):
        commit(path, text)
    return path


def commit(repository: Path, text: str) -> None:
    (repository / "file").write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", text)


def test_outside_git_a_directory_is_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    found = source_of(str(tmp_path / "link"))
    assert (found.identity, found.by_path) == (f"path:{tmp_path}", f"path:{tmp_path}")
    assert (found.commit, found.in_motion) == ("", "")
    assert (found.directory, found.identities) == (str(tmp_path), (f"path:{tmp_path}",))


def test_inside_git_it_is_the_first_commit_and_the_path(repository: Path) -> None:
    root = git(repository, "rev-list", "--max-parents=0", "HEAD")
    found = source_of(str(repository / "hosts/lab"))
    assert found.identity == f"git:{root}:hosts/lab"
    assert found.commit == git(repository, "rev-parse", "HEAD")
    assert found.identities == (f"git:{root}:hosts/lab", f"path:{repository}/hosts/lab")
    assert source_of(str(repository)).identity == f"git:{root}:."
    commit(repository, "three")
    later = source_of(str(repository / "hosts/lab"))
    assert later.identity == found.identity
    assert later.commit != found.commit


def test_it_stays_the_same_when_the_repository_moves(repository: Path, tmp_path: Path) -> None:
    identity = source_of(str(repository / "hosts")).identity
    shutil.move(repository, tmp_path / "moved")
    assert source_of(str(tmp_path / "moved/hosts")).identity == identity
    git(tmp_path, "-C", "moved", "worktree", "add", "--quiet", "../tree", "-b", "other")
    (tmp_path / "tree/hosts").mkdir()
    assert source_of(str(tmp_path / "tree/hosts")).identity == identity


def test_merging_an_unrelated_history_changes_nothing(repository: Path, tmp_path: Path) -> None:
    identity = source_of(str(repository)).identity
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet", "--initial-branch=main")
    (other / "theirs").write_text("x")
    git(other, "add", "--all")
    git(other, "commit", "--quiet", "--message", "theirs")
    git(repository, "pull", "--quiet", "--no-rebase", "--no-edit", "--allow-unrelated-histories", str(other), "main")
    assert (repository / "theirs").exists()
    assert source_of(str(repository)).identity == identity


def test_without_a_first_commit_it_is_the_path(tmp_path: Path, repository: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    git(fresh, "init", "--quiet")
    assert source_of(str(fresh)).identity == f"path:{fresh}"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", "shallow")
    shallow = source_of(str(tmp_path / "shallow"))
    assert shallow.identity == f"path:{tmp_path / 'shallow'}"
    assert shallow.commit == git(repository, "rev-parse", "HEAD")


def test_something_else_named_git_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert source_of(str(tmp_path)).identity == f"path:{tmp_path}"


def test_a_repository_of_another_user_is_answered_for(repository: Path) -> None:
    for path in (repository, *repository.rglob("*")):
        shutil.chown(path, 65534, 65534)
    assert source_of(str(repository)).identity.startswith("git:")


def test_what_is_in_motion_is_said(repository: Path) -> None:
    assert source_of(str(repository)).in_motion == ""
    (repository / ".git/index.lock").touch()
    assert source_of(str(repository)).in_motion == "git is writing its index"
    (repository / ".git/index.lock").unlink()
    git(repository, "checkout", "--quiet", "-b", "side", "HEAD~1")
    commit(repository, "side")
    git(repository, "merge", "--quiet", "main")
    assert source_of(str(repository)).in_motion == "a merge is under way"
    git(repository, "merge", "--abort")
    git(repository, "rebase", "--quiet", "main")
    assert source_of(str(repository)).in_motion == "a rebase is under way"
    git(repository, "rebase", "--abort")
    assert source_of(str(repository)).in_motion == ""


def test_asking_runs_nothing_and_heeds_no_foreign_environment(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = source_of(str(repository)).identity
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(program))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert source_of(str(repository)).identity == identity
    assert not (tmp_path / "ran").exists()


def test_without_git_nothing_is_guessed(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        source_of(str(repository))
    assert "install git" in caught.value.remedy


def test_a_directory_covers_itself_and_what_lies_below_in_git_and_outside(repository: Path) -> None:
    top, lab = source_of(str(repository)), source_of(str(repository / "hosts/lab"))
    for identity in lab.identities:
        assert top.covers(identity)
        assert not top.lies_in(identity)
        assert lab.covers(identity)
        assert lab.lies_in(identity)
    assert lab.lies_in(top.identity)
    assert lab.lies_in(top.by_path)
    beside = source_of(str(repository / "hosts")).identity + "/laboratory"
    assert not lab.covers(beside)
    assert not lab.lies_in(beside)
    other = "git:c0ffee:hosts/lab"
    assert not top.covers(other)


def test_on_the_way_to_a_file_lie_the_directories_between(repository: Path) -> None:
    top, file = source_of(str(repository)), f"{repository}/hosts/lab/op.yaml"
    for name in ("", "hosts", "hosts/lab"):
        found = source_of(str(repository / name))
        assert all(top.holds(file, each) for each in found.identities)
    (repository / "hosts/other").mkdir()
    beside = source_of(str(repository / "hosts/other"))
    assert not any(top.holds(file, each) for each in beside.identities)
    assert not beside.holds(f"{repository}/hosts/other/op.yaml", top.identity), "it lies above"


def test_the_home_of_a_file_is_its_directory_without_links(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repository / "hosts/lab")
    assert home(str(tmp_path / "link/op.yaml")) == source_of(str(repository / "hosts/lab")).identity
    assert home(str(tmp_path / "op.yaml")) == f"path:{tmp_path}"
    assert home(str(tmp_path / "gone/op.yaml")) == f"path:{tmp_path}/gone"
