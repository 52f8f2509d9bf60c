"""The files that dnsmasq reads: whole or absent, readable, and gone when they should be."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from vmctl.errors import StateError
from vmctl.network.reservations import Reservation, listed, prepare, release, reserve

if TYPE_CHECKING:
    from pathlib import Path

MAC_A, MAC_B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
ONE, TWO = "10.66.10.2", "10.66.10.3"


class Dnsmasq:
    """Remembers what it was told to forget, and fails when it is asked to."""

    def __init__(self) -> None:
        self.forgot: list[tuple[str, str]] = []
        self.deaf = False

    def __call__(self, address: str, mac: str) -> None:
        if self.deaf:
            raise StateError("nobody there")
        self.forgot.append((address, mac))


@pytest.fixture
def forget() -> Dnsmasq:
    return Dnsmasq()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "networks" / "vmctl-1"
    prepare(place)
    return place


def contents(directory: Path) -> dict[str, str]:
    return {
        f"{file.parent.name}/{file.name}": file.read_text()
        for file in sorted(directory.glob("*/*"))
        if not file.name.startswith(".")
    }


def hidden(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.glob("*/.*"))


def test_a_machine_has_an_entry_for_its_address_and_one_for_its_names(directory: Path, forget: Dnsmasq) -> None:
    reserve(directory, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    reserve(directory, MAC_B, TWO, "web", "east", "vm.internal", forget=forget)
    assert contents(directory) == {
        f"hosts/{ONE}_52-54-00-00-00-0a": f"{MAC_A},{ONE},web\n",
        f"hosts/{TWO}_52-54-00-00-00-0b": f"{MAC_B},{TWO},web\n",
        f"names/{ONE}_52-54-00-00-00-0a": f"{ONE} web.default.vm.internal web.vm.internal web\n",
        f"names/{TWO}_52-54-00-00-00-0b": f"{TWO} web.east.vm.internal\n",
    }
    assert listed(directory) == (Reservation(ONE, MAC_A), Reservation(TWO, MAC_B))
    assert forget.forgot == []


def test_a_second_reservation_writes_nothing(directory: Path, forget: Dnsmasq) -> None:
    reserve(directory, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    before = [(file, file.stat().st_ino) for file in directory.glob("*/*")]
    reserve(directory, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    assert [(file, file.stat().st_ino) for file in directory.glob("*/*")] == before


def test_dnsmasq_forgets_what_is_released_and_nothing_is_left(directory: Path, forget: Dnsmasq) -> None:
    reserve(directory, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    release(directory, MAC_A, forget=forget)
    release(directory, MAC_A, forget=forget)
    assert forget.forgot == [(ONE, MAC_A)]
    assert (contents(directory), hidden(directory), listed(directory)) == ({}, [], ())


@pytest.mark.parametrize(("mac", "address"), [(MAC_B, ONE), (MAC_A, TWO)])
def test_an_address_that_moves_is_forgotten_before_it_is_given_again(
    directory: Path, forget: Dnsmasq, mac: str, address: str
) -> None:
    reserve(directory, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    seen: list[dict[str, str]] = []

    def watching(address: str, mac: str) -> None:
        seen.append(contents(directory))
        forget(address, mac)

    reserve(directory, mac, address, "new", "default", "vm.internal", forget=watching)
    assert forget.forgot == [(ONE, MAC_A)]
    assert seen == [{}]  # neither the old entry nor the new one was there when dnsmasq read its files anew
    assert listed(directory) == (Reservation(address, mac),)


def test_a_release_that_was_cut_short_is_taken_up_by_the_next(directory: Path, forget: Dnsmasq) -> None:
    reserve(directory, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    forget.deaf = True
    with pytest.raises(StateError):
        release(directory, MAC_A, forget=forget)
    assert contents(directory) == {}
    assert listed(directory) == (Reservation(ONE, MAC_A, released=True),)
    with pytest.raises(StateError):
        reserve(directory, MAC_B, ONE, "new", "default", "vm.internal", forget=forget)
    assert contents(directory) == {}
    forget.deaf = False
    reserve(directory, MAC_B, ONE, "new", "default", "vm.internal", forget=forget)
    assert forget.forgot == [(ONE, MAC_A)]
    assert listed(directory) == (Reservation(ONE, MAC_B),)
    assert hidden(directory) == []


def test_what_a_dead_writer_left_goes_with_the_machine(directory: Path, forget: Dnsmasq) -> None:
    for name in ("hosts", "names"):
        (directory / name / f".{ONE}_52-54-00-00-00-0a~").write_text("52:54")
    assert listed(directory) == (Reservation(ONE, MAC_A, released=True),)
    release(directory, MAC_A, forget=forget)
    assert hidden(directory) == []
    (directory / "hosts" / f".{ONE}_52-54-00-00-00-0a~").write_text("52:54")
    reserve(directory, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    assert listed(directory) == (Reservation(ONE, MAC_A),)
    assert hidden(directory) == []


def test_dnsmasq_may_read_whatever_our_umask(tmp_path: Path, forget: Dnsmasq) -> None:
    before = os.umask(0o077)
    try:
        place = tmp_path / "networks" / "vmctl-1"
        prepare(place)
        reserve(place, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (place, place.parent, *place.rglob("*"))}
    assert modes == {
        "networks": 0o711,
        "vmctl-1": 0o711,
        "hosts": 0o755,
        "names": 0o755,
        f"{ONE}_52-54-00-00-00-0a": 0o644,
    }


def test_preparing_again_changes_nothing(directory: Path, forget: Dnsmasq) -> None:
    reserve(directory, MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    prepare(directory)
    assert listed(directory) == (Reservation(ONE, MAC_A),)


def test_files_of_others_are_no_reservations(directory: Path) -> None:
    (directory / "hosts" / "README").touch()
    assert listed(directory) == ()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path, forget: Dnsmasq) -> None:
    assert listed(tmp_path / "absent") == ()
    with pytest.raises(StateError, match="cannot be read or written") as refused:
        reserve(tmp_path / "absent", MAC_A, ONE, "web", "default", "vm.internal", forget=forget)
    assert "absent" in refused.value.remedy
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"file/vmctl-1 cannot be read or written"):
        prepare(tmp_path / "file" / "vmctl-1")
