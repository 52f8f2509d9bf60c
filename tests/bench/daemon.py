"""The daemon over many machines that are off: from a saved file to libvirt, a resync, and what doing nothing costs."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from tests.bench.measuring import Line
from tests.waiting import until
from vmctl.engine import settled
from vmctl.engine.ledger import Ledger
from vmctl.engine.session import place_of
from vmctl.engine.settings import Settings
from vmctl.hypervisor.libvirt_driver import LibvirtDriver
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.stage import Stage

NAME = "watched"
QUIET_S = 6.0  # until the daemon has marked what came to rest
CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG


def lines(stage: Stage) -> Iterator[Line]:
    """Three lines; the directory is watched by a daemon of its own process throughout."""
    number, edits, idle_s = (5, 3, 3.0) if stage.quick else (500, 60, 125.0)
    directory = stage.machines(NAME, number, "AlwaysOff")
    stage.vmctl("apply", "-q", "-f", str(directory))
    connection = libvirt.open(stage.uri)
    with _daemon(stage, directory) as process:
        yield _idle(process, number, idle_s)
        yield from _saves(connection, directory, number, edits, process.pid)
    yield _resync(stage, connection, number)
    connection.close()
    stage.clear()


@contextmanager
def _daemon(stage: Stage, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that has come to rest."""
    command = [str(Path(sys.executable).with_name("vmctl")), "run", "-f", str(directory)]
    process = subprocess.Popen(command, env=stage.environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (stage.state / "engine.bell").exists(), "the daemon")
        stage.vmctl("apply", "-q", "-f", str(directory))  # returns when nothing is left to do
        time.sleep(QUIET_S)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _idle(process: subprocess.Popen[bytes], number: int, seconds: float) -> Line:
    """What it uses while nothing happens, two resyncs among it."""
    before, began = _processor_s(process.pid), time.monotonic()
    time.sleep(seconds)
    used, passed = _processor_s(process.pid) - before, time.monotonic() - began
    remark = f"{100 * used / passed:.2f} % of a core, {_resident_mib(process.pid):.0f} MiB resident"
    return Line(f"run, idle ({number} machines)", "the time that passes", used, passed, target=0.005, remark=remark)


def _saves(connection: Any, directory: Path, number: int, edits: int, pid: int) -> Iterator[Line]:
    """From the rename of a saved file until libvirt shows the change, as a median and as the slowest of twenty; and how
    large the daemon is after that, with all it imports for passes.
    """
    taken: list[float] = []
    raw: list[float] = []
    for index in range(edits):
        name = f"{NAME}-{index % number:05}"
        domain = connection.lookupByName(name)
        document = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        raw.append(_timed(partial(connection.defineXML, document)))
        taken.append(_save(domain, directory / f"{name}.yaml"))
        time.sleep(0.3)
    theirs = statistics.median(raw)
    what = f"file saved → libvirt ({number} machines)"
    yield Line(f"{what}, median", "defineXML alone", statistics.median(taken), theirs)
    slow = sorted(taken)[int(len(taken) * 0.95)]
    remark = f"{_resident_mib(pid):.0f} MiB resident"
    yield Line(f"{what}, 95 of 100", "defineXML alone", slow, theirs, limit_s=0.15, remark=remark)


def _save(domain: Any, file: Path) -> float:
    before = domain.vcpusFlags(CONFIG)
    after = 3 - before
    beside = file.with_name(f".{file.name}")
    beside.write_text(file.read_text().replace(f"cores: {before}", f"cores: {after}"))
    began = time.perf_counter()
    beside.rename(file)
    until(lambda: domain.vcpusFlags(CONFIG) == after, f"{after} cores in {file.name}", every_s=0.001)
    return time.perf_counter() - began


def _resync(stage: Stage, connection: Any, number: int) -> Line:
    """What tells which objects have moved, against reading every domain's document once."""
    settings = Settings(stage.uri, stage.state)
    with Store.open(stage.state, clock=time.time, readonly=True) as store:
        driver = LibvirtDriver(stage.uri, store.installation)
        place, ledger = place_of(settings, store, store.installation), Ledger(store)

        def ours() -> None:
            ledger.refresh()
            settled.digests(ledger.snapshot(), driver.listing(), store.layers(), place, time.time())

        def raw() -> None:
            for domain in connection.listAllDomains(0):
                domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)

        taken = [(_timed(ours), _timed(raw)) for _ in range(stage.repetitions * 3)]
        driver.close()
    mine, theirs = (statistics.median(column) for column in zip(*taken, strict=True))
    return Line(f"resync ({number} machines)", "libvirt-python, every document", mine, theirs, target=2)


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _processor_s(pid: int) -> float:
    """Processor time that a process has used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
