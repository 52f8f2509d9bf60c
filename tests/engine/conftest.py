"""Labs for the tests of the engine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.engine.lab import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http_images import ImageServer


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """An empty host."""
    return Lab(tmp_path)


@pytest.fixture
def image_url(image_server: ImageServer) -> str:
    """A real image of 8 MiB behind HTTP."""
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", str(image_server.directory / "os.qcow2"), "8M"], check=True
    )
    return image_server.url("os.qcow2")
