"""edit: with real editors, which are scripts, on what a file or the store says."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.places import LINUX, MACHINES, Applied, apply
from vmctl.cli import editor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import World

MACHINE = MACHINES.partition("---\n")[2]


@pytest.fixture
def applied(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Applied:
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(drafts))
    for name in editor.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return apply(world, tmp_path, monkeypatch)


def drafts(applied: Applied) -> list[Path]:
    """What edits have left behind."""
    return list((applied.directory.parent / "drafts").iterdir())


def use(applied: Applied, monkeypatch: pytest.MonkeyPatch, script: str, variable: str = "EDITOR") -> Path:
    """Make a script the editor: $1 is the file, $seen a file for notes, which is returned."""
    seen = applied.directory.parent / "seen"
    program = applied.directory.parent / "an editor.sh"
    program.write_text(f"#!/bin/sh\nseen='{seen}'\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv(variable, f"'{program}' --wait")
    return seen


def test_the_text_of_the_file_is_edited(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = use(applied, monkeypatch, 'stat -c %a "$2" >$seen; cat "$2" >>$seen; sed -i "s/cores: 1/cores: 2/" "$2"')
    ran = applied.run("edit", "vm", "linux-vm")
    assert (ran.code, ran.lines[0]) == (0, f"{LINUX} edited")
    mode, first, second, *rest = seen.read_text().splitlines(keepends=True)
    assert mode == "600\n"
    assert first == f"#| VirtualMachine linux-vm, from {applied.file}:13\n"
    assert second.startswith("#| Lines that begin with #|")
    assert "".join(rest) == MACHINE
    assert applied.file.read_text() == MACHINES.replace("cores: 1", "cores: 2")
    assert applied.spec()["cpu"]["cores"] == 2
    assert drafts(applied) == []
    applied.idle()


def test_the_file_keeps_its_line_ends(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    applied.write(MACHINES.replace("\n", "\r\n"))
    use(applied, monkeypatch, 'sed -i "s/cores: 1 }*/cores: 2/; s/# few/# more/" "$2"; echo "  osType: Generic" >>"$2"')
    assert applied.run("edit", "vm/linux-vm").code == 0
    expected = MACHINES.replace("# few", "# more") + "  osType: Generic\n"
    assert applied.file.read_bytes() == expected.replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("true", "Edit cancelled, no changes made.\n"),
        (': >"$2"', "Edit cancelled, saved file was empty.\n"),
        (
            'sed -i "/^[^#]/d" "$2"; sed -i "/^# /d" "$2"; sed -i "/^$/d" "$2"',
            "Edit cancelled, saved file was empty.\n",
        ),
        ('rm "$2"', "cannot be read"),
        ("exit 3", "failed with exit code 3"),
        ("kill -INT $$", "interrupted\n"),
    ],
)
def test_nothing_is_changed(applied: Applied, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    use(applied, monkeypatch, script)
    ran = applied.run("edit", "vm", "linux-vm")
    assert ran.code == (0 if said.startswith("Edit") else 130 if said == "interrupted\n" else 1)
    assert said in ran.err
    assert ran.out == ""
    assert applied.file.read_text() == MACHINES
    assert drafts(applied) == []


def test_what_is_wrong_is_shown_on_top(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
    if grep -q 'cores: 0' "$2"; then cat "$2" >$seen; sed -i 's/coress: 1, cores: 0/cores: 2/' "$2"
    else sed -i 's/cores: 1/coress: 1, cores: 0/' "$2"; fi
    """
    seen = use(applied, monkeypatch, script)
    assert applied.run("edit", "vm", "linux-vm").code == 0
    lines = seen.read_text().splitlines()
    header = [line for line in lines if line.startswith("#|")]
    at = next(number for number, line in enumerate(lines, 1) if "coress: 1" in line)
    assert any(f"line {at}: spec.cpu.coress is unknown" in line for line in header)
    assert any(f"line {at}: spec.cpu.cores: 0 cores" in line for line in header)
    assert applied.file.read_text() == MACHINES.replace("cores: 1", "cores: 2")


def test_a_refusal_of_the_same_text_ends_it(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    use(applied, monkeypatch, 'sed -i "s/cores: 1/cores: 0/" "$2"')
    ran = applied.run("edit", "vm", "linux-vm")
    assert (ran.code, ran.out) == (2, "")
    (draft,) = drafts(applied)
    assert f"A copy of your changes is kept in {draft}" in ran.err
    number = next(at for at, line in enumerate(draft.read_text().splitlines(), 1) if "cores: 0}" in line)
    assert f"{draft}:{number}:" in ran.err
    assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    assert applied.file.read_text() == MACHINES


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("s/name: 'linux-vm'/name: other/", "cannot be changed"),
        ("s/kind: VirtualMachine$/kind: VirtualDisk/", "spec"),
        ("s/- kind: VirtualDisk/  --- # \\n/; s/^  *name: linux-disk/a: 1\\n---\\nb: 2/", ""),
    ],
)
def test_it_stays_the_same_object(applied: Applied, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    use(applied, monkeypatch, f'sed -i "{script}" "$2"')
    ran = applied.run("edit", "vm", "linux-vm")
    assert ran.code == 2
    assert said in ran.err
    assert applied.file.read_text() == MACHINES


def test_a_file_that_changes_meanwhile(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    use(applied, monkeypatch, f'sed -i "s/cores: 1/cores: 2/" "$2"; echo "# new" >>"{applied.file}"')
    ran = applied.run("edit", "vm", "linux-vm")
    assert ran.code == 5
    assert "changed by somebody else meanwhile" in ran.err
    (draft,) = drafts(applied)
    assert "cores: 2" in draft.read_text()
    assert applied.file.read_text() == MACHINES + "# new\n"
    assert applied.spec()["cpu"]["cores"] == 1


def test_an_object_that_changes_meanwhile(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody labels the address while it is open in an editor."""
    address = applied.run("get", "vmip", "-o", "name").lines[0].partition("/")[2]
    rival = f"{sys.executable} -m vmctl label vmip {address} a=b --state-dir '{applied.world.directory}'"
    use(
        applied,
        monkeypatch,
        f'echo "  # more" >>"$2"; sed -i "s/^metadata:/metadata:\\n  labels: {{c: d}}/" "$2"; {rival}',
    )
    ran = applied.run("edit", "vmip", address)
    assert ran.code == 5
    assert "changed by somebody else meanwhile" in ran.err
    assert applied.meta("VirtualMachineIPAddress", address)["labels"] == {"a": "b"}
    assert len(drafts(applied)) == 1


def test_an_object_of_the_store(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    address = applied.run("get", "vmip", "-o", "name").lines[0].partition("/")[2]
    seen = use(applied, monkeypatch, 'cat "$2" >$seen; sed -i "s/^metadata:/metadata:\\n  labels: {c: d}/" "$2"')
    assert applied.run("edit", "vmip", address).lines[0].endswith(f"{address} edited")
    assert applied.meta("VirtualMachineIPAddress", address)["labels"] == {"c": "d"}
    assert "status" not in seen.read_text()
    assert seen.read_text().startswith(f"#| VirtualMachineIPAddress {address}\n")


def test_an_item_of_a_list(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = "".join(
        f"  {line}\n" if line else "\n" for line in MACHINE.replace("cores: 1}", "cores: 1 }").splitlines()[2:]
    )
    text = f"apiVersion: v1\nkind: List\nitems:\n- # one\n{inside}"
    applied.write(text)
    use(applied, monkeypatch, 'sed -i "s/cores: 1/cores: 2/" "$2"')
    assert applied.run("edit", "vm", "linux-vm").code == 0
    assert applied.file.read_text() == text.replace("cores: 1", "cores: 2")
    applied.idle()


def test_json(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    applied.file.unlink()
    applied.file = applied.directory / "vm.json"
    text = '{"apiVersion": "virtualization.deckhouse.io/v1alpha2", "kind": "VirtualMachine",\n "metadata": {"name": '
    text += (
        '"linux-vm"},\n "spec": {"runPolicy": "AlwaysOff", "virtualMachineClassName": "host",\n  "cpu": {"cores": 1},'
    )
    text += ' "memory": {"size": "1Gi"}, "blockDeviceRefs": [{"kind": "VirtualDisk", "name": "linux-disk"}]}}\n'
    applied.write(text)
    use(applied, monkeypatch, 'sed -i \'s/"cores": 1/"cores": 2/\' "$2"; case $2 in *.json) ;; *) exit 9;; esac')
    assert applied.run("edit", "vm", "linux-vm").code == 0
    assert applied.file.read_text() == text.replace('"cores": 1', '"cores": 2')


def test_a_file_that_may_not_be_written_is_not_opened(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = use(applied, monkeypatch, "echo opened >$seen")
    applied.file.chmod(0o444)
    ran = applied.run("edit", "vm", "linux-vm")
    assert ran.code == 5
    assert f"{applied.file}:13: it is read-only" in ran.err
    assert not seen.exists()


def test_which_editor(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("EDITOR", "VISUAL", "KUBE_EDITOR", "VMCTL_EDITOR"):
        monkeypatch.setenv(variable, f"{variable.lower()} -f 'a b'")
        assert editor.chosen() == [variable.lower(), "-f", "a b"]
    ran = applied.run("edit", "vm", "linux-vm")
    assert ran.code == 2
    assert "vmctl_editor -f 'a b' cannot be started" in ran.err
    monkeypatch.setenv("VMCTL_EDITOR", "it's")
    assert "cannot be understood" in applied.run("edit", "vm", "linux-vm").err


def test_control_c_belongs_to_the_editor(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal sends it to both; the editor may take it as any key, and the edit goes on."""
    seen = use(
        applied, monkeypatch,
        'trap "echo caught >>$seen" INT; echo ready >$seen; while ! grep -q caught $seen; do sleep 0.05; done;'
        ' sed -i "s/cores: 1/cores: 2/" "$2"',
    )  # fmt: skip
    command = [sys.executable, "-m", "vmctl", "edit", "vm", "linux-vm", "--state-dir", str(applied.world.directory)]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True) as running:
        while not seen.exists() or "ready" not in seen.read_text():
            assert running.poll() is None
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGINT)
        out, _ = running.communicate()
    assert (running.returncode, out.splitlines()[0]) == (0, f"{LINUX} edited")
    assert applied.file.read_text() == MACHINES.replace("cores: 1", "cores: 2")
