"""`vmctl console`: the serial console of a machine, or the transcript of what it has said."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmctl.cli import asking, output
from vmctl.cli.completing import machines
from vmctl.cli.durations import DURATION
from vmctl.cli.options import namespace_option, pass_session, verb
from vmctl.errors import NotFoundError, TimedOut, UsageError
from vmctl.planning.place import console_log
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.cli.session import Session
    from vmctl.hypervisor.driver import Driver
    from vmctl.state.stored import Stored

_POLL_S = 0.5
_CHUNK_BYTES = 1 << 20
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|\r")
_MACHINE = "VirtualMachine"


@verb(
    "console",
    examples="""
    vmctl console linux-vm
    vmctl console linux-vm --force
    vmctl console linux-vm --log | tail -n 50
    """,
)
@click.argument("name", shell_complete=machines)
@click.option("--log", "transcript", is_flag=True, help="Print what the console has said so far, and return.")
@click.option("--force", is_flag=True, help="Take the console over from whoever has it.")
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="How long to wait for the machine.")
@namespace_option
@pass_session
def command(session: Session, name: str, transcript: bool, force: bool, timeout: float) -> None:
    """Connect to the serial console of a machine; Ctrl+] leaves it.

    Waits until the machine runs. Everything the console says is recorded, connected or not: --log prints it.
    """
    machine = _machine(session, name)
    if transcript:
        _print_transcript(session.settings.state_dir, machine)
        return
    from vmctl.cli.terminal import talk

    driver = session.connect(events=True)
    try:
        _wait_until_running(driver, machine, timeout)
        console = driver.console(machine.uid, force=force)
        output.remark(f"Successfully connected to {machine.key.name} console. The escape sequence is ^]")
        ending = talk(console)
    finally:
        driver.close()
    output.remark("")  # the guest's last line seldom ends
    if ending == "closed":
        output.remark(f"the console of {machine.key.name} ended: the machine went off, or somebody took it over")


def _machine(session: Session, name: str) -> Stored:
    kind, slash, rest = name.rpartition("/")
    if slash and asking.kind_of(kind).name != _MACHINE:
        raise UsageError(f"{name} is no virtual machine", remedy="only machines have a console")
    key = Key(_MACHINE, session.namespace, rest)
    found = session.store.get(key)
    if found is None:
        raise NotFoundError(asking.not_found(key), remedy="vmctl get vm  lists the machines")
    return found


def _wait_until_running(driver: Driver, machine: Stored, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    told = False
    while True:
        found = driver.observe(machine.uid)
        if found is not None and found.power in ("running", "paused", "stopping"):
            return
        if time.monotonic() >= end:
            state = found.power if found else "not there"
            raise TimedOut(
                f"{machine.key.short} does not run (it is {state})", remedy=f"vmctl describe vm {machine.key.name}"
            )
        if not told:
            output.remark(f"waiting until {machine.key.name} runs (Ctrl+C ends this)")
            told = True
        time.sleep(_POLL_S)


def _print_transcript(state_dir: Path, machine: Stored) -> None:
    """The parts that virtlogd has put aside (`.log.1`, `.log.0`), then the one being written."""
    current = Path(console_log(str(state_dir), machine.uid))
    parts = [*sorted(current.parent.glob(f"{current.name}.*"), reverse=True), current]
    present = [part for part in parts if part.exists()]
    if not present:
        output.remark(f"nothing is recorded of the console of {machine.key.name}: it has not run yet")
        return
    clean = sys.stdout.isatty()
    for part in present:
        for chunk in _chunks(part):
            if clean:
                output.data(output.printable(_SEQUENCES.sub("", chunk.decode(errors="replace")), lines=True))
            else:
                output.raw(chunk)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except PermissionError as error:
        raise UsageError(f"{path} may not be read by this user", remedy="run vmctl as root") from error
