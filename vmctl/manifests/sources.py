"""Which source a directory is, at which commit it stands, and whether git is at work on it.

A source is known by the root commit of its git repository and the path inside, so that a clone that moves, or another
worktree, stays the same source; outside git it is known by its real path.

git itself answers; its files are not read behind its back, except those whose mere presence means that it is at work.
It is asked in a way that writes nothing and runs nothing that the repository names: no hooks, no file system monitor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from vmctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

TIMEOUT_S = 30
PATH = "path:"  # begins the identity of a directory that is known by its path
OPTIONS = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "--no-optional-locks", "--no-replace-objects")
IN_MOTION = {
    "index.lock": "git is writing its index",
    "HEAD.lock": "git is moving to another commit",
    "rebase-merge": "a rebase is under way",
    "rebase-apply": "a rebase or `git am` is under way",
    "MERGE_HEAD": "a merge is under way",
    "CHERRY_PICK_HEAD": "a cherry-pick is under way",
    "REVERT_HEAD": "a revert is under way",
    "BISECT_LOG": "a bisection is under way",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A directory that owns objects. `identity` is what the inventory is kept under.

    `by_path` is the identity the same directory has outside git: what was recorded before the first commit is found
    under it. `commit` is empty outside git; `in_motion` is the sentence that says why not to prune.
    """

    identity: str
    by_path: str
    commit: str = ""
    in_motion: str = ""

    @property
    def directory(self) -> str:
        """Its real path."""
        return self.by_path.removeprefix(PATH)

    @property
    def identities(self) -> tuple[str, ...]:
        """What the inventory may be kept under, the lasting one first."""
        return tuple(dict.fromkeys((self.identity, self.by_path)))

    def covers(self, identity: str) -> bool:
        """Whether an identity is that of this directory, or of one below it."""
        return any(_within(identity, own) for own in self.identities)

    def lies_in(self, identity: str) -> bool:
        """Whether an identity is that of this directory, or of one above it."""
        return any(_within(own, identity) for own in self.identities)

    def holds(self, path: str, identity: str) -> bool:
        """Whether an identity is that of this directory, or of one below it, on the way to a file in it."""
        way = Path(path).parent.relative_to(self.directory)
        homes = (f"{realm}:{PurePosixPath(place) / way}" for realm, place in map(_parted, self.identities))
        return self.covers(identity) and any(_within(each, identity) for each in homes)


def home(path: str) -> str:
    """The lasting identity of the directory that a file lies in; its path where git does not tell."""
    directory = str(Path(path).resolve().parent)
    try:
        return source_of(directory).identity
    except UsageError:
        return f"{PATH}{directory}"


def _within(inner: str, outer: str) -> bool:
    """Whether one identity names the directory that the other names, or one below it."""
    (realm, place), (other, above) = _parted(inner), _parted(outer)
    return realm == other and PurePosixPath(place).is_relative_to(above)


def _parted(identity: str) -> tuple[str, str]:
    """What the path of an identity is relative to, and the path."""
    if identity.startswith(PATH):
        return PATH.rstrip(":"), identity.removeprefix(PATH)
    git, commit, place = identity.split(":", 2)
    return f"{git}:{commit}", place


def source_of(directory: str) -> Source:
    """Identify a directory; raises UsageError when it lies in a git repository and git is missing or fails."""
    real = os.path.realpath(directory)
    by_path = f"{PATH}{real}"
    repository = _repository(real)
    if repository is None:
        return Source(by_path, by_path)
    git_directory, shallow, prefix = repository
    in_motion = _in_motion(Path(git_directory))
    commit = _git(real, "rev-parse", "--quiet", "--verify", "HEAD^{commit}").stdout.strip()
    if not commit or shallow == "true":  # no root yet, or one that moves with the next fetch
        return Source(by_path, by_path, commit, in_motion)
    # along first parents there is one root, whatever unrelated histories were merged in
    history = _checked(real, _git(real, "rev-list", "--first-parent", "--max-parents=0", commit))
    inside = prefix.removesuffix("\n").rstrip("/") or "."
    return Source(f"git:{history.strip()}:{inside}", by_path, commit, in_motion)


def uncommitted(directory: str, files: Iterable[str]) -> frozenset[str]:
    """Those of the files that do not say what the commit says: edited since, or never added. Empty where git fails."""
    real = os.path.realpath(directory)
    inside = [os.path.relpath(file, real) for file in files]
    changed = _git(real, "diff", "--name-only", "--no-ext-diff", "-z", "--relative", "HEAD", "--", *inside)
    new = _git(real, "ls-files", "--others", "-z", "--", *inside)
    names = f"{changed.stdout}{new.stdout}".split("\0") if not changed.returncode and not new.returncode else []
    return frozenset(os.path.join(real, name) for name in names if name)  # noqa: PTH118  # names as git spells them


def _repository(directory: str) -> list[str] | None:
    """Git's own directory, whether the history is cut off, the path inside the working tree; None outside git."""
    here = Path(directory)
    if not any((above / ".git").exists() for above in (here, *here.parents)):
        return None  # the usual case without git costs no process
    done = _git(directory, "rev-parse", "--absolute-git-dir", "--is-shallow-repository", "--show-prefix")
    if "not a git repository" in done.stderr:  # something else is named .git
        return None
    return _checked(directory, done).split("\n", 2)


def _in_motion(git_directory: Path) -> str:
    return next((said for name, said in IN_MOTION.items() if (git_directory / name).exists()), "")


def _git(directory: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("git")
    if program is None:
        raise UsageError(
            f"{directory} lies in a git repository, and git is not installed to say which",
            remedy="install git (apt install git), or move the manifests out of the repository",
        )
    command = [program, *OPTIONS, "-C", directory, *arguments]
    environment = _environment()
    try:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"git does not answer in {directory}: {error}", remedy="try `git status` there") from error


def _checked(directory: str, done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        said = done.stderr.strip().removeprefix("fatal: ")
        raise UsageError(f"git refuses {directory}: {said}", remedy="`git status` there says more")
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours, without what would lead git to another repository (GIT_DIR in hooks), in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
