"""`apply --prune`, `diff --prune` as a user types them, on libvirt's own test driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Ran, World

DISK = """
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata: {name: data}
spec:
  persistentVolumeClaim: {size: 1Mi}
"""
KEPT = "virtualdisk.virtualization.deckhouse.io/data"


def namespace(name: str) -> str:
    return f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"


class Home:
    """A directory of manifests and the command line."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path
        path.mkdir()
        self.write("data", DISK)
        for name in ("east", "north", "south", "west"):
            self.write(name, namespace(name))

    def write(self, name: str, text: str) -> None:
        (self.path / f"{name}.yaml").write_text(text)

    def remove(self, *names: str) -> None:
        for name in names:
            (self.path / f"{name}.yaml").unlink()

    def run(self, verb: str, *options: str) -> Ran:
        return self.world.run(verb, "-f", str(self.path), *options)

    def namespaces(self) -> str:
        return " ".join(self.world.run("get", "ns", "-o", "name").out.replace("namespace/", "").split())


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A directory of a disk and four namespaces that has been applied."""
    monkeypatch.setenv("VMCTL_LIBVIRT_URI", "test:///default")
    made = Home(world, tmp_path / "home")
    assert made.run("apply", "-q").code == 0
    return made


def test_diff_dry_run_and_apply_say_the_same(home: Home) -> None:
    home.remove("data", "east")
    lines = ["namespace/east pruned", f"{KEPT} retained"]
    shown = home.run("diff", "--prune")
    assert (shown.code, [line for line in shown.lines if not line.startswith(" ")]) == (1, lines)
    foreseen = home.run("apply", "--prune", "--dry-run")
    assert (foreseen.code, foreseen.lines[-2:]) == (0, [f"{line} (dry run)" for line in lines])
    assert home.namespaces() == "east north south west"
    done = home.run("apply", "--prune")
    assert (done.code, done.lines[-2:]) == (0, lines)
    assert home.namespaces() == "north south west"
    assert home.world.run("get", "vd").lines[1].split()[:2] == ["data", "Ready"]
    assert home.run("diff", "--prune").code == 0


def test_without_prune_what_left_is_kept_and_told(home: Home) -> None:
    home.remove("east")
    done = home.run("apply")
    assert "Namespace east: not in" in done.err
    assert home.namespaces() == "east north south west"
    assert "Namespace east" not in home.run("apply", "-q").err


def test_what_is_left_behind_is_told_beforehand_as_apply_tells_it(home: Home) -> None:
    home.remove("east", "west")
    remark = f"Namespace east, Namespace west: not in {home.path} any more, and kept; --prune removes such objects"
    diff, dry, applied = home.run("diff"), home.run("apply", "--dry-run"), home.run("apply")
    assert (diff.code, diff.out) == (0, "")
    for ran in (diff, dry, applied):
        assert remark in ran.err
    assert remark not in home.run("diff", "--prune").err


def test_a_bad_file_refuses_everything(home: Home) -> None:
    home.remove("east")
    home.write("west", "kind: Namesp")
    home.write("new", namespace("new"))
    for options in ((), ("--keep-going",), ("--dry-run",), ("--prune-max", "all")):
        refused = home.run("apply", "--prune", *options)
        assert (refused.code, refused.out) == (5, "")
        assert "west.yaml" in refused.err
        assert "nothing was changed" in refused.err
    assert home.run("diff", "--prune").code == 5
    assert home.namespaces() == "east north south west"


def test_one_bad_file_among_many_keeps_what_it_declared(home: Home) -> None:
    for number in range(50):
        home.write(f"many{number}", namespace(f"many{number}"))
    assert home.run("apply", "-q").code == 0
    home.write("many7", "kind: Namespace\nmetadata: {name: many7")
    home.write("new", namespace("new"))
    done = home.run("apply", "--keep-going")
    assert done.code == 3
    assert "many7.yaml" in done.err
    assert "not in" not in done.err  # what the bad file held is not taken for lost
    assert {"many7", "new", "east"} <= set(home.namespaces().split())


def test_too_much_is_refused_by_name_and_allowed_by_number(home: Home) -> None:
    home.remove("east", "north", "south")
    home.write("new", namespace("new"))
    for verb in ("apply", "diff"):
        refused = home.run(verb, "--prune")
        assert (refused.code, refused.out) == (5, "")
        assert "3 of the 5 objects" in refused.err
        assert all(f"  Namespace {name}\n" in refused.err for name in ("east", "north", "south"))
    assert home.namespaces() == "east north south west"
    assert home.run("apply", "--prune", "--prune-max=3").code == 0
    assert home.namespaces() == "new west"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--prune-max", "3"), "add --prune"),
        (("--prune", "--prune-max", "-1"), "a number or all"),
        (("--prune", "--prune-max", "most"), "a number or all"),
        (("--prune", "-f", "-"), "files and stdin own nothing"),
    ],
)
def test_what_makes_no_sense_is_said(home: Home, options: tuple[str, ...], said: str) -> None:
    refused = home.run("apply", *options)
    assert refused.code == 2
    assert said in refused.err


def test_a_file_is_not_pruned(home: Home) -> None:
    refused = home.world.run("apply", "--prune", "-f", str(home.path / "east.yaml"))
    assert refused.code == 2
    assert "is no directory" in refused.err


def test_a_directory_that_is_not_there_refuses_everything(home: Home) -> None:
    home.path.rename(home.path.with_name("away"))
    refused = home.run("apply", "--prune", "--prune-max=all")
    assert refused.code == 5
    assert "there is no such file or directory" in refused.err
    assert home.namespaces() == "east north south west"


def test_what_is_held_is_pruned_and_said_to_be_there_still(home: Home) -> None:
    home.write("east", namespace("east").replace("{name: east}", "{name: east, finalizers: [example.org/audit]}"))
    home.run("apply")
    home.remove("east")
    done = home.run("apply", "--prune")
    assert (done.code, done.lines[-2]) == (0, "namespace/east pruned")
    assert done.lines[-1].startswith("namespace/east terminating: held by finalizers example.org/audit")


def test_a_json_patch_removes_the_whole_object(home: Home) -> None:
    home.remove("data", "east")
    shown = home.run("diff", "--prune", "-o", "jsonpatch")
    assert shown.code == 1
    assert '"object": "namespace/east"' in shown.out
    assert '"path": ""' in shown.out


def test_several_directories_are_several_sources(home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "core.yaml").write_text(namespace("core"))
    (other / "edge.yaml").write_text(namespace("edge"))
    assert home.run("apply", "-f", str(other)).code == 0
    (other / "edge.yaml").unlink()
    home.remove("west")
    assert home.run("apply", "--prune").lines[-1] == "namespace/west pruned"
    assert home.namespaces() == "core east edge north south"
    assert home.run("apply", "-f", str(other), "--prune").lines[-1] == "namespace/edge pruned"
