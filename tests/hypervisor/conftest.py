"""libvirt's test driver in private, and a private host with real QEMU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hypervisor.machines import INSTALLATION
from vmctl.hypervisor.libvirt_driver import LibvirtDriver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODE = """
<node>
  <cpu>
    <mhz>3000</mhz><model>i686</model><active>8</active><nodes>1</nodes><sockets>1</sockets><cores>8</cores>
    <threads>1</threads>
  </cpu>
  <memory>16777216</memory>
</node>
"""


@pytest.fixture
def test_uri(tmp_path: Path) -> str:
    """A libvirt of the test's own: the test driver keeps a world for each connection to a file."""
    file = tmp_path / "node.xml"
    file.write_text(NODE)
    return f"test://{file}"


@pytest.fixture
def test_driver(test_uri: str) -> Iterator[LibvirtDriver]:
    """A driver on libvirt's test driver."""
    driver = LibvirtDriver(test_uri, INSTALLATION, events=False)
    yield driver
    driver.close()
