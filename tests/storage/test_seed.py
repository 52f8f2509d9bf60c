"""Seed media, read back by tools that are not ours."""

from __future__ import annotations

import json
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from vmctl.errors import StorageError
from vmctl.storage import seed

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def listed(medium: Path, names: str = "-R") -> list[str]:
    found = subprocess.run(["isoinfo", "-i", medium, names, "-f"], check=True, capture_output=True, text=True)
    return sorted(found.stdout.split())


def read(medium: Path, name: str, names: str = "-R") -> bytes:
    return subprocess.run(["isoinfo", "-i", medium, names, "-x", name], check=True, capture_output=True).stdout


def test_nocloud_is_found_by_its_label_and_holds_what_was_given(tmp_path: Path) -> None:
    medium = tmp_path / "seed.iso"
    seed.nocloud(medium, b"#cloud-config\n", instance_id="i-1", hostname="on", network_config=b"version: 2\n")
    label = subprocess.run(
        ["blkid", "-p", "-s", "LABEL", "-o", "value", medium], check=True, capture_output=True, text=True
    )
    assert label.stdout.strip() == "cidata"
    for names in ("-R", "-J"):
        assert listed(medium, names) == ["/meta-data", "/network-config", "/user-data"]
    assert read(medium, "/user-data") == b"#cloud-config\n"
    assert read(medium, "/network-config") == b"version: 2\n"
    assert YAML(typ="safe").load(read(medium, "/meta-data")) == {"instance-id": "i-1", "local-hostname": "on"}
    assert medium.stat().st_size == MIB
    assert stat.S_IMODE(medium.stat().st_mode) == 0o600


def test_network_config_may_be_left_out_and_media_are_replaced_whole(tmp_path: Path) -> None:
    medium = tmp_path / "seed.iso"
    for size in (3 * MIB, 10):
        seed.nocloud(medium, b"x" * size, instance_id="i", hostname="h")
        assert listed(medium) == ["/meta-data", "/user-data"]
        assert read(medium, "/user-data") == b"x" * size
        assert medium.stat().st_size % MIB == 0
    assert [file.name for file in tmp_path.iterdir()] == ["seed.iso"]


def test_sysprep_has_its_answer_files_at_the_root(tmp_path: Path) -> None:
    medium = tmp_path / "sysprep.iso"
    files = {"unattend.xml": b"<a/>", "autounattend.xml": b"<b/>", "Read me, please: a very long name indeed.txt": b"c"}
    seed.sysprep(medium, files)
    for name, content in files.items():
        assert read(medium, f"/{name}") == content
        assert read(medium, f"/{name}", "-J") == content


def test_names_that_look_alike_without_extensions_do_not_collide(tmp_path: Path) -> None:
    files = {f"{'long' * 10}{number}.xml": str(number).encode() for number in range(20)}
    files |= {"A b.xml": b"1", "a_b.xml": b"2", "a.b.xml": b"3", "no-extension": b"4", ".hidden": b"5"}
    seed.sysprep(tmp_path / "many.iso", files)
    for name, content in files.items():
        assert read(tmp_path / "many.iso", f"/{name}") == content


def test_a_medium_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"writing seed\.iso failed"):
        seed.nocloud(tmp_path / "gone" / "seed.iso", b"", instance_id="i", hostname="h")


@given(
    st.dictionaries(st.text(max_size=5), st.binary(max_size=5)),
    st.dictionaries(st.text(max_size=5), st.binary(max_size=5)),
)
def test_digests_are_equal_exactly_when_inputs_are(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    reordered = dict(reversed(one.items()))
    assert seed.digest(one, b"key") == seed.digest(reordered, b"key")
    assert (seed.digest(one, b"key") == seed.digest(other, b"key")) == (one == other)


def test_a_digest_needs_the_key() -> None:
    inputs = {"user-data": json.dumps({"password": "hunter2"}).encode()}
    assert seed.digest(inputs, b"one") != seed.digest(inputs, b"two")
