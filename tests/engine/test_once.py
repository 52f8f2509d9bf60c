"""What is carried out once: an operation whose document stays in its directory when its object has gone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.engine.daemons import Daemon
from tests.waiting import until
from vmctl.engine import applying, once, pruning
from vmctl.manifests import loading
from vmctl.manifests.sources import source_of
from vmctl.resources import registry
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.lab import Lab
    from vmctl.engine.applying import Applied

OPERATION = Key("VirtualMachineOperation", "default", "restart-web")
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: east}\n"


def operation(type_: str = "Restart", label: str = "a") -> str:
    return f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachineOperation
metadata: {{name: restart-web, labels: {{ticket: {label}}}}}
spec: {{type: {type_}, virtualMachineName: web}}
"""


@pytest.fixture
def home(lab: Lab) -> Path:
    """A directory that this store has applied before."""
    path = lab.directory / "home"
    path.mkdir()
    (path / "east.yaml").write_text(NAMESPACE)
    apply(lab, path)
    return path


def apply(lab: Lab, path: Path, *, below: bool = False) -> Applied | None:
    """Store what a directory or a file declares, and forget what left it, as `vmctl apply --keep-going` does; what is
    said of the operation.
    """
    loaded = loading.load([str(path)], recursive=below)
    sources = tuple(map(source_of, loaded.directories))
    looks = [pruning.scan(loaded, source, below=below) for source in sources]
    with lab.session() as session:
        for look in looks:
            pruning.begin(session.store, look)
        good = applying.judge(loaded, keep_going=True)
        applied = applying.store_all(session.store, session.ledger, good, sources=sources)
        for look in looks:
            pruning.catch_up(session.store, look)
            pruning.forget(session.store, look)
    return next((item for item in applied if item.key == OPERATION), None)


def collect(lab: Lab) -> None:
    """The finished operation is collected."""
    with lab.session() as session:
        stored = session.store.get(OPERATION)
        assert stored is not None
        session.store.remove(stored.uid)


def exists(lab: Lab) -> bool:
    with lab.session() as session:
        return session.store.get(OPERATION) is not None


def test_it_is_not_made_again_when_its_object_has_gone(lab: Lab, home: Path) -> None:
    (home / "op.yaml").write_text(operation())
    assert apply(lab, home) == applying.Applied(OPERATION, "created")
    assert apply(lab, home) == applying.Applied(OPERATION, "unchanged")
    collect(lab)
    for _ in range(2):
        assert apply(lab, home) == applying.Applied(OPERATION, "unchanged")
    (home / "op.yaml").write_text(operation(label="b"))  # labels are no other order
    assert apply(lab, home) == applying.Applied(OPERATION, "unchanged")
    assert not exists(lab)


def test_another_spec_under_the_same_name_is_another_operation(lab: Lab, home: Path) -> None:
    (home / "op.yaml").write_text(operation())
    apply(lab, home)
    collect(lab)
    (home / "op.yaml").write_text(operation("Stop"))
    assert apply(lab, home) == applying.Applied(OPERATION, "created")
    collect(lab)
    assert apply(lab, home) == applying.Applied(OPERATION, "unchanged")


def test_a_store_without_history_carries_nothing_out_and_says_how(lab: Lab) -> None:
    path = lab.directory / "home"
    path.mkdir()
    (path / "op.yaml").write_text(operation())
    said = apply(lab, path)
    assert said is not None
    assert str(said) == (
        "virtualmachineoperation.virtualization.deckhouse.io/restart-web not executed: this store has no history of"
        f" {path}, so it may have been carried out before; create it with `vmctl create -f {path}/op.yaml` if it is"
        " meant"
    )
    assert not exists(lab)
    assert apply(lab, path) == applying.Applied(OPERATION, "unchanged")
    assert not exists(lab)
    (path / "op.yaml").write_text(operation("Stop"))
    assert apply(lab, path) == applying.Applied(OPERATION, "created")


def test_what_left_the_directory_is_forgotten_and_means_something_anew(lab: Lab, home: Path) -> None:
    (home / "op.yaml").write_text(operation())
    apply(lab, home)
    collect(lab)
    (home / "op.yaml").unlink()
    apply(lab, home)
    (home / "op.yaml").write_text(operation())
    assert apply(lab, home) == applying.Applied(OPERATION, "created")


def test_an_incomplete_look_forgets_nothing(lab: Lab, home: Path) -> None:
    (home / "op.yaml").write_text(operation())
    apply(lab, home)
    (home / "op.yaml").write_text(operation().replace("Restart", "Rest"))
    loaded = loading.load([str(home)])
    look = pruning.scan(loaded, source_of(str(home)), below=False)
    assert look.incomplete
    assert OPERATION not in look.present
    with lab.session() as session:
        pruning.forget(session.store, look)
        assert [order.key for order in once.of_source(session.store, look.source)] == [OPERATION]


def test_one_that_was_made_by_hand_is_remembered_once_its_directory_declares_it(lab: Lab, home: Path) -> None:
    alone = lab.directory / "op.yaml"
    alone.write_text(operation())
    assert apply(lab, alone) == applying.Applied(OPERATION, "created")
    (home / "op.yaml").write_text(operation())
    assert apply(lab, home) == applying.Applied(OPERATION, "unchanged")
    collect(lab)
    assert apply(lab, home) == applying.Applied(OPERATION, "unchanged")


def test_files_make_it_whenever_it_is_not_there(lab: Lab) -> None:
    alone = lab.directory / "op.yaml"
    alone.write_text(operation())
    for _ in range(2):
        assert apply(lab, alone) == applying.Applied(OPERATION, "created")
        collect(lab)


def test_a_look_says_the_same_and_writes_nothing(lab: Lab, home: Path) -> None:
    (home / "op.yaml").write_text(operation())
    loaded = loading.load([str(home)])
    with lab.session() as session:
        before = session.store.data_version()
        found = once.sort_out(session.store, session.ledger, loaded.manifests, [source_of(str(home))])
        assert session.store.data_version() == before
    assert [item.key for item in found.meant if item.key == OPERATION] == [OPERATION]
    apply(lab, home)
    collect(lab)
    with lab.session() as session:
        found = once.sort_out(session.store, session.ledger, loaded.manifests, [source_of(str(home))])
    assert [item.key for item in found.over] == [OPERATION]
    assert [str(item) for item in applying.not_again(found)] == [f"{OPERATION} unchanged"]


def test_the_kinds_that_are_carried_out_once_are_those_that_act_and_end() -> None:
    assert {kind.name for kind in registry.KINDS if kind.once} == {
        "VirtualMachineOperation",
        "VirtualMachineRestore",
        "VirtualMachineSnapshotOperation",
    }


def test_a_daemon_forgets_what_has_been_absent_for_a_while(lab: Lab) -> None:
    """A checkout that is half done must not make it carry out again what merely vanished for a moment."""
    with Daemon(lab) as daemon:
        daemon.save("east.yaml", NAMESPACE)
        until(lambda: daemon.session.store.get(Key("Namespace", "", "east")))
        daemon.save("op.yaml", operation())
        until(lambda: exists_in(daemon))
        with daemon.session.store.batch():
            stored = daemon.session.store.get(OPERATION)
            assert stored is not None
            daemon.session.store.remove(stored.uid)
        daemon.session.ledger.refresh()
        (daemon.directory / "op.yaml").unlink()
        daemon.looked()
        daemon.save("op.yaml", operation())
        daemon.looked()
        assert not exists_in(daemon)
        (daemon.directory / "op.yaml").unlink()
        daemon.looked()
        daemon.leap(31)
        until(lambda: not daemon.session.store.orders())
        daemon.save("op.yaml", operation())
        until(lambda: exists_in(daemon))


def exists_in(daemon: Daemon) -> bool:
    return daemon.session.store.get(OPERATION) is not None


def test_a_look_that_passes_over_its_directory_does_not_forget_it(lab: Lab, home: Path) -> None:
    (home / "below").mkdir()
    (home / "below" / "op.yaml").write_text(operation())
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "created")
    collect(lab)
    apply(lab, home)  # somebody forgets -R
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "unchanged")
    (home / "below").rename(lab.directory / "elsewhere")
    (home / "below").symlink_to(lab.directory / "not mounted")
    apply(lab, home, below=True)
    (home / "below").unlink()
    (lab.directory / "elsewhere").rename(home / "below")
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "unchanged")
    assert not exists(lab)


def test_what_was_applied_as_a_file_is_not_carried_out_again_with_its_directory(lab: Lab, home: Path) -> None:
    file = home / "op.yaml"
    file.write_text(operation())
    assert apply(lab, file) == applying.Applied(OPERATION, "created")
    collect(lab)
    assert apply(lab, home) == applying.Applied(OPERATION, "unchanged")
    assert not exists(lab)
    file.unlink()
    apply(lab, home)
    file.write_text(operation())
    assert apply(lab, home) == applying.Applied(OPERATION, "created"), "it left, and came back: it is meant anew"


def test_a_document_is_the_same_whichever_way_it_is_reached(lab: Lab, home: Path) -> None:
    """As a file, with its own directory, or with one above it, and the other way round."""
    ops = home / "ops"
    ops.mkdir()
    file = ops / "op.yaml"
    file.write_text(operation())
    assert apply(lab, file) == applying.Applied(OPERATION, "created")
    collect(lab)
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "unchanged")
    assert apply(lab, ops) == applying.Applied(OPERATION, "unchanged")
    file.write_text(operation("Stop"))
    assert apply(lab, ops) == applying.Applied(OPERATION, "created"), "another spec is another order"
    collect(lab)
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "unchanged")
    file.write_text(operation())
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "created"), "and the first one is, after it"
    collect(lab)
    file.rename(home / "moved.yaml")
    assert apply(lab, home) == applying.Applied(OPERATION, "unchanged")
    assert not exists(lab)


def test_what_was_applied_as_a_file_below_is_forgotten_when_it_has_left(lab: Lab, home: Path) -> None:
    file = home / "ops" / "op.yaml"
    file.parent.mkdir()
    file.write_text(operation())
    apply(lab, file)
    collect(lab)
    file.unlink()
    apply(lab, home)  # which does not read the directory below
    file.write_text(operation())
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "unchanged")
    file.unlink()
    apply(lab, home, below=True)
    file.write_text(operation())
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "created")


def test_a_document_behind_a_link_is_the_one_that_was_applied_as_a_file(lab: Lab, home: Path) -> None:
    elsewhere = lab.directory / "elsewhere"
    elsewhere.mkdir()
    (home / "ops").symlink_to(elsewhere)
    (elsewhere / "op.yaml").write_text(operation())
    assert apply(lab, home / "ops" / "op.yaml") == applying.Applied(OPERATION, "created")
    collect(lab)
    assert apply(lab, home, below=True) == applying.Applied(OPERATION, "unchanged")
    assert not exists(lab)


def test_a_clone_that_moves_remembers_what_was_applied_as_a_file(lab: Lab, home: Path) -> None:
    (home / "ops").mkdir()
    (home / "ops" / "op.yaml").write_text(operation())
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, "-C", str(home), *words], check=True)
    apply(lab, home)  # known by its commit from now on
    assert apply(lab, home / "ops" / "op.yaml") == applying.Applied(OPERATION, "created")
    collect(lab)
    moved = home.rename(lab.directory / "moved")
    assert apply(lab, moved, below=True) == applying.Applied(OPERATION, "unchanged")
    assert not exists(lab)


def test_what_the_first_look_could_not_read_has_no_history(lab: Lab) -> None:
    """A store that was lost: what a bad file asks for may have been carried out before, as what a good one asks for."""
    path = lab.directory / "home"
    path.mkdir()
    (path / "east.yaml").write_text(NAMESPACE)
    (path / "op.yaml").write_text(operation("Rest"))
    assert apply(lab, path) is None
    (path / "op.yaml").write_text(operation())
    said = apply(lab, path)
    assert said is not None
    assert said.done == "not executed"
    assert apply(lab, path) == applying.Applied(OPERATION, "unchanged")
    (path / "op.yaml").unlink()
    apply(lab, path)
    (path / "op.yaml").write_text(operation())
    assert apply(lab, path) == applying.Applied(OPERATION, "created"), "it was read, it left, and came back"


def test_what_the_first_look_passed_over_has_no_history(lab: Lab) -> None:
    path = lab.directory / "home"
    (path / "ops").mkdir(parents=True)
    (path / "east.yaml").write_text(NAMESPACE)
    (path / "ops" / "op.yaml").write_text(operation())
    apply(lab, path)
    apply(lab, path)
    said = apply(lab, path, below=True)
    assert said is not None
    assert said.done == "not executed"
    (path / "new").mkdir()
    (path / "new" / "op.yaml").write_text(operation().replace("restart-web", "restart-again"))
    apply(lab, path, below=True)
    with lab.session() as session:
        assert session.store.get(OPERATION._replace(name="restart-again")) is not None


def test_a_daemon_too_has_no_history_of_what_its_first_look_could_not_read(lab: Lab) -> None:
    with Daemon(lab) as daemon:
        daemon.save("op.yaml", operation("Rest"))
        daemon.save("east.yaml", NAMESPACE)
        until(lambda: daemon.session.store.get(Key("Namespace", "", "east")))
        daemon.save("op.yaml", operation())
        until(daemon.session.store.orders)
        daemon.looked()
        assert not exists_in(daemon)
