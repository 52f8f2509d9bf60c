"""kill -9 in the middle of an import: the next one converges, and nothing is left over."""

from __future__ import annotations

import gzip
import hashlib
import random
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.http_images import Behaviour, serving
from tests.waiting import until
from vmctl.storage import layers
from vmctl.storage.importing import import_image
from vmctl.storage.sources import HttpSource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.conftest import QemuImg

MIB = 1 << 20
DATA = random.Random(6).randbytes(6 * MIB)
PACKED = gzip.compress(DATA, 1)
SUMS = {"sha256": hashlib.sha256(PACKED).hexdigest()}

IMPORT = """
import sys, os, signal
from pathlib import Path
from vmctl.storage import importing, layers
from vmctl.storage.sources import HttpSource
directory, url, sha256, name, count = Path(sys.argv[1]), *sys.argv[2:6]
left = int(count)

def audit(event, arguments):
    # The audit hooks of Python see every system call that changes a directory or starts a program: die at the n-th.
    global left
    watched = {"os.rename", "os.remove", "subprocess.Popen", "os.truncate", "os.chmod"}
    opened = event == "open" and str(arguments[0]).startswith(str(directory))
    if event in watched or opened:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(audit)
importing.import_image(directory, name, HttpSource(url, {"sha256": sha256}))
"""


def attempt(store: Path, url: str, steps: int) -> int:
    """Import in a process of its own that dies before its n-th change of the world; returns how it ended."""
    command = [sys.executable, "-c", IMPORT, str(store), url, SUMS["sha256"], "layer", str(steps)]
    return subprocess.run(command, check=False, capture_output=True).returncode


def whole(store: Path, qemu_img: QemuImg, tmp_path: Path) -> bool:
    return qemu_img.content(store / "layer.qcow2", tmp_path) == DATA


def test_death_before_every_change_of_the_world(tmp_path: Path, qemu_img: QemuImg) -> None:
    """One step further each time, on a fresh directory: what is there afterwards is no layer, or the whole of it."""
    with serving(Behaviour(PACKED)) as url:
        for steps in range(200):
            store = tmp_path / f"store{steps}"
            ended = attempt(store, url, steps)
            if store.exists() and layers.exists(store, "layer"):
                assert whole(store, qemu_img, tmp_path)
            import_image(store, "layer", HttpSource(url, SUMS))
            assert whole(store, qemu_img, tmp_path)
            assert sorted(file.name for file in store.iterdir()) == ["layer.json", "layer.qcow2"]
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
        else:
            pytest.fail("the import never came to its end")
    assert steps > 10


def test_one_import_that_dies_again_and_again_gets_there(tmp_path: Path, qemu_img: QemuImg) -> None:
    """The same directory all the time, dying a little later each time: nothing piles up, nothing is fetched twice."""
    behaviour = Behaviour(PACKED)
    store = tmp_path / "store"
    with serving(behaviour) as url:
        for steps in range(200):
            if attempt(store, url, steps) == 0:
                break
    assert whole(store, qemu_img, tmp_path)
    assert sorted(file.name for file in store.iterdir()) == ["layer.json", "layer.qcow2"]


def test_death_in_the_middle_of_the_download_resumes_it(tmp_path: Path, qemu_img: QemuImg) -> None:
    store = tmp_path / "store"
    half, go_on = threading.Event(), threading.Event()

    def hold(sent: int) -> None:
        if sent >= len(PACKED) // 2 and not go_on.is_set():
            half.set()
            go_on.wait(60)

    behaviour = Behaviour(PACKED, before_chunk=hold)
    with serving(behaviour) as url:
        command = [sys.executable, "-c", IMPORT, str(store), url, SUMS["sha256"], "layer", "100000"]
        with subprocess.Popen(command) as importing:
            assert half.wait(60)
            part = store / "layer.part"
            until(lambda: part.exists() and part.stat().st_size >= len(PACKED) // 2)
            importing.kill()
        go_on.set()
        import_image(store, "layer", HttpSource(url, SUMS))
    assert whole(store, qemu_img, tmp_path)
    assert "range" in behaviour.requests[-1]
