"""The daemon: what happens in its directories and on the host is done; what is bad or half done stops only itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.engine import manifests as texts
from tests.engine.daemons import Daemon
from tests.engine.test_following import VM
from tests.engine.verbs import apply, hold
from tests.waiting import until
from vmctl.engine import freshness
from vmctl.engine.gathering import PATIENCE_S, Pruning
from vmctl.engine.passes import Outcome
from vmctl.engine.pursuing import Result
from vmctl.engine.settled import Marks
from vmctl.errors import Rejected, Unreachable
from vmctl.resources.keys import Key
from vmctl.state.lock import holder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.lab import Lab

WEB = texts.blank("root") + texts.machine("web", "root")
BAD = texts.machine("web", "root", extra="cpus: 4")


def web(cores: int = 1) -> str:
    return texts.machine("web", "root", cores=cores)


def started_anew(daemon: Daemon, uid: str, before: object) -> bool:
    """Whether a machine runs, and not as it did."""
    running = daemon.lab.world.machines[uid].running
    return running is not None and running is not before


@pytest.fixture
def daemon(lab: Lab) -> Iterator[Daemon]:
    """A daemon with one machine that runs."""
    made = Daemon(lab)
    (made.directory / "root.yaml").write_text(texts.blank("root"))
    (made.directory / "web.yaml").write_text(web())
    with made:
        made.becomes("VirtualMachine", "web", "Running")
        yield made


def test_what_is_saved_is_done(daemon: Daemon) -> None:
    daemon.save("web.yaml", web(cores=2))
    until(lambda: daemon.get("VirtualMachine", "web").status.get("restartAwaitingChanges"))  # type: ignore[union-attr]
    daemon.save("other.yaml", texts.blank("more") + texts.machine("other", "more"))
    daemon.becomes("VirtualMachine", "other", "Running")


def test_what_happens_on_the_host_is_answered(daemon: Daemon) -> None:
    uid = daemon.lab_uid("web")
    before = daemon.lab.world.machines[uid].running
    daemon.lab.world.crash(uid)
    until(lambda: started_anew(daemon, uid, before), "a start after the crash")


def test_with_every_event_dropped_it_still_converges(daemon: Daemon) -> None:
    daemon.lab.world.deaf = True
    uid = daemon.lab_uid("web")
    before = daemon.lab.world.machines[uid].running
    daemon.lab.world.crash(uid)
    daemon.resynced()
    until(lambda: started_anew(daemon, uid, before), "a start after the crash")


def test_one_bad_file_stops_only_itself(daemon: Daemon) -> None:
    daemon.save("web.yaml", BAD)
    daemon.save("other.yaml", texts.blank("more"))
    daemon.becomes("VirtualDisk", "more", "Ready")
    until(lambda: daemon.runner.bad)
    assert daemon.cores("web") == 1
    assert daemon.phase("VirtualMachine", "web") == "Running"
    assert {problem.file for problem in daemon.runner.bad} == {str(daemon.directory / "web.yaml")}
    (told,) = daemon.told("VirtualMachine", "web", "BadManifest")
    assert "cpus" in told.message
    daemon.looked()
    assert daemon.told("VirtualMachine", "web", "BadManifest")[0].count == 1, "it is told once"
    daemon.save("web.yaml", web(cores=3))
    until(lambda: daemon.cores("web") == 3)
    until(lambda: daemon.runner.bad == ())


def test_a_change_that_is_refused_stops_only_itself(daemon: Daemon) -> None:
    daemon.save("root.yaml", texts.blank("root", "512Ki"))
    daemon.save("web.yaml", web(cores=2))
    until(lambda: daemon.cores("web") == 2)
    until(lambda: daemon.runner.bad)
    assert daemon.spec("VirtualDisk", "root")["persistentVolumeClaim"]["size"] == "1Mi"
    assert "root" in str(daemon.runner.bad[0])


def test_a_name_that_is_declared_twice_stays_as_it_was(daemon: Daemon) -> None:
    daemon.save("again.yaml", web(cores=4))
    until(lambda: daemon.runner.bad)
    assert daemon.cores("web") == 1
    (daemon.directory / "web.yaml").unlink()
    until(lambda: daemon.cores("web") == 4)


def test_a_file_that_is_being_written_is_waited_for(daemon: Daemon) -> None:
    file = daemon.directory / "web.yaml"
    with file.open("w") as half:
        half.write(web(cores=4))  # complete YAML already, and yet its writer may go on
        half.flush()
        looks = daemon.runner.tally.looks
        until(lambda: daemon.runner.tally.put_off > 2)
        assert daemon.runner.tally.looks == looks
        assert daemon.cores("web") == 1
        half.seek(0)
        half.truncate()
        half.write(web(cores=2))
    until(lambda: daemon.cores("web") == 2)


def test_whoever_never_stops_writing_is_not_waited_for(daemon: Daemon) -> None:
    with (daemon.directory / "web.yaml").open("w") as half:
        half.write(web(cores=2))
        half.flush()
        until(lambda: daemon.runner.tally.put_off > 2)
        daemon.leap(PATIENCE_S)
        until(lambda: daemon.cores("web") == 2)


@pytest.mark.parametrize("name", [".web.yaml.swp", "web.yaml~", "#web.yaml#", "4913", "web.yaml.tmp"])
def test_the_files_of_editors_are_nobodys_business(daemon: Daemon, name: str) -> None:
    (daemon.directory / name).write_text(BAD)
    daemon.looked()
    assert daemon.runner.bad == ()


def test_a_directory_that_vanishes_for_a_moment_is_harmless(daemon: Daemon) -> None:
    away = daemon.directory.with_name("away")
    daemon.directory.rename(away)
    daemon.looked()
    assert daemon.phase("VirtualMachine", "web") == "Running"
    shutil.copytree(away, daemon.directory)  # another directory, under the same name
    until(lambda: not daemon.runner.bad)
    daemon.save("web.yaml", web(cores=2))
    until(lambda: daemon.cores("web") == 2)


def test_a_directory_that_is_not_there_yet(lab: Lab) -> None:
    made = Daemon(lab)
    made.directory.rmdir()
    with made:
        assert made.runner.ready == ""
        made.directory.mkdir()
        made.save("root.yaml", texts.blank("root"))
        made.becomes("VirtualDisk", "root", "Ready")


def git(directory: Path, *arguments: str) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", "-C", str(directory), *names, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_checkout_in_progress_is_waited_for(daemon: Daemon) -> None:
    git(daemon.directory, "init", "-q")
    git(daemon.directory, "add", ".")
    git(daemon.directory, "commit", "-q", "-m", "one")
    lock = daemon.directory / ".git" / "index.lock"
    lock.touch()
    daemon.save("web.yaml", web(cores=2))
    until(lambda: daemon.runner.tally.put_off > 2)
    assert daemon.cores("web") == 1
    lock.unlink()
    until(lambda: daemon.cores("web") == 2)


def test_the_commit_of_a_change_is_recorded(daemon: Daemon) -> None:
    git(daemon.directory, "init", "-q")
    git(daemon.directory, "add", ".")
    git(daemon.directory, "commit", "-q", "-m", "one")
    commit = git(daemon.directory, "rev-parse", "HEAD")
    daemon.looked()
    owned = daemon.session.store.inventory(daemon.runner.gathering.identities[0])
    assert {item.key.name for item in owned} == {"root", "web"}, "what became a repository keeps what it owned"
    daemon.save("web.yaml", web(cores=2))
    until(lambda: daemon.cores("web") == 2)
    item = daemon.get("VirtualMachine", "web")
    assert item is not None
    uid, store = item.uid, daemon.session.store
    until(lambda: store.notes(uid).get("commit") == f"{commit}-edited")
    git(daemon.directory, "add", ".")
    daemon.save("web.yaml", web(cores=3))
    git(daemon.directory, "commit", "-q", "-a", "-m", "two")
    later = git(daemon.directory, "rev-parse", "HEAD")
    daemon.save("more.yaml", texts.blank("more"))
    daemon.becomes("VirtualDisk", "more", "Ready")
    assert f"(commit {later[:12]}, edited since)" in daemon.told("VirtualDisk", "more", "Applied")[-1].message
    git(daemon.directory, "add", ".")
    git(daemon.directory, "commit", "-q", "-m", "three")
    git(daemon.directory, "checkout", "-q", commit)
    until(lambda: daemon.cores("web") == 1)
    until(lambda: store.notes(uid).get("commit") == commit)


def test_without_prune_what_left_its_file_stays(daemon: Daemon) -> None:
    (daemon.directory / "web.yaml").unlink()
    daemon.looked()
    daemon.leap(1000)
    daemon.looked()
    daemon.rested()
    assert daemon.phase("VirtualMachine", "web") == "Running"


def test_prune_waits_until_the_absence_has_lasted(lab: Lab) -> None:
    made = Daemon(lab, pruning=Pruning(30.0))
    with made:
        made.save("web.yaml", WEB)
        made.save("other.yaml", texts.blank("more") + texts.machine("other", "more"))
        made.becomes("VirtualMachine", "web", "Running")
        made.becomes("VirtualMachine", "other", "Running")
        made.save("moved.yaml", (made.directory / "other.yaml").read_text())
        (made.directory / "other.yaml").unlink()
        (made.directory / "web.yaml").unlink()
        made.looked()
        made.leap(20)
        made.looked()
        assert made.phase("VirtualMachine", "web") == "Running"
        made.leap(11)
        made.becomes("VirtualMachine", "web", "gone")
        assert made.phase("VirtualDisk", "root") == "Ready", "data is kept"
        assert made.phase("VirtualMachine", "other") == "Running", "a moved file is no deletion"


def test_nothing_is_pruned_while_a_file_is_bad(lab: Lab) -> None:
    made = Daemon(lab, pruning=Pruning(30.0))
    with made:
        made.save("web.yaml", WEB)
        made.save("other.yaml", texts.blank("more"))
        made.becomes("VirtualMachine", "web", "Running")
        made.save("other.yaml", "x: [")
        (made.directory / "web.yaml").unlink()
        for _ in range(3):
            made.looked()
            made.leap(31)
        made.looked()
        made.rested()
        assert made.phase("VirtualMachine", "web") == "Running"


def test_too_many_to_be_pruned_stay_and_say_so(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    made = Daemon(lab, pruning=Pruning(30.0))
    spaces = [Key("Namespace", "", name) for name in ("east", "north", "west")]

    def told() -> list[tuple[str, str, int]]:
        found = (event for key in spaces for event in made.session.store.events(key))
        return [(event.reason, event.message, event.count) for event in found if event.type == "Warning"]

    with made:
        made.save("web.yaml", WEB)
        for key in spaces:
            made.save(f"{key.name}.yaml", f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {key.name}}}\n")
        made.becomes("VirtualMachine", "web", "Running")
        for key in spaces:
            (made.directory / f"{key.name}.yaml").unlink()
        made.looked()
        made.leap(31)
        until(lambda: made.runner.withheld == 3)
        made.looked()
        said = (
            f"its manifest has left {made.directory}, as that of 2 more: too many to go at once; if they are meant to"
        )
        assert [(reason, message.startswith(said), count) for reason, message, count in told()] == [
            ("PruneRefused", True, 1)
        ] * 3, "told once, not at every look"
        (line,) = (record.getMessage() for record in caplog.records if "nothing is pruned" in record.getMessage())
        assert "3 of the 5 objects" in line
        assert "--prune-max 3" in line
        made.save("east.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: east}\n")
        until(lambda: made.session.store.get(spaces[1]) is None)
        assert made.runner.withheld == 0
        assert made.session.store.get(spaces[0]) is not None


def test_an_apply_beside_the_daemon_is_done_by_it(daemon: Daemon) -> None:
    with hold(daemon.lab) as session:
        result = apply(session, daemon.lab, texts.blank("more") + texts.machine("other", "more"))
        assert result == Result()
        assert not session.take()
        item = session.ledger.get(VM._replace(name="other"))
    assert item is not None
    assert item.phase == "Running"


def test_an_idle_apply_beside_the_daemon_asks_for_nothing(daemon: Daemon) -> None:
    daemon.resynced()
    daemon.resynced()
    with hold(daemon.lab) as session:
        assert session.unsettled() == []


def test_a_resync_runs_passes_only_over_what_moved(daemon: Daemon) -> None:
    daemon.save("web.yaml", texts.machine("web", "root", extra="runPolicy: AlwaysOff"))
    daemon.becomes("VirtualMachine", "web", "Stopped")
    daemon.resynced()
    daemon.resynced()
    passes = daemon.runner.tally.passes
    daemon.resynced()
    assert daemon.runner.tally.passes == passes
    daemon.lab.world.deaf = True
    next((daemon.lab.state / "storage" / "local").glob("*.qcow2")).unlink()
    daemon.resynced()
    assert daemon.runner.tally.passes > passes


def test_a_guest_that_stays_silent_is_looked_at_less_and_less(daemon: Daemon) -> None:
    for _ in range(12):
        daemon.resynced()
    passes = daemon.runner.tally.passes
    for _ in range(5):
        daemon.resynced()
    assert daemon.runner.tally.passes <= passes + 1


def test_what_moves_during_a_pass_is_never_taken_for_settled(lab: Lab) -> None:
    lab.apply(WEB)
    with hold(lab) as session:
        marks = Marks(session)
        marks.look(session.driver.listing())
        digest = marks.digest(VM)
        assert digest
        lab.world.crash(lab.uid("web"))  # after the pass has looked, before it ends
        marks.mark(Outcome(VM), digest)
        assert VM not in marks.restless(), "nobody has looked since"
        marks.look(session.driver.listing())
        assert VM in marks.restless()


def test_a_failure_for_good_is_tried_again_after_a_reload(daemon: Daemon) -> None:
    uid = daemon.lab_uid("web")
    machine = daemon.lab.world.machines[uid]
    machine.refuses_start = Rejected("no such device")
    daemon.lab.world.crash(uid)
    until(lambda: daemon.runner.failing == 1)
    machine.refuses_start = None
    daemon.resynced()
    assert machine.power == "off"
    daemon.reload()
    until(lambda: machine.power == "running")
    until(lambda: daemon.runner.failing == 0)


def test_a_host_that_goes_away_and_comes_back(daemon: Daemon) -> None:
    daemon.host.refuses = Unreachable("no connection")
    daemon.runner.domain_changed("")
    until(lambda: "libvirt" in daemon.runner.ready)
    daemon.lab.world.deaf = True
    uid = daemon.lab_uid("web")
    daemon.lab.world.crash(uid)
    daemon.host.refuses = None
    daemon.leap(1)
    until(lambda: daemon.lab.world.machines[uid].power == "running")
    assert daemon.runner.ready == ""


def test_what_it_watches_is_noted_as_long_as_it_runs(daemon: Daemon) -> None:
    def watched() -> list[str]:
        found: list[str] = json.loads(daemon.session.store.notes(freshness.ENGINE)["watched"])
        return found

    until(lambda: watched() == [f"path:{os.path.realpath(daemon.directory)}"])
    found = holder(daemon.lab.state)
    assert found is not None
    assert found.stays
    daemon.stop()
    assert watched() == []


def test_the_end_leaves_machines_running(daemon: Daemon) -> None:
    uid = daemon.lab_uid("web")
    daemon.stop()
    assert daemon.ended_in_time == [True]
    assert daemon.lab.world.machines[uid].power == "running"


def test_a_pass_that_does_not_end_does_not_hold_the_end_up(lab: Lab) -> None:
    stuck = threading.Event()
    made = Daemon(lab)
    with made:
        made.host.stuck = stuck
        made.save("web.yaml", WEB)
        until(lambda: made.phase("VirtualMachine", "web") == "Starting" and made.runner.waiting)
        ending = threading.Thread(target=made.stop)
        ending.start()
        made.leap(10)
        ending.join()
        assert made.ended_in_time == [False]
        assert [entry.step for entry in made.session.store.unfinished()] == ["Start"]
        stuck.set()
        assert made.runner.convergence.drain()


def test_what_is_gone_is_forgotten(daemon: Daemon) -> None:
    for number in range(3):
        file = daemon.save("other.yaml", texts.blank("more") + texts.machine(f"other{number}", "more"))
        daemon.becomes("VirtualMachine", f"other{number}", "Running")
        file.unlink()
        with hold(daemon.lab) as session:
            session.ledger.mark_deleted(VM._replace(name=f"other{number}"))
            session.converge([VM._replace(name=f"other{number}")])
        daemon.becomes("VirtualMachine", f"other{number}", "gone")
    daemon.leap(3)
    daemon.rested()
    until(lambda: not any(outcome.gone for outcome in list(daemon.runner.convergence.outcomes.values())))
    known = set(daemon.session.ledger.snapshot().by_key)
    until(lambda: set(daemon.runner.convergence.outcomes) <= known)


def test_two_stores_do_not_meddle(lab: Lab) -> None:
    """A domain of another installation is nobody's business, whatever libvirt tells of it."""
    made = Daemon(lab)
    with made:
        lab.world.add_foreign("33333333-0000-4000-8000-000000000000", "foreign")
        made.resynced()
        passes = made.runner.tally.passes
        lab.world.changed("33333333-0000-4000-8000-000000000000")
        made.rested()
        assert made.runner.tally.passes == passes
