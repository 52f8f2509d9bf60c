"""Can QEMU's own user reach the layers?

Asked before the first start and by `doctor`, because QEMU's own answer comes late and is terse.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmctl.storage import commands

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """A directory that stands in the way, and what to do about it."""

    path: Path
    what: str
    remedy: str


def access(directory: Path, user: str) -> list[Finding]:
    """Find every directory on the way to the layers that `user` (empty: ours) may not pass; empty when all is well.

    libvirt gives QEMU's user the files themselves at each start, so only the way to them matters.
    """
    if user and not _known(user):
        return [
            Finding(
                directory,
                f"the user {user} that QEMU should run as does not exist",
                "check `user` in /etc/libvirt/qemu.conf",
            )
        ]
    resolved = directory.resolve()
    way = [*reversed(resolved.parents), resolved]
    return [_finding(part, user, resolved) for part in way if _there(part) and not _passable(part, user)]


def _there(part: Path) -> bool:
    try:
        part.stat()
    except OSError:  # not made yet, or below a directory that we may not pass either, which is the finding
        return False
    return True


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _passable(directory: Path, user: str) -> bool:
    if not user or pwd.getpwnam(user).pw_uid == os.geteuid():
        return os.access(directory, os.X_OK)
    status = directory.stat()
    if status.st_mode & 0o111 == 0o111:
        return True  # nearly always; spares a process
    if os.geteuid() == 0:
        return commands.allowed(user, "-x", directory)
    account = pwd.getpwnam(user)
    if account.pw_uid == status.st_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid in os.getgrouplist(user, account.pw_gid):
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _finding(part: Path, user: str, directory: Path) -> Finding:
    name = user or "the user that runs vmctl"
    mode = stat.S_IMODE(part.stat().st_mode)
    return Finding(
        part,
        f"QEMU runs as {name}, who may not pass through {part} (mode {mode:04o}) to {directory}",
        f"run `chmod o+x {part}`, or keep the layers elsewhere: `--state-dir /var/lib/vmctl`",
    )
