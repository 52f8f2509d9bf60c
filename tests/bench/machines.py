"""Making machines, and finding them as they are, against the same calls without an engine."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import libvirt

from tests.bench.measuring import Line, Sample, in_turns, run
from tests.bench.stage import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.stage import Stage

IDLE_ROUNDS = 7
FIRMWARE_S = 5  # until the last guest's firmware has found nothing to boot and halts: two processors are few for fifty


def lines(stage: Stage) -> Iterator[Line]:
    """First apply and idle apply of fifty running machines, then how the work grows with their number."""
    number = 3 if stage.quick else 50
    directory = stage.machines("made", number, "AlwaysOnUnlessStoppedManually")
    stage.vmctl("apply", "-q", "-f", str(directory))  # the network, libvirt's caches: once for all contenders
    work = _as_it_is(stage)
    stage.clear()
    yield from _making(stage, directory, work, number)
    stage.vmctl("apply", "-q", "-f", str(directory), "--wait")
    time.sleep(FIRMWARE_S)
    yield _idle(stage, directory, number)
    stage.clear()
    yield _growth(stage)


def _making(stage: Stage, directory: Path, work: Path, number: int) -> Iterator[Line]:
    shell = _for_shell(stage, work)

    def ours() -> Sample:
        sample = stage.vmctl("apply", "-q", "-f", str(directory))
        stage.clear()
        return sample

    def straight() -> Sample:
        sample = stage.straight("make", str(work))
        stage.straight("clear", str(work))
        return sample

    def loop() -> Sample:
        sample = run([str(HERE / "loop.sh"), stage.uri, str(shell)], stage.environment)
        stage.straight("clear", str(work))
        return sample

    taken = in_turns(stage.repetitions, ours=ours, straight=straight, loop=loop)
    what = f"apply ({number} machines with a disk each)"
    against = "qemu-img, libvirt-python, 4 threads"
    yield Line(what, against, taken["ours"].seconds, taken["straight"].seconds, target=1.10)
    yield Line(what, "loop of qemu-img, virsh define, start", taken["ours"].seconds, taken["loop"].seconds)


def _idle(stage: Stage, directory: Path, number: int) -> Line:
    taken = in_turns(
        stage.repetitions * IDLE_ROUNDS,
        ours=lambda: stage.vmctl("apply", "-q", "-f", str(directory)),
        listing=lambda: stage.straight("list"),
    )
    what = f"apply again, nothing to do ({number} machines)"
    theirs = "libvirt-python reads all documents"
    return Line(what, theirs, taken["ours"].seconds, taken["listing"].seconds, target=3, limit_s=0.3)


def _growth(stage: Stage) -> Line:
    few, many = (5, 15) if stage.quick else (100, 1000)

    def per_machine(number: int) -> Sample:
        directory = stage.machines(f"grown{number}", number, "AlwaysOff")
        sample = stage.vmctl("apply", "-q", "-f", str(directory))
        stage.clear()
        return Sample(sample.seconds / number, sample.peak_kib)

    small, large = per_machine(few), per_machine(many)
    remark = f"{large.peak_kib / 1024:.0f} MiB at most"
    what = f"apply of {many} machines that stay off, each"
    return Line(what, f"the same for {few}", large.seconds, small.seconds, remark=remark)


def _as_it_is(stage: Stage) -> Path:
    """What the driver wrote, for the contenders to write the same: the documents, and the disks that they name."""
    sizes = _disk_sizes(stage)
    found = []
    with closing(libvirt.open(stage.uri)) as connection:
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            document = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            sources = (source.get("file", "") for source in ET.fromstring(document).iterfind("./devices/disk/source"))
            disks = [{"path": path, "bytes": size} for path in sources for size in [sizes[path]]]
            found.append({"name": domain.name(), "document": document, "disks": disks})
    work = stage.base / "work.json"
    work.write_text(json.dumps(found))
    return work


def _disk_sizes(stage: Stage) -> dict[str, int]:
    directory = stage.base / "state" / "storage" / "local"
    with closing(sqlite3.connect(f"file:{stage.base}/state/vmctl.db?mode=ro", uri=True)) as store:
        return {f"{directory}/{layer}.qcow2": size for layer, size in store.execute("SELECT id, size FROM layers")}


def _for_shell(stage: Stage, work: Path) -> Path:
    directory = stage.fresh("loop")
    machines: list[dict[str, Any]] = json.loads(work.read_text())
    for machine in machines:
        (disk,) = machine["disks"]
        (directory / f"{machine['name']}.xml").write_text(machine["document"])
        (directory / f"{machine['name']}.disk").write_text(disk["path"])
        (directory / f"{machine['name']}.size").write_text(str(disk["bytes"]))
    return directory
