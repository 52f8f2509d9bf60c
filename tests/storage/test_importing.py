"""Imports of real images, good and malicious, through a real server."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import random
import stat
import struct
import subprocess
from typing import TYPE_CHECKING

import pycdlib
import pytest

from tests.http_images import Behaviour, serving
from vmctl.errors import StorageError, TransferInterrupted
from vmctl.storage import layers
from vmctl.storage.bounds import Bounds
from vmctl.storage.importing import Imported, import_image
from vmctl.storage.sources import HttpSource, Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.storage.conftest import QemuImg

MIB = 1 << 20
DATA = random.Random(3).randbytes(MIB) + bytes(3 * MIB) + random.Random(4).randbytes(MIB + 512)
SIZE = len(DATA)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def bring(store: Path, content: bytes, **options: object) -> Imported:
    with serving(Behaviour(content)) as url:
        return import_image(store, "layer", HttpSource(url), **options)  # type: ignore[arg-type]


def disk(tmp_path: Path, qemu_img: QemuImg, form: str, *options: str) -> bytes:
    """DATA as an image of some format, by qemu-img."""
    raw, made = tmp_path / "data.raw", tmp_path / f"image.{form}"
    raw.write_bytes(DATA)
    qemu_img("convert", "-q", "-f", "raw", "-O", form, *options, raw, made)
    return made.read_bytes()


def iso(label: str = "INSTALL") -> bytes:
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label)
    image.add_fp(io.BytesIO(DATA), len(DATA), "/DATA.;1", rr_name="data", joliet_path="/data")
    written = io.BytesIO()
    image.write_fp(written)
    image.close()
    return written.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gz": gzip.compress, "xz": lzma.compress}


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("raw", []),
        ("qcow2", []),
        ("qcow2", ["-c"]),
        ("qcow2", ["-o", "compat=0.10,cluster_size=4k"]),
        ("vmdk", []),
        ("vmdk", ["-o", "subformat=streamOptimized"]),
        ("vdi", []),
    ],
)
def test_every_format_arrives_as_the_same_disk(
    store: Path, tmp_path: Path, qemu_img: QemuImg, form: str, options: list[str], packing: str
) -> None:
    content = PACKED[packing](disk(tmp_path, qemu_img, form, *options))
    imported = bring(store, content)
    assert (imported.format, imported.cdrom) == (form, False)
    told = qemu_img.info(store / "layer.qcow2")
    assert (told["format"], told["virtual-size"]) == ("qcow2", imported.unpacked_bytes)
    assert imported.stored_bytes == told["actual-size"]
    seen = qemu_img.content(store / "layer.qcow2", tmp_path)
    assert seen[:SIZE] == DATA
    assert not any(seen[SIZE:])
    assert imported.unpacked_bytes < SIZE + 64 * 1024
    assert names(store) == ["layer.json", "layer.qcow2"]
    assert stat.S_IMODE((store / "layer.qcow2").stat().st_mode) == 0o444
    qemu_img("check", "-q", store / "layer.qcow2")


@pytest.mark.parametrize("packing", PACKED)
def test_an_iso_is_a_cdrom(store: Path, tmp_path: Path, qemu_img: QemuImg, packing: str) -> None:
    imported = bring(store, PACKED[packing](iso()))
    assert (imported.format, imported.cdrom) == ("iso", True)
    assert qemu_img.content(store / "layer.qcow2", tmp_path) == iso_content(qemu_img, store, tmp_path)


def iso_content(qemu_img: QemuImg, store: Path, tmp_path: Path) -> bytes:
    """The medium as it is read back must be a whole file system with the data in it."""
    seen = qemu_img.content(store / "layer.qcow2", tmp_path)
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(seen))
    read = io.BytesIO()
    image.get_file_from_iso_fp(read, rr_path="/data")
    image.close()
    assert read.getvalue() == DATA
    return seen


def test_an_iso_by_genisoimage_and_a_udf_medium_are_cdroms(store: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/data").write_bytes(DATA)
    subprocess.run(
        ["genisoimage", "-quiet", "-udf", "-o", str(tmp_path / "made.iso"), str(tmp_path / "files")], check=True
    )
    assert bring(store, (tmp_path / "made.iso").read_bytes()).cdrom
    udf = bytearray((tmp_path / "made.iso").read_bytes())
    udf[0x8001:0x8006] = b"BEA01"
    layers.remove(store, "layer")
    assert bring(store, bytes(udf)).cdrom


def test_members_and_padding_of_compressed_files(store: Path, tmp_path: Path, qemu_img: QemuImg) -> None:
    half = SIZE // 2 // 512 * 512
    for pack in (gzip.compress, lzma.compress):
        content = pack(DATA[:half]) + bytes(512) + pack(DATA[half:]) + bytes(1024)
        bring(store, content)
        assert qemu_img.content(store / "layer.qcow2", tmp_path) == DATA
        layers.remove(store, "layer")


def test_a_disk_stays_writable(store: Path) -> None:
    bring(store, DATA, readonly=False)
    assert stat.S_IMODE((store / "layer.qcow2").stat().st_mode) == 0o600


def test_a_finished_import_is_told_again_without_asking_anybody(store: Path) -> None:
    behaviour = Behaviour(gzip.compress(iso()))
    with serving(behaviour) as url:
        first = import_image(store, "layer", HttpSource(url))
        (store / "layer.part").write_bytes(b"left over")
        assert import_image(store, "layer", HttpSource(url)) == first
    assert len(behaviour.requests) == 1
    assert names(store) == ["layer.json", "layer.qcow2"]


def test_stages_are_told_in_their_order(store: Path) -> None:
    seen: list[Progress] = []
    bring(store, gzip.compress(DATA), progress=seen.append)
    stages = [one.stage for one in seen]
    assert list(dict.fromkeys(stages)) == ["download", "unpack", "convert"]


def test_a_listener_is_not_drowned(store: Path) -> None:
    seen: list[Progress] = []
    packed = gzip.compress(random.Random(7).randbytes(4 * MIB), 0) + gzip.compress(bytes(64 * MIB))
    bring(store, packed, progress=seen.append, clock=lambda: 1.0)
    assert [one.stage for one in seen] == ["download", "unpack", "unpack", "convert"]
    assert seen[2].received_bytes == seen[2].total_bytes


# --- what is refused


def qcow2_with(tmp_path: Path, *arguments: str) -> bytes:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *arguments], check=True, cwd=tmp_path)
    return (tmp_path / "evil").read_bytes()


def vmdk_descriptor(extent: str) -> bytes:
    return (
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        f'createType="monolithicFlat"\nRW 8 FLAT "{extent}" 0\n'
    ).encode()


def vmdk_inside(extent: str) -> bytes:
    """A sparse vmdk without capacity: QEMU reads the descriptor in its second sector, and opens what it names."""
    head = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 0, 0, 1, 1)
    return head.ljust(512, b"\0") + vmdk_descriptor(extent).ljust(512, b"\0") + bytes(4096)


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize(
    "arguments",
    [
        ["-u", "-F", "raw", "-b", "/etc/passwd", "evil", "1M"],
        ["-u", "-F", "raw", "-b", "json:{\"driver\":\"raw\",\"file.filename\":\"/etc/passwd\"}", "evil", "1M"],
        ["-u", "-F", "raw", "-b", "nbd://127.0.0.1:1/x", "evil", "1M"],
        ["-o", "data_file=elsewhere,data_file_raw=on", "evil", "1M"],
    ],
)  # fmt: skip
def test_images_that_name_other_files_are_refused(
    store: Path, tmp_path: Path, arguments: list[str], packing: str
) -> None:
    with pytest.raises(StorageError, match="refers to another file") as caught:
        bring(store, PACKED[packing](qcow2_with(tmp_path, *arguments)))
    assert "self-contained" in caught.value.remedy
    assert names(store) == []


@pytest.mark.parametrize("make", [vmdk_descriptor, vmdk_inside])
def test_vmdks_whose_extents_lie_elsewhere_are_refused(store: Path, make: Callable[[str], bytes]) -> None:
    with pytest.raises(StorageError, match="refers to another file"):
        bring(store, make("/etc/passwd"))
    assert names(store) == []


def test_a_vmdk_with_a_parent_is_refused(store: Path, tmp_path: Path, qemu_img: QemuImg) -> None:
    qemu_img("create", "-q", "-f", "vmdk", tmp_path / "parent.vmdk", "1M")
    qemu_img("create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", tmp_path / "parent.vmdk", tmp_path / "child.vmdk")
    with pytest.raises(StorageError, match=r"refers to another file|parent"):
        bring(store, (tmp_path / "child.vmdk").read_bytes())
    assert names(store) == []


def test_raw_bytes_are_never_probed(store: Path, tmp_path: Path, qemu_img: QemuImg) -> None:
    """Text that QEMU would take for a protocol or a format further inside stays data."""
    content = b"json:{}" + bytes(MIB - 7)
    assert bring(store, content).format == "raw"
    assert qemu_img.content(store / "layer.qcow2", tmp_path) == content


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>not found</html>", "web page"),
        (b"\n <HTML>", "web page"),
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"BZh9" + bytes(100), "bzip2"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd"),
        (b"vhdxfile" + bytes(100), "vhdx"),
        (gzip.compress(gzip.compress(b"x")), "compressed twice"),
        (gzip.compress(b""), "is empty"),
        (b"QFI\xfb" + bytes(10), "not a qcow2 file"),
        (b"QFI\xfb\x00\x00\x00\x01" + bytes(500), "qcow2 version 1"),
        (b"QFI\xfb\x00\x00\x00\x03" + b"\xff" * 500, "backing name of"),
        (b"QFI\xfb\x00\x00\x00\x03" + bytes(500), "qemu-img:"),
        (b"KDMV" + bytes([1]) * 500, "qemu-img:"),
    ],
)
def test_what_is_no_image_is_refused_and_leaves_nothing(store: Path, content: bytes, what: str) -> None:
    with pytest.raises(StorageError, match=what) as caught:
        bring(store, content)
    assert not isinstance(caught.value, TransferInterrupted)
    assert caught.value.remedy
    assert names(store) == []


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("damage", ["short", "flipped", "trailing"])
def test_damaged_compression_is_refused(store: Path, pack: Callable[[bytes], bytes], damage: str) -> None:
    content = bytearray(pack(DATA))
    if damage == "short":
        del content[-20:]
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        content += b"garbage"
    with pytest.raises(StorageError, match=r"damaged|ends in the middle"):
        bring(store, bytes(content))
    assert names(store) == []


def test_a_bomb_is_stopped_by_its_size(store: Path) -> None:
    with pytest.raises(StorageError, match=r"unpacks to more than 100\.0 MiB"):
        bring(store, gzip.compress(bytes(256 * MIB)), bounds=Bounds(unpacked_bytes=100 * MIB))
    assert names(store) == []


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_bomb_is_stopped_by_how_much_data_comes_out(store: Path, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(StorageError, match=r"unpacks to more than 32\.0 MiB"):
        bring(store, pack(b"\1" * 64 * MIB), bounds=Bounds(expansion_from_bytes=32 * MIB))
    assert names(store) == []


def test_an_empty_disk_is_no_bomb(store: Path) -> None:
    """Seven thousand to one, and harmless: it is all holes."""
    imported = bring(store, lzma.compress(bytes(128 * MIB)), bounds=Bounds(expansion_from_bytes=MIB))
    assert imported.unpacked_bytes == 128 * MIB
    assert imported.stored_bytes < MIB


def test_a_qcow2_whose_clusters_are_all_the_same_one_is_stopped(store: Path, tmp_path: Path) -> None:
    """A small file that reads as two gigabytes of data: every entry of both its tables points to the same place."""
    qcow2_with(tmp_path, "evil", "2G")
    subprocess.run(["qemu-io", "-c", "write -P 1 0 64k", "evil"], check=True, capture_output=True, cwd=tmp_path)
    content = bytearray((tmp_path / "evil").read_bytes())
    tables, where = struct.unpack_from(">IQ", content, 36)
    (second,) = struct.unpack_from(">Q", content, where)
    struct.pack_into(f">{tables}Q", content, where, *[second] * tables)
    at = second & 0x00FFFFFFFFFFFE00
    content[at : at + 65536] = content[at : at + 8] * 8192
    with pytest.raises(StorageError, match=r"unpacks to more than 64\.0 MiB"):
        bring(store, bytes(content), bounds=Bounds(expansion=100, expansion_from_bytes=64 * MIB))
    assert names(store) == []


def test_absurd_disks_are_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"a disk of 32\.0 TiB, more than the 16\.0 TiB"):
        bring(store, qcow2_with(tmp_path, "evil", "32T"))


def test_an_encrypted_image_is_refused(store: Path, tmp_path: Path) -> None:
    content = bytearray(qcow2_with(tmp_path, "evil", "1M"))
    content[35] = 2  # the header's encryption method: LUKS
    with pytest.raises(StorageError, match="encrypted"):
        bring(store, bytes(content))
    assert names(store) == []


def test_a_corrupt_image_is_refused(store: Path, tmp_path: Path) -> None:
    content = bytearray(qcow2_with(tmp_path, "evil", "1M"))
    content[79] |= 2  # the incompatible feature bit that QEMU sets when it finds damage
    with pytest.raises(StorageError, match="corrupt"):
        bring(store, bytes(content))


# --- interruptions


def test_wrong_bytes_are_not_kept_for_the_next_time(store: Path) -> None:
    behaviour = Behaviour(b"PK\x03\x04" + bytes(100))
    with serving(behaviour) as url:
        with pytest.raises(StorageError):
            import_image(store, "layer", HttpSource(url))
        behaviour.content = DATA
        assert import_image(store, "layer", HttpSource(url)).format == "raw"


@pytest.mark.parametrize("stage", ["download", "unpack", "convert"])
def test_cancelling_anywhere_can_be_resumed(store: Path, stage: str) -> None:
    seen: list[str] = []
    behaviour = Behaviour(gzip.compress(DATA), chunk=1024)
    with serving(behaviour) as url:
        source = HttpSource(url, {"sha256": hashlib.sha256(behaviour.content).hexdigest()})
        if stage == "download":
            behaviour.cut_after = [200_000]
        with pytest.raises(TransferInterrupted):
            import_image(
                store,
                "layer",
                source,
                progress=lambda one: seen.append(one.stage),
                cancelled=lambda: stage in seen or (stage == "download" and (store / "layer.part").exists()),
            )
        assert set(names(store)) <= {"layer.part", "layer.part.json"}
        assert not layers.exists(store, "layer")
        before = behaviour.sent
        import_image(store, "layer", source)
    assert names(store) == ["layer.json", "layer.qcow2"]
    if stage != "download":
        assert behaviour.sent == before


def test_an_interrupted_download_is_no_layer(store: Path) -> None:
    with serving(Behaviour(DATA, cut_after=[100_000] + [0] * 40)) as url, pytest.raises(TransferInterrupted):
        import_image(store, "layer", HttpSource(url))
    assert names(store) == ["layer.part", "layer.part.json"]
