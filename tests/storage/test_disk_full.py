"""Full disks, with a small file system of our own."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.http_images import Behaviour, serving
from vmctl.errors import DiskFull
from vmctl.storage import commands, layers, seed
from vmctl.storage.importing import import_image
from vmctl.storage.sources import HttpSource
from vmctl.storage.space import free_bytes, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
NOISE = random.Random(5)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 40 MiB, 24 of which may be used."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    where = tmp_path / "small"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "vmctl-test", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def fill(directory: Path, leave: int) -> Path:
    """Take space away until that much is left."""
    ballast = directory / "ballast"
    ballast.write_bytes(bytes(free_bytes(directory) - leave))
    return ballast


def test_a_download_that_cannot_fit_is_refused_before_it_starts(small: Path) -> None:
    behaviour = Behaviour(bytes(30 * MIB))
    with serving(behaviour) as url, pytest.raises(DiskFull) as caught:
        import_image(small, "layer", HttpSource(url))
    assert str(small) in caught.value.message
    assert "30.0 MiB needed" in caught.value.message
    assert "40.0 MiB free" in caught.value.message
    assert caught.value.remedy
    assert names(small) == []


def test_a_disk_that_fills_up_while_downloading_keeps_what_arrived(small: Path) -> None:
    content = NOISE.randbytes(10 * MIB)
    behaviour = Behaviour(content)

    def steal(sent: int) -> None:
        if sent >= 4 * MIB and not (small / "ballast").exists():
            fill(small, MIB)

    behaviour.before_chunk = steal
    with serving(behaviour) as url:
        with pytest.raises(DiskFull, match="while downloading"):
            import_image(small, "layer", HttpSource(url))
        assert names(small) == ["ballast", "layer.part", "layer.part.json"]
        assert not layers.exists(small, "layer")
        (small / "ballast").unlink()
        behaviour.before_chunk = None
        import_image(small, "layer", HttpSource(url))
    assert names(small) == ["layer.json", "layer.qcow2"]
    assert "range" in behaviour.requests[-1]


def test_a_disk_that_is_full_while_unpacking_keeps_the_download_only(small: Path) -> None:
    packed = gzip.compress(bytes(range(256)) * (32 * MIB // 256))
    behaviour = Behaviour(packed)
    with serving(behaviour) as url:
        with pytest.raises(DiskFull, match="while unpacking"):
            import_image(small, "layer", HttpSource(url))
        assert names(small) == ["layer.part", "layer.part.json"]


def test_a_disk_that_is_full_while_converting_keeps_the_download_only(small: Path) -> None:
    behaviour = Behaviour(NOISE.randbytes(22 * MIB))
    with serving(behaviour) as url:
        source = HttpSource(url)
        with pytest.raises(DiskFull, match="no space left"):
            import_image(small, "layer", source)
        assert names(small) == ["layer.part", "layer.part.json"]
        subprocess.run(["mount", "-o", "remount,size=100m", small], check=True)
        import_image(small, "layer", source)
    assert names(small) == ["layer.json", "layer.qcow2"]
    assert len(behaviour.requests) == 1


def test_a_full_disk_stops_new_layers_and_media_without_a_trace(small: Path) -> None:
    layers.create_blank(small, "base", MIB)
    ballast = fill(small, 0)
    with pytest.raises(DiskFull, match="creating layer disk"):
        layers.create_blank(small, "disk", MIB)
    with pytest.raises(DiskFull, match=r"writing seed\.iso"):
        seed.nocloud(small / "seed.iso", b"x" * MIB, instance_id="i", hostname="h")
    assert names(small) == ["ballast", "base.qcow2"]
    ballast.unlink()
    layers.create_blank(small, "disk", MIB)


def test_the_file_systems_own_refusal_is_understood_too(small: Path, tmp_path: Path) -> None:
    """Others may fill the disk while we convert: then not our limit stops qemu-img, but the kernel."""
    (tmp_path / "data").write_bytes(NOISE.randbytes(60 * MIB))
    limits = commands.Limits(cpu_s=60, wall_s=60, memory_bytes=4 << 30)
    arguments = ["convert", "-f", "raw", "-O", "qcow2", str(tmp_path / "data"), str(small / "copy")]
    with pytest.raises(DiskFull, match="no space left"):
        commands.qemu_img_confined(arguments, small, limits)


def test_copying_to_a_full_class_leaves_nothing(small: Path, tmp_path: Path) -> None:
    layers.create_blank(tmp_path, "image", 64 * MIB)
    subprocess.run(["qemu-io", "-c", "write -P 1 0 60M", tmp_path / "image.qcow2"], check=True, capture_output=True)
    with pytest.raises(DiskFull):
        layers.copy_to_class(tmp_path, "image", small, "copy")
    assert names(small) == []


def test_free_space_of_a_directory_that_will_be_made_is_that_of_its_parent(small: Path) -> None:
    assert free_bytes(small / "a" / "b") == free_bytes(small)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (1 << 60, "1024.0 PiB")]
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert shown(count) == text
