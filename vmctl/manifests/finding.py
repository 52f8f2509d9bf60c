"""Which files the given paths mean, and the bytes in them. Refusals are values: a bad path never hides the good ones.

In a directory `*.yaml`, `*.yml` and `*.json` are read; what is hidden (`.git` and editors' swap and lock files too)
is not, and backups such as `vm.yaml~`, `#vm.yaml#` or `vm.yaml.tmp` do not end like a manifest. A file that is named is
read whatever its name; pipes only where the shell put them (`-f <(…)`), because elsewhere they would block for ever.
"""

from __future__ import annotations

import difflib
import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENDINGS = (".yaml", ".yml", ".json")
LARGEST_BYTES = 16 * 1024 * 1024
SHELL_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
REASONS = {
    errno.ENOENT: "there is no such file or directory",
    errno.EACCES: "it may not be read",
    errno.EPERM: "it may not be read",
    errno.ELOOP: "the symbolic links lead in a circle",
    errno.ENAMETOOLONG: "the name is too long for the file system",
    errno.ENOTDIR: "a part of the path is not a directory",
}
REMEDIES = {
    errno.EACCES: "check its owner and mode, and those of the directories above it",
    errno.EPERM: "check its owner and mode, and those of the directories above it",
    errno.ELOOP: "remove the link, or name what it was meant for",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to read: `shown` as the user wrote it, `real` without links in its directory; `directory` is the given
    one that it was found in, as a real path, empty for a file that was named.
    """

    shown: str
    real: str
    directory: str = ""

    @property
    def is_json(self) -> bool:
        return self.shown.lower().endswith(".json")


@dataclass(slots=True)
class Found:
    """The files of all given paths, in order; `directories` are the given ones, as real paths."""

    files: list[Candidate] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, path: str, what: str, remedy: str = "") -> None:
        """Note why a path is not read."""
        self.problems.append(Problem(path, 0, 0, what, remedy))


def find(paths: Sequence[str], *, recursive: bool = False) -> Found:
    """List the files that `paths` mean; directories are sorted by name, subdirectories entered when `recursive`."""
    found = Found()
    for path in paths:
        try:
            status = Path(path).stat()
            if stat.S_ISDIR(status.st_mode):
                _find_in_given(path, found, recursive=recursive)
            elif stat.S_ISREG(status.st_mode) or (stat.S_ISFIFO(status.st_mode) and path.startswith(SHELL_PIPES)):
                found.files.append(Candidate(path, os.path.realpath(path)))
            else:
                found.refuse(path, f"this is {_described(status.st_mode)}, not a file", "name a regular file")
        except (OSError, ValueError) as error:
            found.refuse(path, *_explained(path, error))
    return found


def read(candidate: Candidate) -> tuple[bytes, tuple[int, int]] | Problem:
    """Read a whole file: its bytes, and what identifies the file under all its names."""
    try:
        descriptor = os.open(candidate.shown, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0):
            status = os.fstat(descriptor)
            data = _drained(descriptor, status.st_size)
    except OSError as error:
        return Problem(candidate.shown, 0, 0, *_explained(candidate.shown, error))
    return too_large(candidate.shown) if len(data) > LARGEST_BYTES else (data, (status.st_dev, status.st_ino))


def too_large(name: str) -> Problem:
    """Say that a file is beyond what is read."""
    limit = LARGEST_BYTES // 1024**2
    return Problem(
        name, 0, 0, f"the file is larger than {limit} MiB", "split it; large data does not belong in a manifest"
    )


def _drained(descriptor: int, expected_bytes: int) -> bytes:
    """Read to the end, or one byte further than is allowed; `expected_bytes` saves calls, it need not be right."""
    parts: list[bytes] = []
    left = LARGEST_BYTES + 1
    while left > 0 and (part := os.read(descriptor, min(left, max(expected_bytes + 1, 1 << 14)))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _find_in_given(path: str, found: Found, *, recursive: bool) -> None:
    real = os.path.realpath(path)
    found.directories.append(real)
    files, problems = len(found.files), len(found.problems)
    _find_in(Candidate(path, real, real), found, ((path, Path(path).stat()),) if recursive else ())
    if len(found.files) == files and len(found.problems) == problems:
        below = not recursive and any(entry.is_dir() for entry in _entries(path))
        remedy = "subdirectories are read with -R" if below else ""
        found.refuse(path, "there is no manifest in this directory (*.yaml, *.yml, *.json)", remedy)


def _find_in(directory: Candidate, found: Found, above: tuple[tuple[str, os.stat_result], ...]) -> None:
    """List one directory, and those below when `above` (the way here, for links that lead back) is given."""
    try:
        entries = _entries(directory.shown)
    except OSError as error:
        found.refuse(directory.shown, *_explained(directory.shown, error))
        return
    for entry in entries:
        shown = entry.name if directory.shown == "." else entry.path
        here = Candidate(shown, f"{directory.real}/{entry.name}", directory.directory)
        try:
            named_so = entry.name.lower().endswith(ENDINGS)
            if (above or named_so) and entry.is_dir():
                if above:
                    _enter(here, entry, found, above)
            elif named_so:
                _take(here, entry, found)
        except OSError as error:
            found.refuse(shown, *_explained(shown, error))


def _enter(
    here: Candidate, entry: os.DirEntry[str], found: Found, above: tuple[tuple[str, os.stat_result], ...]
) -> None:
    status = entry.stat()
    for name, other in above:
        if os.path.samestat(status, other):
            found.refuse(here.shown, f"the link leads back to {name}, above it", "remove the link")
            return
    _find_in(here, found, (*above, (here.shown, status)))


def _take(here: Candidate, entry: os.DirEntry[str], found: Found) -> None:
    if entry.is_file():
        found.files.append(here)
        return
    mode = entry.stat().st_mode  # raises for a link that dangles or leads in a circle
    found.refuse(here.shown, f"this is {_described(mode)}, not a file", "remove it, or give it another ending")


def _entries(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as listing:
        return sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _described(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def _explained(path: str, error: OSError | ValueError) -> tuple[str, str]:
    """What is wrong and what to do; ValueError is what Python raises for a NUL in a path."""
    if isinstance(error, ValueError):
        return "the path holds a NUL character", ""
    code = error.errno or 0
    if code == errno.ENOENT:
        if Path(path).is_symlink():
            target = Path(path).readlink()
            return f"the link leads to {target}, which does not exist", "remove the link, or restore its target"
        near = next(_near(path), "")
        return REASONS[code], f"did you mean {near}?" if near else ""
    return REASONS.get(code, os.strerror(code).lower()), REMEDIES.get(code, "")


def _near(path: str) -> Iterator[str]:
    """Names beside a missing one that look like it."""
    missing = Path(path)
    try:
        beside = [entry.name for entry in missing.parent.iterdir()]
    except OSError:
        return
    for name in difflib.get_close_matches(missing.name, beside, n=1, cutoff=0.7):
        yield str(missing.parent / name)
