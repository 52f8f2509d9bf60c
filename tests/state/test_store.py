"""Opening, identity, transactions, and what a damaged, full or foreign place does."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.state.samples import document, machine
from vmctl.errors import Bug, ChangeRefused, Corrupt, StateError
from vmctl.state import migrations
from vmctl.state.database import FILE
from vmctl.state.store import Store

if TYPE_CHECKING:
    from tests.state.conftest import Clock

VM = machine("linux-vm")
VERSIONS = Path(__file__).parent / "versions"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_lets_qemu_pass_and_the_database_lets_nobody_read(store: Store, directory: Path) -> None:
    store.apply(VM, document())
    assert mode(directory) == 0o711
    files = {entry.name: mode(entry) for entry in directory.iterdir()}
    assert files == {FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600, "create.lock": 0o600}


@pytest.mark.parametrize(
    ("content", "expected"), [("README.md", 0o711), ("manifests.cache", 0o711), ("thesis.tex", 0o750)]
)
def test_the_mode_of_a_directory_that_holds_other_things_stays(
    directory: Path, clock: Clock, content: str, expected: int
) -> None:
    directory.mkdir()
    (directory / content).touch()
    directory.chmod(0o750)
    Store.open(directory, clock=clock).close()
    assert mode(directory) == expected


def test_reading_a_missing_store_makes_nothing_and_finds_nothing(directory: Path, clock: Clock) -> None:
    with Store.open(directory, clock=clock, readonly=True) as reading:
        assert reading.list() == []
        assert (reading.get(VM), reading.events(), reading.layers(), reading.settled()) == (None, [], [], {})
        assert (reading.installation, reading.hash_key, reading.host) == ("", b"", None)
        assert not directory.exists()
        before = reading.data_version()
        with Store.open(directory, clock=clock) as writing:
            writing.apply(VM, document())
            assert [stored.key for stored in reading.list()] == [VM]
            assert reading.data_version() != before


def test_the_identity_is_made_once(directory: Path, clock: Clock) -> None:
    with Store.open(directory, clock=clock) as first:
        known = (first.installation, first.hash_key)
    with Store.open(directory, clock=clock) as second, Store.open(directory, clock=clock, readonly=True) as third:
        assert (second.installation, second.hash_key) == (third.installation, third.hash_key) == known
    assert len(known[1]) == 32
    shutil.rmtree(directory)
    with Store.open(directory, clock=clock) as other:
        assert other.installation != known[0]


def test_the_store_knows_its_host_and_refuses_another(store: Store) -> None:
    unbound = store.host
    assert unbound is None
    store.bind_host("uuid-1", "qemu:///system")
    store.bind_host("uuid-1", "qemu+ssh://root@host/system?keyfile=key")
    assert store.host == ("uuid-1", "qemu:///system")
    for uuid, uri in (("uuid-2", "qemu:///system"), ("uuid-1", "qemu:///session"), ("uuid-1", "test:///system")):
        with pytest.raises(Corrupt, match=r"belongs to the host uuid-1 \(qemu:///system\)") as refused:
            store.bind_host(uuid, uri)
        assert "--state-dir" in refused.value.remedy
        assert 'host_uuid = "uuid-1"' in refused.value.remedy


def test_a_batch_is_all_or_nothing(store: Store) -> None:
    def fail() -> None:
        with store.batch():
            store.apply(VM, document())
            assert store.get(VM) is not None
            store.begin("u1", "start", {})

    with pytest.raises(Bug):
        fail()
    assert store.get(VM) is None
    with store.batch():
        store.apply(VM, document())
        with pytest.raises(ChangeRefused):
            store.create(VM, document())
    assert store.get(VM) is not None


def test_other_threads_read_what_was_before_the_batch_without_waiting(store: Store) -> None:
    seen: list[object] = []
    with store.batch():
        store.apply(VM, document())
        reader = threading.Thread(target=lambda: seen.append(store.get(VM)))
        reader.start()
        reader.join(30)
        assert seen == [None]
    assert store.get(VM) is not None


def test_desired_state_waits_for_the_disk_and_statuses_do_not(store: Store) -> None:
    full, normal = 2, 1

    def synchronous(*, durable: bool) -> int:
        with store._database.writing(durable=durable) as connection:
            level: int = connection.execute("PRAGMA synchronous").fetchone()[0]
            return level

    assert [synchronous(durable=durable) for durable in (True, False, True)] == [full, normal, full]
    statements: list[str] = []
    with store._database.writing(durable=False) as connection:
        connection.set_trace_callback(statements.append)
    stored, _ = store.apply(VM, document())
    store.begin(stored.uid, "start", {})
    assert "PRAGMA synchronous = FULL" in statements
    statements.clear()
    store.set_status(stored.uid, {"phase": "Running"})
    assert statements[0] == "PRAGMA synchronous = NORMAL"


def test_the_data_version_moves_with_every_write_here_or_elsewhere(store: Store, directory: Path, clock: Clock) -> None:
    before = store.data_version()
    assert store.data_version() == before
    store.apply(VM, document())
    after = store.data_version()
    assert after != before
    store.apply(VM, document())
    assert store.data_version() == after
    with Store.open(directory, clock=clock) as other:
        other.apply(VM, document(cores=2))
    assert store.data_version() != after


@pytest.mark.parametrize("version", range(1, migrations.LATEST + 1))
@pytest.mark.parametrize("readonly", [False, True])
def test_a_store_of_any_earlier_version_is_brought_up_to_date(
    directory: Path, clock: Clock, version: int, *, readonly: bool
) -> None:
    directory.mkdir()
    with sqlite3.connect(directory / FILE) as old:
        old.executescript((VERSIONS / f"{version}.sql").read_text(encoding="utf-8"))
        old.execute("PRAGMA journal_mode = WAL")
        old.execute(f"PRAGMA user_version = {version}")
    old.close()
    with Store.open(directory, clock=clock, readonly=readonly) as store:
        found = store.get(VM)
        assert found is not None
        assert found.manifest()["spec"] == {"cpu": {"cores": 1}}
        assert (found.source, found.status, found.applied_meta) == (
            "one",
            {"phase": "Running"},
            {"labels": {"app": "nginx"}},
        )
        assert [event.count for event in store.events(VM)] == [2]
        assert [entry.step for entry in store.unfinished()] == ["start"]
        assert store.settled() == {found.uid: "digest"}
        assert store.notes(found.uid) == {"power": "off"}
        assert [layer.backing for layer in store.layers()] == [None, "a"]
        assert [source.revision for source in store.sources()] == ["c0ffee"]
        assert store.orders() == ([("one", VM, "digest")] if version > 1 else [])
        assert (len(store.installation), len(store.hash_key), store.host) == (36, 32, ("uuid-1", "qemu:///system"))
        shape = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
        with store._database.reading() as connection:
            migrated = connection.execute(shape).fetchall()
    with (
        Store.open(directory.with_name("new"), clock=clock) as new,
        new._database.reading() as connection,
    ):
        assert connection.execute(shape).fetchall() == migrated


@pytest.mark.parametrize("readonly", [False, True])
def test_a_store_of_a_later_version_is_refused(directory: Path, clock: Clock, *, readonly: bool) -> None:
    Store.open(directory, clock=clock).close()
    with sqlite3.connect(directory / FILE) as later:
        later.execute(f"PRAGMA user_version = {migrations.LATEST + 1}")
    later.close()
    with pytest.raises(StateError, match="knows versions up to") as refused:
        Store.open(directory, clock=clock, readonly=readonly)
    assert "newer vmctl" in refused.value.remedy


def test_what_a_dead_creator_left_is_no_obstacle(directory: Path, clock: Clock) -> None:
    directory.mkdir()
    for name in (f"{FILE}.new", f"{FILE}.new-wal", f"{FILE}.new-shm"):
        (directory / name).write_bytes(b"half")
    with Store.open(directory, clock=clock) as store:
        store.apply(VM, document())
        assert store.faults() == []
    assert sorted(entry.name for entry in directory.iterdir()) == ["create.lock", FILE]


@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_no_database_is_corrupt(directory: Path, clock: Clock, *, readonly: bool) -> None:
    directory.mkdir()
    (directory / FILE).write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(Corrupt, match="damaged") as refused:
        Store.open(directory, clock=clock, readonly=readonly)
    assert "backup" in refused.value.remedy


def test_damaged_pages_are_found(directory: Path, clock: Clock) -> None:
    with Store.open(directory, clock=clock) as store, store.batch():
        for number in range(200):
            store.apply(machine(f"vm-{number}"), document(f"vm-{number}"))
    file = directory / FILE
    sound = file.read_bytes()
    file.write_bytes(sound[:8192] + b"\xff" * (len(sound) - 16384) + sound[-8192:])
    with Store.open(directory, clock=clock, readonly=True) as store:
        with pytest.raises(Corrupt, match="damaged"):
            store.list()
        with pytest.raises(Corrupt, match="damaged"):
            assert store.faults() == []


def test_a_document_that_is_no_json_is_corrupt(store: Store) -> None:
    stored, _ = store.apply(VM, document())
    store.begin(stored.uid, "start", {})
    with store._database.writing(durable=False) as connection:
        connection.execute("UPDATE objects SET document = '{'")
        connection.execute("UPDATE journal SET detail = '{'")
    with pytest.raises(Corrupt, match="no JSON"):
        store.get(VM)
    with pytest.raises(Corrupt, match="no JSON"):
        store.unfinished()


def test_a_directory_that_is_a_file_is_named(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateError, match="cannot be used: Not a directory") as refused:
        Store.open(tmp_path / "state", clock=clock)
    assert "--state-dir" in refused.value.remedy


INSIDE = """
import sys
from pathlib import Path
from tests.state.samples import document, machine
from vmctl.errors import StateError
from vmctl.state.store import Store

directory = Path(sys.argv[1])
try:
    with Store.open(directory, clock=lambda: 0.0, readonly=sys.argv[2] == "read") as store:
        if sys.argv[2] == "read":
            print([stored.key.name for stored in store.list()])
        for number in range(100_000 if sys.argv[2] == "fill" else 0):
            store.apply(machine(f"vm-{number}"), document(f"vm-{number}", annotations={"pad": "x" * 4000}))
except StateError as error:
    print(type(error).__name__, error.message, error.remedy, sep="|")
with Store.open(directory, clock=lambda: 0.0, readonly=True) as store:
    print(len(store.list()), store.faults())
"""

UNSHARE = shutil.which("unshare")
PRIVATE = [UNSHARE or "unshare", "--user", "--map-root-user", "--mount"]
own_mounts = pytest.mark.skipif(
    UNSHARE is None or subprocess.run([*PRIVATE, "true"], check=False, capture_output=True).returncode != 0,
    reason="this user may not have mounts of its own",
)


def inside(mounting: str, directory: Path, what: str) -> list[str]:
    """Run the script above where `mounting` has been done, and return its lines."""
    shell = ["sh", "-ec", f'{mounting}; exec "$@"', "sh"]
    done = subprocess.run(
        [*PRIVATE, *shell, sys.executable, "-c", INSIDE, str(directory), what],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    return done.stdout.splitlines()


@own_mounts
def test_a_full_disk_is_said_and_what_was_recorded_stays(directory: Path) -> None:
    directory.mkdir()
    refused, rest = inside(f"mount -t tmpfs -o size=2m tmpfs {directory}", directory, "fill")
    kind, message, remedy = refused.split("|")
    assert kind == "StateError"
    assert "no space is left" in message
    assert "free some space" in remedy
    count, faults = rest.split(" ", 1)
    assert int(count) > 10
    assert faults == "[]"


@own_mounts
def test_a_read_only_file_system_can_be_read_and_says_why_it_cannot_be_written(directory: Path, clock: Clock) -> None:
    with Store.open(directory, clock=clock) as store:
        store.apply(VM, document())
    readonly = f"mount --bind {directory} {directory}; mount -o remount,bind,ro {directory}"
    assert inside(readonly, directory, "read") == ["['linux-vm']", "1 []"]
    kind, message, remedy = inside(readonly, directory, "fill")[0].split("|")
    assert kind == "StateError"
    assert "cannot be opened or written" in message
    assert "writable file system" in remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_told_whose_it_is(clock: Clock) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        directory = Path(name) / "state"
        with Store.open(directory, clock=clock) as store:
            store.apply(VM, document())
        child = os.fork()
        if child == 0:
            told = 1
            try:
                os.setresuid(65534, 65534, 65534)
                Store.open(directory, clock=clock, readonly=True)
            except StateError as error:
                told = 0 if "must belong to you" in error.remedy else 2
            finally:
                os._exit(told)  # whatever happened: this must not go on as a second pytest
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
