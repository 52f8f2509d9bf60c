"""The door of the program: errors as sentences, exit codes, help, spellings, what is imported when."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import vmctl.cli
from tests.cli.conftest import add_machine
from vmctl.cli import main, output
from vmctl.cli.spelling import spelled
from vmctl.cli.verbs import SUMMARIES, Verbs
from vmctl.errors import Bug, ChangeRefused, ManifestError, Problem

if TYPE_CHECKING:
    from tests.cli.conftest import World

HEAVY = {"pydantic", "pydantic_core", "networkx", "ruamel", "rich", "asyncio", "jsonpath", "libvirt", "urllib.request"}


def process(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vmctl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": ""},
    )  # fmt: skip


def test_listing_imports_nothing_heavy(quickstart: World) -> None:
    quickstart.close()
    script = "import sys; from vmctl.cli import main; main(sys.argv[1:]); print(*sorted(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", script, "--state-dir", str(quickstart.directory), "get", "vm,vd,vi", "-o", "wide"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "linux-vm" in ran.stdout
    assert not HEAVY.intersection(ran.stdout.splitlines()[-1].split())


def test_help_of_the_program_imports_no_verb() -> None:
    script = "import sys; from vmctl.cli import main; main(['--help']); print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "vmctl.cli.verbs" in loaded
    assert not {f"vmctl.cli.{name}" for name in SUMMARIES} & loaded


def test_without_a_verb_the_groups_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in SUMMARIES)
    assert "Declaring:" in out


@pytest.mark.parametrize("name", list(SUMMARIES))
def test_every_verb_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Usage: vmctl {name}" in out
    assert "Examples:" in out
    assert f"vmctl {name}" in out.partition("Examples:")[2]
    assert "--state-dir" in out
    assert main([name, "-h"]) == 0


@pytest.mark.parametrize("name", list(SUMMARIES))
def test_every_option_is_explained(name: str) -> None:
    context = click.Context(Verbs("vmctl"))
    command = Verbs("vmctl").get_command(context, name)
    assert command is not None
    assert command.name == name
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, option.name


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the program end in this error."""

    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(vmctl.cli, "_run", fail)


def test_errors_are_sentences_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, ChangeRefused("the disk root cannot shrink", remedy="give it 10Gi or more"))
    assert main([]) == 5
    assert capsys.readouterr() == ("", "error: the disk root cannot shrink\nhint: give it 10Gi or more\n")


def test_bad_manifests_show_every_place(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    problems = [
        Problem("vm.yaml", 12, 5, 'unknown field "core"', 'did you mean "cores"?', "    core: 2"),
        Problem("b.yaml", 0, 0, "is a pipe"),
    ]
    failing(monkeypatch, ManifestError(problems))
    assert main([]) == 2
    assert capsys.readouterr().err.splitlines() == [
        'vm.yaml:12:5: unknown field "core"',
        "  12 |     core: 2",
        "     |     ^",
        '  hint: did you mean "cores"?',
        "b.yaml: is a pipe",
        "error: 2 problems in the manifests, nothing was changed",
    ]


@pytest.mark.parametrize("error", [Bug("half a plan"), KeyError("key"), RecursionError()])
def test_mistakes_of_ours_ask_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    failing(monkeypatch, error)
    assert main([]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "please report" in err


def test_interruption_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert main([]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_verbs_are_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gett", "vm"]) == 2
    assert capsys.readouterr().err == 'error: there is no verb "gett"; did you mean "get"?\nhint: see  vmctl --help\n'


def test_a_reader_that_goes_away_is_no_error(world: World) -> None:
    with world.store.batch():
        for number in range(3000):
            add_machine(world, f"vm-{number:04}")
    world.close()
    running = process("get", "vm", "-o", "yaml", "--state-dir", str(world.directory))
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    assert running.wait(timeout=60) == 141
    assert running.stderr.read() == ""
    running.stderr.close()


def test_watching_follows_and_ends_quietly(quickstart: World) -> None:
    machine = add_machine(quickstart, "linux-vm", age=60)
    running = process("get", "vm", "-w", "--state-dir", str(quickstart.directory))
    assert running.stdout is not None
    assert running.stdout.readline().startswith("NAME")
    assert running.stdout.readline().split()[:2] == ["linux-vm", "Running"]
    quickstart.store.set_status(machine.uid, {"phase": "Stopped"})
    assert running.stdout.readline().split()[:2] == ["linux-vm", "Stopped"]
    add_machine(quickstart, "a-new-one")
    assert running.stdout.readline().split()[:2] == ["a-new-one", "Running"]
    quickstart.store.remove(machine.uid)
    assert running.stdout.readline().split()[:2] == ["linux-vm", "Stopped"]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "")


def test_watching_events_ends_quietly(quickstart: World) -> None:
    quickstart.store.record_event(add_machine(quickstart, "linux-vm").key, "Normal", "Tested", "it was")
    running = process("events", "-w", "--state-dir", str(quickstart.directory))
    assert running.stdout is not None
    assert "LAST" in running.stdout.readline()
    assert "Tested" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    assert (running.communicate(timeout=60), running.returncode) == (("", ""), 130)


def test_watching_only_leaves_the_present_out(quickstart: World) -> None:
    running = process("get", "vm", "--watch-only", "-o", "name", "--state-dir", str(quickstart.directory))
    assert running.stdout is not None
    found: list[str] = []
    for number in range(200):  # the first ones may come before the process has looked for the first time
        add_machine(quickstart, f"new-{number}")
        if select.select([running.stdout], [], [], 0.1)[0]:
            found.append(running.stdout.readline())
            break
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert found
    assert "/new-" in found[0]


def test_output_that_cannot_be_written_is_told(quickstart: World) -> None:
    quickstart.close()
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "vmctl", "get", "vm", "--state-dir", str(quickstart.directory)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env={**os.environ, "PYTHONUNBUFFERED": ""},
        )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr == "error: the system refuses: [Errno 28] No space left on device\n"


def test_closed_streams_are_no_mistake(quickstart: World) -> None:
    quickstart.close()
    command = f"{sys.executable} -m vmctl get vm --state-dir {quickstart.directory} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_the_version_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vmctl {vmctl.__version__}\n"


def test_python_dash_m_and_exit_codes(world: World) -> None:
    running = process("get", "vm", "gone", "--state-dir", str(world.directory))
    _, err = running.communicate(timeout=60)
    assert running.returncode == 4
    assert "not found" in err


def option(*names: str, flag: bool = False) -> click.Option:
    return click.Option(list(names), is_flag=flag)


COMMAND = click.Command(
    "x", params=[option("-o", "--output"), option("-A", "--all", flag=True), option("--wait/--no-wait", flag=True)]
)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["-o=json"], ["-o", "json"]),
        (["-ojson"], ["-ojson"]),
        (["--output=a=b"], ["--output=a=b"]),
        (["-o", "-A=true"], ["-o", "-A=true"]),
        (["-A=true", "vm"], ["-A", "vm"]),
        (["-A=false", "vm"], ["vm"]),
        (["--wait=false"], ["--no-wait"]),
        (["--wait=TRUE"], ["--wait"]),
        (["-x=1"], ["-x=1"]),
        (["--", "-o=json"], ["--", "-o=json"]),
    ],
)
def test_spellings_of_kubectl(given: list[str], read: list[str]) -> None:
    assert spelled(COMMAND, given) == read


def test_a_flag_is_true_or_false(world: World) -> None:
    assert world.run("get", "vm", "-A=maybe").code == 2


def test_settings_stand_in_front_of_the_verb_or_behind_it(
    quickstart: World, capsys: pytest.CaptureFixture[str]
) -> None:
    add_machine(quickstart, "far", namespace="web")
    assert main(["--state-dir", str(quickstart.directory), "-n=web", "get", "vm", "-oname"]) == 0
    assert capsys.readouterr().out == "virtualmachine.virtualization.deckhouse.io/far\n"
    assert quickstart.run("-n", "nowhere", "get", "vm", "-oname", "-n", "web").lines == [
        "virtualmachine.virtualization.deckhouse.io/far"
    ]


def test_the_environment_names_store_and_namespace(
    quickstart: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_machine(quickstart, "far", namespace="web")
    monkeypatch.setenv("VMCTL_STATE_DIR", str(quickstart.directory))
    monkeypatch.setenv("VMCTL_NAMESPACE", "web")
    assert main(["get", "vm", "-oname"]) == 0
    assert capsys.readouterr().out == "virtualmachine.virtualization.deckhouse.io/far\n"


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert output.coloured("x", output.RED) == "x"  # NO_COLOR is set
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    assert output.coloured("x", output.RED) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("TERM", "dumb")
    assert output.coloured("x", output.RED) == "x"


def completed(words: str, position: int, directory: Path) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "vmctl"], capture_output=True, text=True, check=True,
        env={**os.environ, "_VMCTL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position),
             "VMCTL_STATE_DIR": str(directory)},
    )  # fmt: skip
    return [line.partition(",")[2] for line in ran.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("vmctl desc", ["describe"]),
        ("vmctl get virtualdisks", ["virtualdisks", "virtualdisksnapshots"]),
        ("vmctl get vi,vd", ["vi,vd", "vi,vdsnapshot"]),
        ("vmctl get vm li", ["linux-vm"]),
        ("vmctl get vm/li", ["vm/linux-vm"]),
        ("vmctl get vm -n we", ["web"]),
        ("vmctl console li", ["linux-vm"]),
        ("vmctl completion z", ["zsh"]),
        ("vmctl get nosuch x", []),
    ],
)
def test_completion_knows_verbs_kinds_and_names(quickstart: World, words: str, found: list[str]) -> None:
    add_machine(quickstart, "far", namespace="web")
    quickstart.close()
    assert completed(words, len(words.split()) - 1, quickstart.directory) == found


def test_completion_never_fails(tmp_path: Path) -> None:
    (tmp_path / "vmctl.db").write_text("this is no database")
    assert completed("vmctl get vm ", 3, tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_VMCTL_COMPLETE" in capsys.readouterr().out


def test_completion_script_is_bash(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    subprocess.run(["bash", "-n"], input=capsys.readouterr().out, text=True, check=True)


def test_a_damaged_store_is_told(world: World) -> None:
    world.directory.mkdir()
    (world.directory / "vmctl.db").write_text("this is no database")
    ran = world.run("get", "vm")
    assert ran.code == 1
    assert "damaged" in ran.err
    assert "hint: " in ran.err
