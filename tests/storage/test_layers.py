"""Layers against the real qemu-img."""

from __future__ import annotations

import os
import stat
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmctl.errors import Bug, ChangeRefused, StorageError
from vmctl.storage import commands, layers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.storage.conftest import QemuImg

GIB = 1 << 30
MIB = 1 << 20


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 4096).flatmap(lambda mib: st.integers(mib * 4096, mib * MIB))
    | st.integers(1, 40_000).map(lambda g: g * GIB)
)
def test_a_blank_disk_is_what_qemu_img_makes(tmp_path: Path, qemu_img: QemuImg, size: int) -> None:
    layers.remove(tmp_path, "blank")
    layers.create_blank(tmp_path, "blank", size)
    qemu_img("create", "-q", "-f", "qcow2", tmp_path / "theirs.qcow2", layers.rounded(size))
    assert (tmp_path / "blank.qcow2").read_bytes() == (tmp_path / "theirs.qcow2").read_bytes()


@pytest.mark.parametrize("size", [64 * MIB, 10 * GIB, 9000 * GIB])
@pytest.mark.parametrize("base", ["b", "7a6a3f0e-6a0c-4a57-9d9c-0e4c2f2d8c11"])
def test_an_overlay_is_what_qemu_img_makes(tmp_path: Path, qemu_img: QemuImg, size: int, base: str) -> None:
    layers.create_blank(tmp_path, base, 64 * MIB)
    layers.create_overlay(tmp_path, "ours", base, size)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", f"{base}.qcow2", "theirs.qcow2", str(size)],
        check=True,
        cwd=tmp_path,
    )
    assert (tmp_path / "ours.qcow2").read_bytes() == (tmp_path / "theirs.qcow2").read_bytes()
    qemu_img("check", "-q", tmp_path / "ours.qcow2")


def test_two_overlays_of_one_shape_name_their_own_backings(tmp_path: Path, qemu_img: QemuImg) -> None:
    for base in ("aaaa", "bbbb"):
        layers.create_blank(tmp_path, base, GIB)
        layers.create_overlay(tmp_path, f"on-{base}", base)
    for base in ("aaaa", "bbbb"):
        told = qemu_img.info(tmp_path / f"on-{base}.qcow2")
        assert (told["backing-filename"], told["backing-filename-format"]) == (f"{base}.qcow2", "qcow2")


def test_info_agrees_with_qemu_img(tmp_path: Path, qemu_img: QemuImg) -> None:
    layers.create_blank(tmp_path, "base", 3 * GIB + 512)
    layers.create_overlay(tmp_path, "top", "base", 5 * GIB)
    subprocess.run(["qemu-io", "-c", "write 1M 3M", str(tmp_path / "top.qcow2")], check=True, capture_output=True)
    for name, backing in (("base", None), ("top", "base")):
        found, told = layers.info(tmp_path, name), qemu_img.info(tmp_path / f"{name}.qcow2")
        assert (found.virtual_size, found.actual_size, found.format) == (
            told["virtual-size"],
            told["actual-size"],
            told["format"],
        )
        assert found.backing == backing


def test_what_a_guest_wrote_survives_a_repeated_creation(tmp_path: Path, qemu_img: QemuImg) -> None:
    layers.create_blank(tmp_path, "disk", 8 * MIB)
    subprocess.run(["qemu-io", "-c", "write -P 7 0 64k", str(tmp_path / "disk.qcow2")], check=True, capture_output=True)
    layers.create_blank(tmp_path, "disk", 8 * MIB)
    layers.create_blank(tmp_path, "disk", 4 * MIB)  # smaller than what is there: not shrunk
    layers.create_blank(tmp_path, "disk", 16 * MIB)
    assert layers.info(tmp_path, "disk").virtual_size == 16 * MIB
    assert qemu_img.content(tmp_path / "disk.qcow2", tmp_path)[: 64 << 10] == bytes([7]) * (64 << 10)


def test_a_layer_of_another_shape_is_not_taken_for_the_wanted_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        layers.create_blank(tmp_path, name, MIB)
    layers.create_overlay(tmp_path, "top", "one")
    with pytest.raises(StorageError, match="lies on one, not on two"):
        layers.create_overlay(tmp_path, "top", "two")
    with pytest.raises(StorageError, match="lies on one, not on nothing"):
        layers.create_blank(tmp_path, "top", MIB)


def test_an_overlay_needs_its_backing_and_room_for_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        layers.create_overlay(tmp_path, "top", "missing")
    layers.create_blank(tmp_path, "base", 2 * GIB)
    with pytest.raises(StorageError, match=r"1\.0 GiB cannot hold its source of 2\.0 GiB"):
        layers.create_overlay(tmp_path, "top", "base", GIB)
    assert not layers.exists(tmp_path, "top")


def test_rights_of_layers(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        layers.prepare(tmp_path / "class")
    finally:
        os.umask(previous)
    layers.create_blank(tmp_path / "class", "disk", MIB)
    assert (mode(tmp_path / "class"), mode(tmp_path / "class/disk.qcow2")) == (0o711, 0o600)
    (tmp_path / "class/disk.qcow2").chmod(layers.FROZEN_MODE)
    assert layers.info(tmp_path / "class", "disk").frozen


@contextmanager
def holding(file: Path) -> Iterator[None]:
    """Keep a file open for writing, as a running machine does."""
    holder = subprocess.Popen(["qemu-io", file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write("length\n")
        holder.stdin.flush()
        holder.stdout.read(1)  # it answers only once it has the file, and its lock
        yield
        holder.stdin.write("quit\n")


def test_growing(tmp_path: Path, qemu_img: QemuImg) -> None:
    layers.create_blank(tmp_path, "disk", GIB)
    layers.grow(tmp_path, "disk", 3 * GIB)
    layers.grow(tmp_path, "disk", 3 * GIB)
    assert qemu_img.info(tmp_path / "disk.qcow2")["virtual-size"] == 3 * GIB
    with pytest.raises(ChangeRefused, match=r"shrink from 3\.0 GiB to 2\.0 GiB"):
        layers.grow(tmp_path, "disk", 2 * GIB)
    (tmp_path / "disk.qcow2").chmod(layers.FROZEN_MODE)
    with pytest.raises(StorageError, match="read-only"):
        layers.grow(tmp_path, "disk", 4 * GIB)


def test_growing_a_disk_in_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    layers.create_blank(tmp_path, "disk", MIB)
    with holding(tmp_path / "disk.qcow2"), pytest.raises(StorageError, match="lock") as caught:
        layers.grow(tmp_path, "disk", 2 * MIB)
    assert "stop it first" in caught.value.remedy


def test_a_disk_in_use_is_known_by_qemus_own_lock(tmp_path: Path) -> None:
    layers.create_blank(tmp_path, "disk", MIB)
    assert not layers.open_elsewhere(tmp_path, "disk")
    assert not layers.open_elsewhere(tmp_path, "missing")
    with holding(tmp_path / "disk.qcow2"):
        assert layers.open_elsewhere(tmp_path, "disk")
    assert not layers.open_elsewhere(tmp_path, "disk")
    (tmp_path / "disk.qcow2").write_bytes(b"damaged")
    assert not layers.open_elsewhere(tmp_path, "disk")


def test_a_disk_that_cannot_be_looked_at_is_not_taken_for_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers.create_blank(tmp_path, "disk", MIB)
    monkeypatch.setitem(commands.ENVIRONMENT, "PATH", str(tmp_path))
    with pytest.raises(StorageError, match="not installed"):
        layers.open_elsewhere(tmp_path, "disk")


def test_removing(tmp_path: Path) -> None:
    layers.create_blank(tmp_path, "disk", MIB)
    layers.create_blank(tmp_path, "disk2", MIB)
    for suffix in (*layers.PARTIAL, layers.RECORD):
        (tmp_path / f"disk{suffix}").touch()
    layers.remove(tmp_path, "disk")
    layers.remove(tmp_path, "disk")
    assert [file.name for file in tmp_path.iterdir()] == ["disk2.qcow2"]


def test_copying_to_another_class_leaves_nothing_below(tmp_path: Path, qemu_img: QemuImg) -> None:
    source, other = tmp_path / "fast", tmp_path / "slow"
    layers.prepare(source)
    layers.create_blank(source, "base", 4 * MIB)
    subprocess.run(["qemu-io", "-c", "write -P 5 0 1M", str(source / "base.qcow2")], check=True, capture_output=True)
    (source / "base.qcow2").chmod(layers.FROZEN_MODE)
    layers.create_overlay(source, "top", "base")
    subprocess.run(["qemu-io", "-c", "write -P 6 1M 1M", str(source / "top.qcow2")], check=True, capture_output=True)
    for _ in range(2):
        layers.copy_to_class(source, "top", other, "copy")
    assert layers.info(other, "copy").backing is None
    assert mode(other / "copy.qcow2") == 0o444
    assert qemu_img.content(other / "copy.qcow2", tmp_path) == bytes([5]) * MIB + bytes([6]) * MIB + bytes(2 * MIB)
    assert [file.name for file in other.iterdir()] == ["copy.qcow2"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a.b", "-x", "x" * 200])
def test_names_that_are_no_layers_are_our_own_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(Bug):
        layers.exists(tmp_path, name)


def test_a_damaged_layer_is_named(tmp_path: Path) -> None:
    (tmp_path / "disk.qcow2").write_bytes(b"hello")
    with pytest.raises(StorageError, match=r"disk\.qcow2 is not a qcow2 file"):
        layers.info(tmp_path, "disk")


def test_a_directory_that_is_gone_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="creating layer disk failed"):
        layers.create_blank(tmp_path / "gone", "disk", MIB)
