"""Where settings come from, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmctl.engine.settings import Settings, Surroundings, config_file, load
from vmctl.errors import UsageError


def around(
    tmp_path: Path, *, root: bool = False, text: str = "", tree: bool = False, **environment: str
) -> Surroundings:
    config = tmp_path / "config.yaml"
    if text:
        config.write_text(text)
    package = tmp_path / "lib" / "vmctl"
    if tree:
        (tmp_path / "lib" / "state").mkdir(parents=True)
        (tmp_path / "lib" / "pyproject.toml").touch()
    return Surroundings({"HOME": "/home/me", **environment}, root, package, config)


def test_defaults_of_root_and_of_a_user(tmp_path: Path) -> None:
    assert load({}, around(tmp_path, root=True)) == Settings("qemu:///system", Path("/var/lib/vmctl"))
    assert load({}, around(tmp_path)) == Settings("qemu:///session", Path("/home/me/.local/state/vmctl"))
    assert load({}, around(tmp_path, XDG_STATE_HOME="/x")).state_dir == Path("/x/vmctl")


def test_a_source_tree_keeps_its_state_inside(tmp_path: Path) -> None:
    assert load({}, around(tmp_path, root=True, tree=True)).state_dir == tmp_path / "lib" / "state"


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    text = "libvirtUri: test:///file\nstateDir: /file\naccelerator: kvm\nnamespace: file\n"
    everything = around(
        tmp_path, text=text, VMCTL_LIBVIRT_URI="test:///env", VMCTL_STATE_DIR="/env", VMCTL_ACCELERATOR=""
    )
    found = load({"libvirt_uri": "test:///flag", "state_dir": None}, everything)
    assert found.libvirt_uri == "test:///flag"
    assert found.state_dir == Path("/env")
    assert found.accelerator == "kvm"
    assert found.namespace == "file"


def test_overcommitment(tmp_path: Path) -> None:
    found = load({}, around(tmp_path, text="overcommit: {memory: 1.5, cpu: 4}"))
    assert (found.overcommit_memory, found.overcommit_cpu) == (1.5, 4.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("libvirtURI: x", 'did you mean "libvirtUri"?'),
        ("colour: blue", "known keys: libvirtUri"),
        ("stateDir: 5", "stateDir must be a text"),
        ("overcommit: 2", "must be a mapping"),
        ("overcommit: {memory: -1}", "overcommit.memory is -1"),
        ("overcommit: {memory: true}", "overcommit.memory is True"),
        ("overcommit: {ram: 1}", '"overcommit.ram"'),
        ("- a", "must be a mapping of settings"),
        ("a: [", "not valid YAML"),
        ("accelerator: xen", "use one of auto, kvm, tcg"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load({}, around(tmp_path, text=text))
    assert said in f"{caught.value.message}; {caught.value.remedy}"


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert load({}, around(tmp_path, text="# nothing yet\n")).namespace == "default"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        load({}, around(tmp_path))


def test_places_of_the_config_file() -> None:
    assert config_file({}, root=True) == Path("/etc/vmctl/config.yaml")
    assert config_file({"HOME": "/home/me"}, root=False) == Path("/home/me/.config/vmctl/config.yaml")
    assert config_file({"XDG_CONFIG_HOME": "/x"}, root=False) == Path("/x/vmctl/config.yaml")
