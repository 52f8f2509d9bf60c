"""Whether another user can reach a directory, asked for real."""

from __future__ import annotations

import os
import pwd
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vmctl.storage.access import access

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask on behalf of another user")
NOBODY = "nobody"


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that everybody can reach: pytest's own are private."""
    place = Path(tempfile.mkdtemp(prefix="vmctl-test-", dir="/var/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def reachable(directory: Path) -> bool:
    """What really happens when that user tries."""
    account = pwd.getpwnam(NOBODY)
    command = [
        "setpriv",
        "--reuid",
        str(account.pw_uid),
        "--regid",
        str(account.pw_gid),
        "--clear-groups",
        "ls",
        str(directory),
    ]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@needs_root
def test_every_closed_directory_on_the_way_is_found_with_a_remedy(open_place: Path) -> None:
    layers = open_place / "closed" / "open" / "tight"
    layers.mkdir(parents=True)
    (open_place / "closed").chmod(0o700)
    layers.chmod(0o750)
    found = access(layers, NOBODY)
    assert [one.path for one in found] == [open_place / "closed", layers]
    assert "mode 0700" in found[0].what
    assert f"chmod o+x {open_place}/closed" in found[0].remedy
    for one in found:
        one.path.chmod(0o711)
    layers.chmod(0o755)
    assert access(layers, NOBODY) == []
    assert reachable(layers)


@needs_root
def test_a_directory_below_the_home_of_root_is_found() -> None:
    assert [str(one.path) for one in access(Path("/root/vmctl/state"), NOBODY)] == ["/root"]


@needs_root
def test_groups_and_access_lists_count(open_place: Path) -> None:
    place = open_place / "group"
    place.mkdir()
    place.chmod(0o710)
    assert [one.path for one in access(place, NOBODY)] == [place]
    os.chown(place, 0, pwd.getpwnam(NOBODY).pw_gid)
    assert access(place, NOBODY) == []
    place.chmod(0o701)  # the group has less than others: the kernel asks the group first
    assert [one.path for one in access(place, NOBODY)] == [place]


def access_list(uid: int) -> bytes:
    """The attribute that `setfacl -m u:UID:x` writes: a version, then tag, rights and id of each entry."""
    nobody_in_particular = 0xFFFFFFFF
    entries = [(1, 7, nobody_in_particular), (2, 1, uid), (4, 0, nobody_in_particular)]
    entries += [(16, 1, nobody_in_particular), (32, 0, nobody_in_particular)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@needs_root
def test_an_access_list_is_enough(open_place: Path) -> None:
    place = open_place / "listed"
    place.mkdir(mode=0o700)
    assert [one.path for one in access(place, NOBODY)] == [place]
    os.setxattr(place, "system.posix_acl_access", access_list(pwd.getpwnam(NOBODY).pw_uid))
    assert access(place, NOBODY) == []


def test_our_own_user_reaches_our_own_directory(tmp_path: Path) -> None:
    assert access(tmp_path, "") == []
    assert access(tmp_path, pwd.getpwuid(os.geteuid()).pw_name) == []


def test_a_user_that_does_not_exist_is_a_finding(tmp_path: Path) -> None:
    (found,) = access(tmp_path, "no-such-user")
    assert "does not exist" in found.what
    assert "qemu.conf" in found.remedy


def test_a_directory_that_is_not_there_yet_is_judged_by_its_parents(tmp_path: Path) -> None:
    assert access(tmp_path / "later" / "on", "") == []
