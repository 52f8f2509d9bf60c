"""The measurements run and print every line. How long anything took is for a reader, not for a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (
    "get vm (5 machines)",
    "virsh list --all",
    "python -c pass",
    "load 20 manifests, cold",
    "load 60 manifests, unchanged",
    "qemu-img, libvirt-python, 4 threads",
    "loop of qemu-img, virsh define, start",
    "apply again, nothing to do (3 machines)",
    "apply of 15 machines that stay off, each",
    "10 disks from a 10 GiB image",
    "guest reboot with a change waiting",
    "run, idle (5 machines)",
    "file saved → libvirt (5 machines), median",
    "resync (5 machines)",
)


@pytest.mark.full
@pytest.mark.e2e
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts a libvirt host of its own")
def test_every_line_is_measured_and_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--repetitions", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    missing = [line for line in LINES if line not in done.stdout]
    assert not missing, done.stdout
