"""The small verbs: validate, explain, schema, api-resources, version."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import vmctl
from vmctl.resources import registry

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.conftest import World

DISK = """\
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata:
  name: {name}
spec:
  persistentVolumeClaim:
    {field}: 1Gi
"""


def test_good_manifests(world: World, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(DISK.format(name=name, field="size"))
    ran = world.run("validate", "-f", str(tmp_path))
    assert (ran.code, ran.out, ran.err) == (0, "2 objects in 2 files: valid\n", "")
    assert world.run("validate", "-q", "-f", str(tmp_path / "a.yaml")).out == ""
    assert not world.directory.exists()


def test_bad_manifests_are_shown_all_at_once(world: World, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DISK.format(name="a", field="sizee"))
    (tmp_path / "b.yaml").write_text(DISK.format(name="B!", field="size"))
    ran = world.run("validate", "-f", str(tmp_path))
    assert (ran.code, ran.out) == (2, "")
    assert f"{tmp_path}/a.yaml:7:5: " in ran.err
    assert "  7 |     sizee: 1Gi\n    |     ^\n" in ran.err
    assert f"{tmp_path}/b.yaml:4:" in ran.err
    assert 'did you mean "size"?' in ran.err
    assert ran.err.splitlines()[-1].startswith("error: 2 problems")


def test_stdin_and_generated_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    text = DISK.format(name="x", field="size").replace("name: x", "generateName: x-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert world.run("validate", "-f", "-").out == "1 object in 1 file: valid\n"


def test_something_must_be_validated(world: World) -> None:
    assert world.run("validate").code == 2


def test_explain(world: World) -> None:
    ran = world.run("explain", "vm.spec.cpu.cores")
    assert ran.code == 0
    assert "cores <integer> -required-" in ran.out
    assert "A CHANGE APPLIES:" in ran.out
    assert "coreFraction <string>" in world.run("explain", "vm.spec", "--recursive").out
    wrong = world.run("explain", "vm.spec.cpus")
    assert wrong.code == 2
    assert 'did you mean "cpu"?' in wrong.err
    assert 'has no field "cpus"' in wrong.err
    assert 'there is no kind "vmm"' in world.run("explain", "vmm").err


def test_schema(world: World) -> None:
    assert json.loads(world.run("schema", "vm").out)["title"] == "VirtualMachine"
    assert "VirtualDisk" in json.loads(world.run("schema").out)["$defs"]
    assert world.run("schema", "vmm").code == 2


def test_api_resources(world: World) -> None:
    rows = world.run("api-resources", "--no-headers").lines
    assert len(rows) == len(registry.KINDS)
    (machine,) = [row.split() for row in rows if row.startswith("virtualmachines ")]
    assert machine == [
        "virtualmachines",
        "vm",
        "virtualization.deckhouse.io/v1alpha2",
        "true",
        "VirtualMachine",
        "true",
    ]
    names = world.run("api-resources", "-o", "name", "--cluster-wide", "--api-group=storage.k8s.io").lines
    assert names == ["storageclasses.storage.k8s.io"]
    assert "v1alpha3,v1alpha2" in world.run("api-resources", "-o", "wide").out


def test_version(world: World) -> None:
    alone = world.run("version", "--client")
    assert alone.lines == [f"vmctl: {vmctl.__version__} (Python {'.'.join(map(str, sys.version_info[:3]))})"]
    away = world.run("version", "--libvirt-uri", "qemu+unix:///system?socket=/nonexistent/socket")
    assert away.code == 0
    assert away.err.startswith("libvirt: ")
    document = json.loads(world.run("version", "--client", "-o", "json").out)
    assert document["client"]["version"] == vmctl.__version__
