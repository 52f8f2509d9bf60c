"""A process that writes is killed at every statement of its work: the store holds all of a transaction or nothing of
it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.state.samples import document, machine
from vmctl.state.store import Store

if TYPE_CHECKING:
    from tests.state.conftest import Clock

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from tests.state.samples import document, machine
from vmctl.state.store import Store

store = Store.open(Path(sys.argv[1]), clock=lambda: 0.0)
left = int(sys.argv[2])

def count(statement):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

with store._database.writing(durable=True) as connection:
    connection.set_trace_callback(count)
with store.batch():
    for name in "abc":
        store.apply(machine(name), document(name, cores=2))
    store.remove(store.get(machine("old")).uid)
print("batch", flush=True)
number = store.begin("u1", "start", {})
print("begun", flush=True)
store.set_status(store.get(machine("a")).uid, {"phase": "Running"})
print("status", flush=True)
store.finish(number)
print("finished", flush=True)
os.kill(os.getpid(), signal.SIGKILL)  # no close, no folding of the log
"""


def killed(directory: Path, statements: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(directory), str(statements)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout.split()


def test_what_a_killed_writer_said_is_there_and_nothing_is_half_there(tmp_path: Path, clock: Clock) -> None:
    seen: set[int] = set()
    for statements in range(200):
        directory = tmp_path / str(statements)
        with Store.open(directory, clock=clock) as store:
            store.apply(machine("a"), document("a"))
            store.apply(machine("old"), document("old"))
        said = killed(directory, statements)
        seen.add(len(said))
        for readonly in (True, False):
            with Store.open(directory, clock=clock, readonly=readonly) as store:
                agrees(store, said)
        if "finished" in said:
            break
    assert seen == {0, 1, 2, 3, 4}


def agrees(store: Store, said: list[str]) -> None:
    assert store.faults() == []
    found = {stored.key.name: stored for stored in store.list()}
    before, after = {"a", "old"}, {"a", "b", "c"}
    assert set(found) in (before, after)
    assert found["a"].generation == (2 if "b" in found else 1)
    if "batch" in said:
        assert set(found) == after
    if "begun" in said and "status" not in said:
        assert [entry.step for entry in store.unfinished()] == ["start"]
    if "status" in said:
        assert found["a"].status == {"phase": "Running"}
    if "finished" in said:
        assert store.unfinished() == []


CREATOR = """
import sys
from pathlib import Path
from vmctl.state.store import Store
print("ready", flush=True)
sys.stdin.readline()
with Store.open(Path(sys.argv[1]), clock=lambda: 0.0) as store:
    print(store.installation)
"""


def test_processes_that_make_the_store_at_once_make_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATOR, str(tmp_path / "state")]
    creators = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for creator in creators:
        assert creator.stdout is not None
        assert creator.stdout.readline() == "ready\n"
    for creator in creators:
        assert creator.stdin is not None
        creator.stdin.write("\n")
        creator.stdin.flush()
    answers = [creator.communicate()[0] for creator in creators]
    assert [creator.returncode for creator in creators] == [0] * 6
    assert len(set(answers)) == 1


WRITER = """
import sys
from pathlib import Path
from tests.state.samples import document, machine
from vmctl.state.store import Store

with Store.open(Path(sys.argv[1]), clock=lambda: 0.0) as store:
    for number in range(60):
        wanted = document("shared", cores=number % 7, labels={sys.argv[2]: str(number)})
        stored, _ = store.apply(machine("shared"), wanted)
        store.create(machine(f"own-{sys.argv[2]}-{number}"), document())
        store.set_status(stored.uid, {"writer": sys.argv[2], "number": number})
        store.record_event(stored.key, "Normal", "Written", "by all")
        store.finish(store.begin(stored.uid, "write", {}))
"""


def test_processes_write_at_the_same_time_and_nothing_is_lost(tmp_path: Path, clock: Clock) -> None:
    directory = tmp_path / "state"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with Store.open(directory, clock=clock) as store:
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(directory), name], env=environment) for name in "abcd"
        ]
        version = 0
        while any(writer.poll() is None for writer in writers):
            versions = [stored.resource_version for stored in store.list()]
            assert len(set(versions)) == len(versions)
            assert max(versions, default=0) >= version
            version = max(versions, default=0)
        assert [writer.returncode for writer in writers] == [0] * 4
        assert len(store.list()) == 241
        assert store.events()[0].count == 240
        assert store.unfinished() == []
