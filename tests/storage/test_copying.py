"""Images under a second name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.http_images import Behaviour, serving
from vmctl.errors import StorageError
from vmctl.storage import layers
from vmctl.storage.copying import copy_image, known
from vmctl.storage.importing import import_image
from vmctl.storage.sources import HttpSource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.conftest import QemuImg

CONTENT = bytes(range(256)) * 8192


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with serving(Behaviour(CONTENT)) as url:
        import_image(tmp_path / "store", "one", HttpSource(url))
    return tmp_path / "store"


def test_in_one_directory_a_copy_costs_nothing_and_outlives_the_original(
    store: Path, tmp_path: Path, qemu_img: QemuImg
) -> None:
    for _ in range(2):
        copy_image(store, "one", store, "two")
    assert (store / "one.qcow2").samefile(store / "two.qcow2")
    before = known(store, "one")
    layers.remove(store, "one")
    assert known(store, "two") == before is not None
    assert qemu_img.content(store / "two.qcow2", tmp_path) == CONTENT


def test_elsewhere_a_copy_is_a_file_of_its_own(store: Path, tmp_path: Path, qemu_img: QemuImg) -> None:
    for _ in range(2):
        copy_image(store, "one", tmp_path / "other", "two")
    assert known(tmp_path / "other", "two") == known(store, "one")
    assert qemu_img.content(tmp_path / "other" / "two.qcow2", tmp_path) == CONTENT
    assert layers.info(tmp_path / "other", "two").frozen


def test_a_layer_that_was_not_imported_has_nothing_known(store: Path) -> None:
    layers.create_blank(store, "blank", 1 << 20)
    assert known(store, "blank") is None
    (store / "one.json").write_text("{")
    assert known(store, "one") is None


def test_a_missing_original_is_said_so(store: Path) -> None:
    with pytest.raises(StorageError, match="naming layer gone again failed"):
        copy_image(store, "gone", store, "two")
    assert not layers.exists(store, "two")
