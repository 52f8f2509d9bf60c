"""patch, label and annotate: in the file where one declares the object, in the store where none does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.places import LINUX, MACHINES, Applied, apply

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import World

JSON = """
  [{"op": "test", "path": "/spec/cpu/cores", "value": 1}, {"op": "replace", "path": "/spec/cpu/cores", "value": 2}]"""
CORES = '{"spec":{"cpu":{"cores":2}}}'


@pytest.fixture
def applied(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Applied:
    return apply(world, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--type", "merge", "-p", CORES),
        ("--type=merge", "--patch", CORES),
        ("-p", "spec: {cpu: {cores: 2}}"),
        ("--type=json", f"-p={JSON}"),
    ],
)
def test_the_file_is_changed_and_applied(applied: Applied, arguments: tuple[str, ...]) -> None:
    ran = applied.run("patch", "vm", "linux-vm", *arguments)
    assert (ran.code, ran.lines[0]) == (0, f"{LINUX} patched")
    assert f"{applied.file}:13 written" in ran.err
    assert applied.file.read_text() == MACHINES.replace("cores: 1", "cores: 2")
    assert applied.spec()["cpu"]["cores"] == 2
    assert applied.stored("VirtualMachine", "linux-vm").source
    applied.idle()
    again = applied.run("patch", "vm/linux-vm", "-p", "spec: {cpu: {cores: 2}}")
    assert (again.code, again.lines) == (0, [f"{LINUX} patched (no change)"])


def test_a_default_and_a_list(applied: Applied) -> None:
    """What the file leaves out is written when it is changed; lists keep the comments of the items that stay."""
    disk = '{"op":"add","path":"/spec/blockDeviceRefs/-","value":{"kind":"VirtualDisk","name":"data"}}'
    policy = '{"op":"replace","path":"/spec/terminationGracePeriodSeconds","value":5}'
    assert applied.run("patch", "vm", "linux-vm", "--type=json", "-p", f"[{disk},{policy}]").code == 0
    added = "  - kind: VirtualDisk\n    name: data\n  terminationGracePeriodSeconds: 5\n"
    assert applied.file.read_text() == MACHINES + added
    applied.idle()


ATTACHMENT = """
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachineBlockDeviceAttachment
metadata: {{{name}}}
spec: {{virtualMachineName: linux-vm, blockDeviceRef: {{kind: VirtualDisk, name: data}}}}
"""


def test_an_attached_disk_is_attached_once(applied: Applied, tmp_path: Path) -> None:
    """Whatever the verb, what `apply` refuses is refused before anything is written."""
    plug, again = tmp_path / "plug.yaml", tmp_path / "again.yaml"
    plug.write_text(ATTACHMENT.format(name="name: plug"))
    again.write_text(f"{ATTACHMENT}---{ATTACHMENT}".format(name="generateName: again-"))
    twice = applied.run("create", "-f", str(again))
    assert (twice.code, twice.out) == (5, "")
    assert "VirtualDisk data is attached by VirtualMachineBlockDeviceAttachment again-" in twice.err
    assert applied.run("create", "-f", str(plug)).lines[0].endswith("/plug created")
    add = '[{"op":"add","path":"/spec/blockDeviceRefs/-","value":{"kind":"VirtualDisk","name":"data"}}]'
    said = (
        "spec.blockDeviceRefs.1: VirtualDisk data is attached by VirtualMachineBlockDeviceAttachment plug; delete that"
    )
    for words in ((), ("--dry-run",)):
        ran = applied.run("patch", "vm", "linux-vm", "--type=json", "-p", add, *words)
        assert (ran.code, ran.out) == (5, "")
        assert said in ran.err
    assert applied.file.read_text() == MACHINES


def test_a_dry_run_changes_nothing_and_says_what_diff_would(applied: Applied) -> None:
    ran = applied.run("patch", "vm", "linux-vm", "--dry-run", "-p", CORES)
    change = "    ~ cpu.cores: 1 → 2    "
    assert (ran.code, ran.lines[0], ran.err) == (0, f"{LINUX} patched (dry run)", "")
    assert [line for line in ran.lines if line.startswith(change)]
    labelled = applied.run("label", "vm", "--all", "a=b", "--dry-run").lines
    assert labelled[0] == f"{LINUX} labeled (dry run)"
    assert "    + metadata.labels.a: b    at once" in labelled
    assert applied.file.read_text() == MACHINES
    assert applied.spec()["cpu"]["cores"] == 1
    assert applied.run("patch", "vm", "linux-vm", "--dry-run", "-p", "spec: {cpu: {cores: 1}}").lines == [
        f"{LINUX} patched (no change) (dry run)"
    ]
    applied.file.write_text(MACHINES.replace("cores: 1", "cores: 2"))
    told = applied.run("diff", "-f", str(applied.directory)).lines
    assert ran.lines[1:] == told[1:]


@pytest.mark.parametrize("verb", ["label", "annotate"])
def test_nothing_to_label_is_told(applied: Applied, verb: str) -> None:
    for chosen in (("vd", "--all"), ("vm", "-l", "app=missing")):
        ran = applied.run(verb, *chosen, "a=b")
        assert (ran.code, ran.out, ran.err) == (0, "", "No resources found\n")


def test_a_dry_run_tells_of_a_label_that_would_go(applied: Applied) -> None:
    assert applied.run("label", "vm", "linux-vm", "a=b").code == 0
    gone = applied.run("label", "vm", "linux-vm", "a-", "--dry-run").lines
    assert "    - metadata.labels.a: b    at once" in gone
    assert applied.meta()["labels"] == {"a": "b"}


def test_a_patch_from_a_file(applied: Applied, tmp_path: Path) -> None:
    change = tmp_path / "change.yaml"
    change.write_text("spec:\n  cpu:\n    cores: 2\n")
    assert applied.run("patch", "vm", "linux-vm", "--patch-file", str(change)).code == 0
    assert applied.spec()["cpu"]["cores"] == 2
    assert applied.run("patch", "vm", "linux-vm", "--patch-file", str(tmp_path / "none")).code == 2


def test_every_problem_is_told_and_nothing_changed(applied: Applied) -> None:
    ran = applied.run("patch", "vm", "linux-vm", "-p", '{"spec":{"cpu":{"coress":2},"memory":{"size":"1x"}}}')
    assert (ran.code, ran.out) == (2, "")
    assert 'did you mean "cores"?' in ran.err
    assert "spec.memory.size" in ran.err
    assert applied.file.read_text() == MACHINES


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-p", '{"metadata":{"name":"other"}}'), 2, "cannot be changed"),
        (("-p", '{"kind":"VirtualDisk"}'), 2, "cannot be changed"),
        (("-p", '{"metadata":{"uid":"0"}}'), 2, "cannot be changed"),
        (("-p", '{"metadata":{"resourceVersion":"1"}}'), 5, "changed by somebody else"),
        (("-p", "[1]"), 2, "an object with the fields to change"),
        (("--type=json", "-p", "{}"), 2, "a list of operations"),
        (("-p", "{a: ["), 2, "neither JSON nor YAML"),
        ((), 2, "say what to change"),
        (("--type", "strategic", "-p", CORES), 2, "strategic-merge-patch+json is not supported by virtualization"),
        (("--type=json", "-p", '[{"op":"test","path":"/spec/cpu/cores","value":9}]'), 5, "another one"),
        (("--type=json", "-p", '[{"op":"remove","path":"/spec/none"}]'), 2, "operation 0 (remove /spec/none)"),
        (("--type=json", "-p", '[{"path":1}]'), 2, "operation 0 cannot"),
        (("--type=json", "-p", '[{"op":"remove","path":""}]'), 2, ""),
        (("-p", '{"spec":{"osType":"Windows"}}', "-n", "elsewhere"), 4, "not found"),
    ],
)
def test_what_cannot_be(applied: Applied, arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = applied.run("patch", "vm", "linux-vm", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert applied.file.read_text() == MACHINES


def test_labels_and_annotations(applied: Applied) -> None:
    assert applied.run("label", "vm", "linux-vm", "app=nginx").lines == [f"{LINUX} labeled"]
    assert applied.run("label", "vm", "linux-vm", "app=nginx").lines == [f"{LINUX} not labeled"]
    refused = applied.run("label", "vm", "linux-vm", "app=apache", "tier=front")
    assert (refused.code, applied.meta()["labels"]) == (5, {"app": "nginx"})
    assert applied.run("label", "vm", "-l", "app=nginx", "app=apache", "--overwrite").lines == [f"{LINUX} labeled"]
    assert applied.run("annotate", "vm/linux-vm", "note=two words: # 1").lines == [f"{LINUX} annotated"]
    block = "  labels:\n    app: apache\n  annotations:\n    note: 'two words: # 1'\n"
    assert applied.file.read_text() == MACHINES.replace("'linux-vm'\n", f"'linux-vm'\n{block}")
    applied.idle()
    assert applied.run("label", "vm", "linux-vm", "app-").lines == [f"{LINUX} unlabeled"]
    assert applied.run("annotate", "vm", "linux-vm", "note-").lines == [f"{LINUX} annotated"]
    assert applied.run("annotate", "vm", "linux-vm", "note-").lines == [f"{LINUX} annotated (no change)"]
    assert applied.file.read_text() == MACHINES
    assert "labels" not in applied.meta()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vmctl.dev/reconcile=DetctOnly",), 'did you mean "DetectOnly"?'),
        (("vmctl.dev/reconcil=Enforce",), 'did you mean "vmctl.dev/reconcile"?'),
        (("vmctl.dev/deletion-policy=Keep",), "must be Delete or Retain"),
        (("a b=c",), "is no annotation"),
        ((), "say which annotations"),
    ],
)
def test_annotations_of_ours_are_judged(applied: Applied, words: tuple[str, ...], said: str) -> None:
    ran = applied.run("annotate", "vm", "linux-vm", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert applied.run("annotate", "vm", "linux-vm", "vmctl.dev/reconcile=Paused").code == 0


def test_several_objects_of_one_file(applied: Applied) -> None:
    second = MACHINES.partition("---\n")[2].replace("linux-vm", "second")
    applied.write(f"{MACHINES}---\n{second}")
    assert len(applied.run("label", "vm", "--all", "app=web").lines) == 2
    assert applied.file.read_text().count("    app: web\n") == 2
    applied.idle()
    refused = applied.run("label", "vm", "linux-vm", "second", "none", "more=1")
    assert refused.code == 4
    assert "more" not in applied.file.read_text()
    assert applied.run("label", "vm", "a=b").code == 2
    assert applied.run("label", "vm", "second", "--all", "a=b").code == 2


def test_many_hands_on_one_file(applied: Applied) -> None:
    """All of them are heard, whoever comes first."""
    command = [sys.executable, "-m", "vmctl", "label", "vm", "linux-vm", "--state-dir", str(applied.world.directory)]
    running = [subprocess.Popen([*command, f"hand-{number}=up"], stdout=subprocess.PIPE) for number in range(5)]
    for one in running:
        one.communicate()
    assert [one.returncode for one in running] == [0] * 5
    hands = {f"hand-{number}": "up" for number in range(5)}
    assert applied.meta()["labels"] == hands
    assert applied.file.read_text().count(": up\n") == 5
    applied.idle()


def test_an_object_without_a_file(applied: Applied) -> None:
    node = applied.run("get", "node", "-o", "name").lines[0].partition("/")[2]
    assert applied.run("label", "node", node, "disktype=ssd").lines == [f"node/{node} labeled"]
    assert applied.meta("Node", node)["labels"]["disktype"] == "ssd"
    address = applied.run("get", "vmip", "-o", "name").lines[0].partition("/")[2]
    owners = '{"metadata":{"ownerReferences":null}}'
    ran = applied.run("patch", "vmip", address, "--type=merge", "--patch", owners)
    assert ran.lines[0].endswith(f"{address} patched")
    assert "ownerReferences" not in applied.meta("VirtualMachineIPAddress", address)
    assert applied.file.read_text() == MACHINES


def test_a_file_that_is_gone_and_that_no_directory_owned(applied: Applied, tmp_path: Path) -> None:
    alone = tmp_path / "alone.yaml"
    alone.write_text(MACHINES.partition("---\n")[2].replace("linux-vm", "alone"))
    assert applied.run("apply", "-q", "-f", str(alone)).code == 0
    assert applied.run("patch", "vm", "alone", "-p", CORES).code == 0
    assert "cores: 2" in alone.read_text()
    alone.unlink()
    assert applied.run("patch", "vm", "alone", "-p", '{"spec":{"cpu":{"cores":3}}}').code == 0
    assert applied.spec(name="alone")["cpu"]["cores"] == 3


def test_a_document_that_has_moved_is_found(applied: Applied) -> None:
    applied.file.rename(applied.directory / "renamed.yaml")
    assert applied.run("patch", "vm", "linux-vm", "-p", CORES).code == 0
    assert "cores: 2" in (applied.directory / "renamed.yaml").read_text()


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch(1) is not installed")
def test_a_file_that_may_not_be_written_gives_a_patch(applied: Applied, tmp_path: Path) -> None:
    applied.file.chmod(0o444)
    ran = applied.run("patch", "vm", "linux-vm", "-p", CORES)
    assert ran.code == 5
    assert f"{applied.file}:13: it is read-only" in ran.err
    assert applied.spec()["cpu"]["cores"] == 1
    assert applied.file.read_text() == MACHINES
    applied.file.chmod(0o644)
    subprocess.run(["patch", "-p1", "-d", str(applied.directory)], input=ran.out, text=True, check=True)
    assert applied.file.read_text() == MACHINES.replace("cores: 1", "cores: 2")


def test_a_file_with_changes_that_are_not_applied(applied: Applied) -> None:
    applied.file.write_text(MACHINES.replace("1024Mi", "2Gi"))
    ran = applied.run("label", "vm", "linux-vm", "a=b")
    assert ran.code == 5
    assert "it has changes that are not applied yet" in ran.err
    assert "+    a: b" in ran.out
    applied.file.write_text(MACHINES.replace("1024Mi", '"1024Mi"'))  # the same, written in another way
    assert applied.run("label", "vm", "linux-vm", "a=b").code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [\n", "cannot be read"),
        (MACHINES.partition("---")[0], "no file of it declares the object any more"),
        (MACHINES.replace("{cores: 1}", "&cpu {cores: 1}"), ""),
    ],
)
def test_a_file_that_says_something_else(applied: Applied, text: str, said: str) -> None:
    applied.file.write_text(text)
    ran = applied.run("patch", "vm", "linux-vm", "-p", CORES)
    assert (ran.code == 5) == bool(said)
    assert said in ran.err
    assert (applied.spec()["cpu"]["cores"] == 1) == bool(said)
    assert not said or '"path": "/spec/cpu/cores"' in ran.out


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: hunter2}  # mine\n"


def test_secrets_are_not_told(applied: Applied) -> None:
    applied.write(SECRET)
    applied.file.chmod(0o444)
    change = '{"stringData":{"password":"correct horse"}}'
    refused = applied.run("patch", "secret", "login", "-p", change)
    assert refused.code == 5
    assert '"path": "/stringData/password", "value": "<hidden>"' in refused.out
    applied.file.chmod(0o600)
    wrong = applied.run("patch", "secret", "login", "-p", '{"stringData":{"password":["correct horse"]}}')
    test = '[{"op":"test","path":"/stringData/password","value":"correct horse"}]'
    tested = applied.run("patch", "secret", "login", "--type=json", "-p", test)
    assert (wrong.code, tested.code) == (2, 5)
    for ran in (refused, wrong, tested):
        assert "hunter2" not in ran.out + ran.err
        assert "correct horse" not in ran.out + ran.err
    assert applied.run("patch", "secret", "login", "-p", change).code == 0
    assert applied.file.read_text() == SECRET.replace("hunter2", "correct horse")


def test_a_label_that_no_file_names_can_be_taken_away(applied: Applied) -> None:
    """It was set while no file declared the object, and survived the apply."""
    store_only = MACHINES.partition("---\n")[2].replace("linux-vm", "late")
    assert applied.run("apply", "-q", "-f", _piped(applied, store_only)).code == 0
    assert applied.run("label", "vm", "late", "by=hand").code == 0
    text = f"{MACHINES}---\n{store_only}"
    applied.write(text)
    assert applied.meta(name="late")["labels"] == {"by": "hand"}
    assert applied.run("label", "vm", "late", "by-").lines[0].endswith("late unlabeled")
    assert "labels" not in applied.meta(name="late")
    assert applied.file.read_text() == text


def _piped(applied: Applied, text: str) -> str:
    """A file that is gone by the time somebody looks for it: what a shell's <(…) would be."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return f"/dev/fd/{reading}"


PROVISIONED = MACHINES + "  provisioning:\n    type: UserData\n    userData: |\n      #cloud-config\n      hunter2\n"


def test_a_diff_goes_round_secrets(applied: Applied) -> None:
    """A change far from the secret comes as a diff, one beside it or of itself as a JSON patch without values."""
    applied.write(PROVISIONED)
    applied.file.chmod(0o444)
    far = applied.run("patch", "vm", "linux-vm", "-p", CORES)
    assert far.out.startswith("--- a/vm.yaml\n")
    near = applied.run("patch", "vm", "linux-vm", "-p", "spec: {terminationGracePeriodSeconds: 5}")
    assert '"path": "/spec/terminationGracePeriodSeconds", "value": 5' in near.out
    itself = applied.run("patch", "vm", "linux-vm", "-p", 'spec: {provisioning: {userData: "#cloud-config\\nhunter3"}}')
    assert '"path": "/spec/provisioning/userData", "value": "<hidden>"' in itself.out
    gone = applied.run("patch", "vm", "linux-vm", "-p", "spec: {provisioning: null}")
    assert '{"op": "remove", "path": "/spec/provisioning"}' in gone.out
    for ran in (far, near, itself, gone):
        assert ran.code == 5
        assert "hunter" not in ran.out + ran.err
