"""`python -m tests.bench` takes all measurements and prints the table. Root only: it starts its own libvirt host."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import daemon, disks, listing, loading, machines, reboots, table
from tests.bench.stage import Stage
from tests.e2e.private_host import PrivateHost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.measuring import Line

PARTS = {
    "listing": listing.lines,
    "loading": loading.lines,
    "machines": machines.lines,
    "disks": disks.lines,
    "reboots": reboots.lines,
    "daemon": daemon.lines,
}


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for, or all of it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("part", nargs="*", default=[], help=f"which parts: {', '.join(PARTS)}; all unless given")
    parser.add_argument("--quick", action="store_true", help="small numbers: shows that it runs, not how fast")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="turns of each contender (3)")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.part) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if os.geteuid() != 0:
        parser.error("run it as root: it starts a libvirt host of its own")
    measured = _measure(asked.part or list(PARTS), asked.repetitions, quick=asked.quick)
    print(table.aligned(table.rows(measured)))
    return 0


def _measure(parts: Sequence[str], repetitions: int, *, quick: bool) -> list[Line]:
    """Take the measurements one after the other, each telling stderr when it begins."""
    base = Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
    base.chmod(0o755)  # QEMU's own user passes through
    print(table.machine(), flush=True)
    try:
        with PrivateHost(base / "host") as host:
            stage = Stage(host.uri, base, repetitions, quick)
            stage.anchor()
            found: list[Line] = []
            for part in parts:
                print(f"measuring {part} …", file=sys.stderr, flush=True)
                found += PARTS[part](stage)
            return found
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
