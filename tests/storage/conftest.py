"""What the tests of storage share: retries without pauses, and a way to ask qemu-img itself."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import stamina

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    """Downloads are tried as often as in earnest, but at once."""
    stamina.set_testing(True, attempts=4, cap=True)
    yield
    stamina.set_testing(False)


class QemuImg:
    """The real qemu-img."""

    def __call__(self, *arguments: object) -> str:
        command = ["qemu-img", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def info(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("info", "-U", "--output", "json", path))
        return found

    def content(self, path: Path, tmp: Path) -> bytes:
        """The bytes that a guest would see."""
        raw = tmp / "content.raw"
        self("convert", "-O", "raw", path, raw)
        return raw.read_bytes()


@pytest.fixture
def qemu_img() -> QemuImg:
    return QemuImg()
