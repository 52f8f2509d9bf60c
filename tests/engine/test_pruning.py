"""What leaves a directory and what becomes of it, over a hypervisor in memory; and when an absence counts."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.manifests import blank, disk, image, machine
from vmctl.engine import applying, pruning
from vmctl.engine.previewing import Look
from vmctl.engine.pruning import Absences, Most, Scan
from vmctl.errors import ChangeRefused
from vmctl.manifests import loading
from vmctl.manifests.sources import Source, source_of
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.lab import Lab
    from vmctl.engine.session import Session
    from vmctl.manifests.documents import Manifest

WORDS = {"create": "created", "change": "configured", "none": "unchanged", "prune": "pruned", "retain": "retained"}
SCRATCH = blank("scratch").replace(
    "{name: scratch}", "{name: scratch, annotations: {vmctl.dev/deletion-policy: Delete}}"
)
NAMESPACES = ("east", "north", "south", "west", "core", "edge")


class Directory:
    """A directory of manifests that is applied to a lab."""

    def __init__(self, lab: Lab, name: str, **files: str) -> None:
        self.lab, self.path = lab, lab.directory / name
        self.path.mkdir()
        self.write(**files)

    def write(self, **files: str) -> Directory:
        for name, text in files.items():
            (self.path / f"{name}.yaml").write_text(text)
        return self

    def remove(self, *names: str) -> Directory:
        for name in names:
            (self.path / f"{name}.yaml").unlink()
        return self

    @property
    def source(self) -> Source:
        return source_of(str(self.path))

    def look(self, *, below: bool = False) -> tuple[Scan, tuple[Manifest, ...]]:
        loaded = loading.load([str(self.path)], recursive=below)
        look = pruning.scan(loaded, self.source, below=below)
        return look, () if loaded.problems else applying.judge(loaded)

    def apply(
        self, *, prune: bool = True, most: Most = None, below: bool = False, take_over: bool = False
    ) -> list[tuple[Key, str]]:
        """What `vmctl apply --prune` does, as its lines say it."""
        look, manifests = self.look(below=below)
        if prune:
            pruning.refuse_incomplete([look])
        with self.lab.session() as session:
            after = applying.foreseen(session.ledger, manifests)
            found = pruning.leaving(session.store, after, look)
            if prune:
                pruning.refuse_excess([found], most)
            applying.guard(session.ledger, applying.changed(session.ledger, manifests))
            applied = applying.store_all(
                session.store, session.ledger, manifests, sources=[self.source], take_over=take_over
            )
            gone = pruning.prune(session.store, session.ledger, found) if prune else []
            session.converge([*session.unsettled(), *(item.key for item in gone)])
            words = {"deleted": "pruned", "retained": "retained"}
            return [
                *((item.key, str(item.done)) for item in applied),
                *((item.key, words[item.done]) for item in gone),
            ]

    def foresee(self) -> list[tuple[Key, str]]:
        """What `vmctl apply --prune --dry-run` says."""
        look, manifests = self.look()
        with self.lab.session() as session:
            after = applying.foreseen(session.ledger, manifests)
            found = pruning.leaving(session.store, after, look)
            pruning.refuse_excess([found])
            applying.guard(session.ledger, manifests)
            previews = view(session).previews(manifests, [found])
            named = {item.key for item in manifests}.union(found.keys)
            return [(preview.key, WORDS[preview.verb]) for preview in previews if preview.key in named]


def view(session: Session) -> Look:
    return Look.over(session.store, session.driver, session.ledger, session.place, session.clock)


def namespace(name: str) -> str:
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n"


def space(name: str) -> Key:
    return Key("Namespace", "", name)


WEB = Key("VirtualMachine", "default", "web")
ROOT = Key("VirtualDisk", "default", "root")


def test_a_machine_goes_and_its_disk_is_kept_and_listed(lab: Lab) -> None:
    home = Directory(lab, "home", web=machine("web", "root"), root=blank("root"), other=namespace("east"))
    home.apply()
    uid = lab.uid("web")
    assert home.remove("web", "root").apply()[1:] == [(WEB, "pruned"), (ROOT, "retained")]
    assert lab.phase("VirtualMachine", "web") == "gone"
    assert uid not in lab.world.machines
    assert lab.phase("VirtualDisk", "root") == "Ready"
    with lab.session() as session:
        assert [event.reason for event in session.store.events(ROOT)][-1] == "Retained"
        assert "Pruned" in [event.reason for event in session.store.events(WEB)]
    assert home.apply() == [(space("east"), "unchanged")]  # what is kept belongs to nobody and is told once


def test_a_machine_that_runs_is_told_with_every_step_of_its_end(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    home = Directory(lab, "home", web=machine("web", "root"), root=blank("root"), other=namespace("east"))
    home.apply()
    home.remove("web")
    look, manifests = home.look()
    with lab.session() as session:
        found = pruning.leaving(session.store, applying.foreseen(session.ledger, manifests), look)
        (foreseen,) = (each.steps for each in view(session).previews(manifests, [found]) if each.key == WEB)
    assert foreseen[0] == "shut the machine down (it is deleted; power is cut after 60 s)"
    assert foreseen[1] == "remove the machine from libvirt (its disks stay)"
    caplog.clear()
    with caplog.at_level("INFO", logger="vmctl.engine.executing"):
        home.apply()
    begins = f"{WEB.short}: "
    done = [text.removeprefix(begins) for text in caplog.messages if text.startswith(begins)]
    assert list(dict.fromkeys(done)) == list(foreseen)


def test_what_came_back_is_adopted_with_its_data(lab: Lab) -> None:
    home = Directory(lab, "home", root=blank("root"), other=namespace("east"))
    home.apply()
    before = lab.get("VirtualDisk", "root")
    home.remove("root").apply()
    assert home.write(root=blank("root")).apply() == [(space("east"), "unchanged"), (ROOT, "unchanged")]
    after = lab.get("VirtualDisk", "root")
    assert before is not None
    assert after is not None
    assert after.uid == before.uid
    assert home.remove("root").apply()[-1] == (ROOT, "retained")  # it is owned again


def test_an_annotation_lets_the_data_go_and_a_disk_without_data_goes(lab: Lab) -> None:
    home = Directory(lab, "home", scratch=SCRATCH, empty=disk("empty", "nowhere"), other=namespace("east"))
    home.apply()
    gone = home.remove("scratch", "empty").apply()[1:]
    assert {word for _, word in gone} == {"pruned"}
    assert (lab.phase("VirtualDisk", "scratch"), lab.phase("VirtualDisk", "empty")) == ("gone", "gone")


def test_an_image_goes_unless_a_machine_that_stays_uses_it(lab: Lab, image_url: str) -> None:
    """One that was taken out of the machine is still in it until the restart, and goes then by itself."""
    one = machine("web").replace("blockDeviceRefs: []", "blockDeviceRefs: [{kind: VirtualImage, name: cd}]")
    two = machine("db").replace(
        "blockDeviceRefs: []",
        "blockDeviceRefs: [{kind: VirtualDisk, name: root}, {kind: VirtualImage, name: old}]",
    )
    images = {name: image(name, image_url) for name in ("cd", "old", "unused")}
    home = Directory(lab, "home", **images, rest=disk("root", "unused") + one + two)
    home.apply()
    home.remove(*images).write(rest=disk("root", "unused") + one + machine("db", "root"))
    lines = dict(home.apply(most="all"))
    key = {name: Key("VirtualImage", "default", name) for name in images}
    assert [lines[key[name]] for name in ("cd", "old", "unused")] == ["retained", "pruned", "pruned"]
    phases = [lab.phase("VirtualImage", name) for name in ("cd", "old", "unused")]
    assert phases == ["Ready", "Terminating", "gone"]
    with lab.session() as session:
        assert "VirtualMachine web uses it" in session.store.events(key["cd"])[-1].message
    lab.world.power_off_inside(lab.uid("db"))
    lab.resume()
    assert lab.phase("VirtualImage", "old") == "gone"


def test_an_attachment_that_stays_keeps_its_image_and_not_its_machine(lab: Lab, image_url: str) -> None:
    attachment = """
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachineBlockDeviceAttachment
metadata: {name: plug}
spec: {virtualMachineName: web, blockDeviceRef: {kind: VirtualImage, name: cd}}
"""
    text = {"web": machine("web", "root"), "cd": image("cd", image_url)}
    home = Directory(lab, "home", **text, root=blank("root"), plug=attachment)
    home.apply()
    lines = dict(home.remove(*text).apply())
    assert lines[Key("VirtualImage", "default", "cd")] == "retained"
    assert lines[WEB] == "pruned"
    assert lab.phase("VirtualMachine", "web") == "gone"


def test_a_namespace_that_something_is_left_in_is_kept_and_comes_back(lab: Lab) -> None:
    """Were it terminating, the restored directory could not be applied until its data is gone."""
    text = {"space": namespace("lab"), "root": blank("root").replace("{name: root}", "{name: root, namespace: lab}")}
    home = Directory(lab, "home", **text, other=namespace("east"), empty=namespace("west"))
    home.apply()
    gone = home.remove("space", "root", "empty").apply(most=3)[1:]
    kept = Key("VirtualDisk", "lab", "root")
    assert sorted(gone) == [(space("lab"), "retained"), (space("west"), "pruned"), (kept, "retained")]
    assert {word for _, word in home.write(**text).apply()} == {"unchanged"}


def test_what_is_always_there_is_left_as_it_is(lab: Lab) -> None:
    text = (
        "apiVersion: virtualization.deckhouse.io/v1alpha2\nkind: VirtualMachineClass\nmetadata: {name: generic}\n"
        "spec: {cpu: {type: Host}}\n"
    )
    home = Directory(lab, "home", generic=text, other=namespace("east"))
    home.apply()
    key = Key("VirtualMachineClass", "", "generic")
    assert home.remove("generic").apply()[-1] == (key, "retained")
    assert lab.phase("VirtualMachineClass", "generic") == "Ready"
    assert home.apply() == [(space("east"), "unchanged")]


def test_moved_and_renamed_files_are_no_deletion(lab: Lab) -> None:
    home = Directory(lab, "home", one=machine("web", "root") + blank("root"), two=namespace("east"))
    home.apply()
    uid = lab.uid("web")
    (home.path / "one.yaml").rename(home.path / "renamed.yaml")
    assert {word for _, word in home.apply()} == {"unchanged"}
    home.remove("renamed").write(two=namespace("east") + machine("web", "root"), disks=blank("root"))
    assert {word for _, word in home.apply()} == {"unchanged"}
    assert lab.uid("web") == uid
    with lab.session() as session:
        stored = session.store.get(ROOT)
        assert stored is not None
        assert stored.file == str(home.path / "disks.yaml")


def test_a_directory_that_moves_or_comes_under_git_keeps_what_it_owns(lab: Lab) -> None:
    home = Directory(lab, "home", east=namespace("east"), west=namespace("west"))
    home.apply()
    identities = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *identities, "-C", str(home.path), *arguments], check=True)
    assert home.foresee() == [(space("east"), "unchanged"), (space("west"), "unchanged")]
    assert home.remove("west").apply() == [(space("east"), "unchanged"), (space("west"), "pruned")]
    home.write(west=namespace("west")).apply()
    shutil.move(home.path, lab.directory / "moved")
    home.path = lab.directory / "moved"
    assert home.remove("west").foresee()[-1] == (space("west"), "pruned")
    assert home.apply()[-1] == (space("west"), "pruned")


def test_what_lies_behind_a_link_that_leads_nowhere_now_is_not_gone(lab: Lab) -> None:
    home = Directory(lab, "home", web=namespace("east"), north=namespace("north"), south=namespace("south"))
    mounted = lab.directory / "mounted"
    mounted.mkdir()
    (mounted / "west.yaml").write_text(namespace("west"))
    (home.path / "below").symlink_to(mounted)
    home.apply(below=True)
    mounted.rename(lab.directory / "elsewhere")
    assert (space("west"), "pruned") not in home.apply(below=True)
    (home.path / "below").unlink()
    assert (space("west"), "pruned") in home.apply(below=True)


def test_what_a_file_declared_that_is_empty_now_is_not_gone(lab: Lab) -> None:
    home = Directory(lab, "home", web=namespace("east"), north=namespace("north"))
    home.apply()
    home.write(north="")
    assert (space("north"), "pruned") not in home.apply()
    home.remove("north")
    assert (space("north"), "pruned") in home.apply()


def test_what_a_look_without_directories_below_passed_over_is_not_gone(lab: Lab) -> None:
    home = Directory(lab, "home", east=namespace("east"))
    below = home.path / "below"
    below.mkdir()
    (below / "west.yaml").write_text(namespace("west"))
    (below / "north.yaml").write_text(namespace("north"))
    home.apply(below=True)
    (below / "north.yaml").unlink()
    assert home.apply() == [(space("east"), "unchanged"), (space("north"), "pruned")]
    assert lab.phase("Namespace", "west") == "Active"


@pytest.mark.parametrize(
    ("accident", "said"),
    [
        ("removed", "there is no such file"),
        ("emptied", "there is no manifest"),
        ("half written", "not all of it can be read"),
        ("conflict markers", "not all of it can be read"),
        ("only comments", "nothing is declared"),
        ("rebase", "a rebase is under way"),
    ],
)
def test_an_accident_prunes_nothing_and_applies_nothing(lab: Lab, accident: str, said: str) -> None:
    home = Directory(lab, "home", **{name: namespace(name) for name in NAMESPACES})
    home.apply()
    home.write(new=namespace("new"))
    match accident:
        case "removed":
            shutil.rmtree(home.path)
        case "emptied":
            for file in home.path.iterdir():
                file.unlink()
        case "half written":
            home.write(east="apiVersion: v1\nkind: Namesp")
        case "conflict markers":
            home.write(east=f"<<<<<<< HEAD\n{namespace('east')}=======\n{namespace('west')}>>>>>>> theirs\n")
        case "only comments":
            for file in home.path.iterdir():
                file.write_text("# nothing\n")
        case _:
            subprocess.run(["git", "-C", str(home.path), "init", "--quiet"], check=True)
            (home.path / ".git" / "rebase-merge").mkdir()
    with pytest.raises(ChangeRefused, match=said):
        home.apply()
    assert lab.phase("Namespace", "new") == "gone"
    assert {lab.phase("Namespace", name) for name in NAMESPACES} == {"Active"}
    look, _ = home.look()
    with lab.session() as session:
        assert pruning.leaving(session.store, session.ledger.snapshot(), look).keys == ()


def test_a_large_loss_has_to_be_allowed_and_everything_that_would_go_is_named(lab: Lab) -> None:
    home = Directory(lab, "home", **{name: namespace(name) for name in NAMESPACES})
    home.apply()
    home.remove("north", "south", "west").write(new=namespace("new"))
    with pytest.raises(ChangeRefused, match=r"3 of the 6 objects .* would go") as refused:
        home.apply()
    assert all(f"Namespace {name}" in refused.value.message for name in ("north", "south", "west"))
    assert "--prune-max 3" in refused.value.remedy
    assert lab.phase("Namespace", "new") == "gone"
    with pytest.raises(ChangeRefused):
        home.apply(most=2)
    assert [word for _, word in home.apply(most=3)].count("pruned") == 3


def test_two_may_always_go_unless_fewer_are_allowed(lab: Lab) -> None:
    home = Directory(lab, "home", **{name: namespace(name) for name in NAMESPACES[:3]})
    home.apply()
    home.remove("east", "north")
    with pytest.raises(ChangeRefused, match="2 of the 3"):
        home.apply(most=1)
    assert [word for _, word in home.apply()] == ["unchanged", "pruned", "pruned"]


def test_one_directory_never_prunes_what_another_or_nobody_owns(lab: Lab) -> None:
    """Two sets on one network: the one that goes takes neither the other's machines nor the network."""
    lab.apply(namespace("nobodys"))
    one = Directory(lab, "one", web=machine("web", "root") + blank("root"), east=namespace("east"))
    two = Directory(lab, "two", db=machine("db", "data") + blank("data"))
    one.apply()
    two.apply()
    one.remove("web").apply()
    assert lab.phase("VirtualMachine", "web") == "gone"
    assert lab.phase("VirtualMachine", "db") == "Running"
    assert lab.phase("Namespace", "nobodys") == "Active"
    assert lab.world.networks


def test_an_object_of_another_directory_is_a_conflict_until_it_is_taken_over(lab: Lab) -> None:
    one = Directory(lab, "one", east=namespace("east"), west=namespace("west"))
    two = Directory(lab, "two", both=namespace("east") + namespace("south"))
    one.apply()
    with pytest.raises(ChangeRefused, match="Namespace east belongs to"):
        two.apply()
    assert lab.phase("Namespace", "south") == "gone"
    two.apply(take_over=True)
    assert one.remove("east").apply() == [(space("west"), "unchanged")]
    assert lab.phase("Namespace", "east") == "Active"


def test_a_single_file_owns_nothing_and_a_directory_adopts_what_nobody_owns(lab: Lab) -> None:
    lab.apply(namespace("east"))
    home = Directory(lab, "home", both=namespace("east") + namespace("west"))
    home.apply()
    home.write(both=namespace("west"))
    assert home.apply() == [(space("west"), "unchanged"), (space("east"), "pruned")]


def test_what_is_being_deleted_already_is_not_pruned_again(lab: Lab) -> None:
    held = namespace("east").replace("{name: east}", "{name: east, finalizers: [example.org/audit]}")
    home = Directory(lab, "home", east=held, west=namespace("west"))
    home.apply()
    lab.delete(space("east"))
    assert home.remove("east").apply() == [(space("west"), "unchanged")]


PIECES = {
    "root": [blank("root", "1Mi"), blank("root", "2Mi")],
    "scratch": [SCRATCH],
    "web": [machine("web", "root"), machine("web", "root", cores=2), machine("web", "scratch")],
    "east": [namespace("east")],
    "west": [namespace("west")],
}
CHOICES = st.lists(
    st.fixed_dictionaries({}, optional={name: st.sampled_from(texts) for name, texts in PIECES.items()}),
    min_size=2,
    max_size=3,
)


@given(CHOICES)
def test_what_a_dry_run_says_is_what_is_done(
    tmp_path_factory: pytest.TempPathFactory, states: list[dict[str, str]]
) -> None:
    lab = made(tmp_path_factory.mktemp("lab"))
    home = Directory(lab, "home", anchor=namespace("anchor"))
    for state in states:
        for file in home.path.iterdir():
            file.unlink()
        home.write(anchor=namespace("anchor"), **state)
        foreseen, done = outcome(home.foresee), outcome(home.apply)
        assert sorted(foreseen) == sorted(done)


def outcome(command: Callable[[], list[tuple[Key, str]]]) -> list[tuple[Key, str]] | str:
    """The lines of a command, or why it refuses."""
    try:
        return command()
    except ChangeRefused as refused:
        return refused.message


def made(directory: Path) -> Lab:
    from tests.engine.lab import Lab

    return Lab(directory)


HOME = Source("path:/home", "path:/home")
KEYS = [space(name) for name in NAMESPACES[:3]]
LOOKS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 5.0, 10.0, 29.0, 30.0, 45.0]),  # seconds since the look before
        st.frozensets(st.sampled_from(KEYS)),
        st.booleans(),
    ),
    max_size=12,
)


@given(LOOKS, st.sampled_from([0.0, 0.1, 31.0]))
def test_only_what_was_absent_from_complete_looks_for_the_whole_delay_is_due(
    looks: list[tuple[float, frozenset[Key], bool]], later: float
) -> None:
    absences, now = Absences(30.0), 0.0
    history: list[tuple[float, frozenset[Key], bool]] = []
    for wait, present, complete in looks:
        now += wait
        absences.saw(Scan(HOME, present, "" if complete else "half written"), now)
        history.append((now, present, complete))
        for key in KEYS:
            absent: list[float] = []
            for at, there, whole in reversed(history):
                if key in there or not whole:
                    break
                absent.append(at)
            lasted = bool(absent) and absent[0] - absent[-1] >= 30.0
            assert (key in absences.due(KEYS, now + later)) == lasted


def test_the_next_look_is_when_the_delay_of_the_first_absence_ends() -> None:
    absences = Absences(30.0)
    assert absences.next_look(KEYS) is None
    absences.saw(Scan(HOME, frozenset(KEYS)), 100.0)
    assert absences.next_look(KEYS) is None
    absences.saw(Scan(HOME, frozenset(KEYS[1:])), 110.0)
    absences.saw(Scan(HOME, frozenset(KEYS[2:])), 120.0)
    assert absences.next_look(KEYS) == 140.0
    assert absences.due(KEYS, 140.0) == frozenset()  # time alone proves nothing: it takes a look
    absences.saw(Scan(HOME, frozenset(KEYS[2:])), 140.0)
    assert absences.due(KEYS, 140.0) == {KEYS[0]}
    assert absences.next_look(KEYS[1:]) == 150.0


def test_a_watched_loss_in_drops_is_measured_as_a_whole(lab: Lab) -> None:
    """Files that vanish one after another never are more than two at a time; what counts is all that is absent."""
    home = Directory(lab, "home", **{name: namespace(name) for name in NAMESPACES})
    home.apply()
    absences = Absences(30.0)
    for second, name in enumerate(NAMESPACES[:4]):
        absences.saw(home.remove(name).look()[0], 20.0 * second)
    with lab.session() as session:
        look, _ = home.look()
        found = pruning.leaving(session.store, session.ledger.snapshot(), look)
        assert absences.due(found.keys, 60.0) == {space("east"), space("north")}
        with pytest.raises(ChangeRefused, match="4 of the 6"):
            pruning.refuse_excess([found])
        assert pruning.prune(session.store, session.ledger, found, absences.due(found.keys, 60.0))
        assert [item.key.name for item in session.store.list("Namespace") if item.deleted] == ["east", "north"]


def test_a_first_apply_that_left_bad_files_out_owns_only_what_it_took(lab: Lab) -> None:
    """What stood in a bad file belonged to nobody before, and belongs to nobody when that file is gone."""
    alone = lab.directory / "south.yaml"
    alone.write_text(namespace("south"))
    with lab.session() as session:
        loaded = loading.load([str(alone)])
        applying.store_all(session.store, session.ledger, loaded.manifests)
    home = Directory(lab, "home", east=namespace("east"), bad=f"{namespace('south')}kind: [")
    loaded = loading.load([str(home.path)])
    with lab.session() as session:
        good = applying.judge(loaded, keep_going=True)
        applied = applying.store_all(session.store, session.ledger, good, sources=[home.source])
    assert [item.key for item in applied] == [space("east")]
    home.remove("bad")
    assert home.apply() == [(space("east"), "unchanged")]
    assert lab.get("Namespace", "south", "") is not None
