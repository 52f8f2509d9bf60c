"""The examples: every file loads, names the schema of what it holds, is one that the editor finds, and does what it
says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engine.lab import Lab
from vmctl.cli import main
from vmctl.engine import applying
from vmctl.engine.previewing import Look
from vmctl.manifests import loading
from vmctl.planning.conditions import find

if TYPE_CHECKING:
    from tests.http_images import ImageServer

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "examples").rglob("*.yaml"))
SCHEMA_LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


DIRECTORIES = sorted({file.parent for file in FILES})
# where a machine ends that does not simply run, and why
ENDS = {
    "install-from-iso": ("Stopped", "runPolicy Manual"),
    "placement": ("Pending", "nodeSelector disktype=ssd is not a label of memory"),
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT / "examples"))


@pytest.mark.parametrize("directory", DIRECTORIES, ids=named)
def test_an_example_is_valid_as_a_whole(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMCTL_STATE_DIR", str(tmp_path))
    assert main(["validate", "-f", str(directory)]) == 0
    assert ": valid" in "".join(capsys.readouterr())


@pytest.mark.parametrize("file", FILES, ids=named)
def test_an_example_begins_with_the_schema_of_its_kind(file: Path) -> None:
    first = SCHEMA_LINE.fullmatch(file.read_text().splitlines()[0])
    assert first, "the first line tells the editor its schema"
    schema = (file.parent / first[1]).resolve()
    assert schema.parent == ROOT / "schemas"
    json.loads(schema.read_text())
    kinds = re.findall(r"^kind: (\w+)$", file.read_text(), re.MULTILINE)
    expected = {f"{kinds[0].lower()}.json", "vmctl.schema.json"} if len(kinds) == 1 else {"vmctl.schema.json"}
    assert schema.name in expected


def test_the_quick_start_fetches_its_image_where_the_script_serves_it() -> None:
    port = re.search(r"^image_port=(\d+)", (ROOT / "install.sh").read_text(), re.MULTILINE)
    assert port
    assert f"url: http://127.0.0.1:{port[1]}/guest.qcow2\n" in (ROOT / "examples/quickstart/image.yaml").read_text()


@pytest.mark.parametrize("directory", DIRECTORIES, ids=named)
def test_an_example_is_planned_as_a_whole(directory: Path, tmp_path: Path) -> None:
    """Nothing in it is warned about, refused or left without a step; what comes later waits for what comes first."""
    loaded = loading.load([str(directory)])
    assert not loaded.warnings
    with Lab(tmp_path).session() as session:
        look = Look.over(session.store, session.driver, session.ledger, session.place, session.clock)
        previews = look.previews(applying.judge(loaded))
    assert [preview.key for preview in previews if preview.verb != "create"] == []
    assert not [change for preview in previews for change in preview.changes if change.effect == "refused"]
    for preview in previews:
        passive = preview.key.kind in ("Secret", "StorageClass", "ModuleConfig", "VirtualMachineClass")
        elsewhere = "; then " in preview.waits and "placement" in str(directory)  # this host is none of those it names
        assert passive or preview.steps or preview.later or elsewhere, f"{preview.key}: {preview.waits}"
        assert not preview.waits or preview.waits.startswith("after "), preview.waits


@pytest.mark.parametrize("directory", DIRECTORIES, ids=named)
def test_an_example_comes_true(directory: Path, tmp_path: Path, image_server: ImageServer) -> None:
    """Applied with a small image in place of those on the network, and a directory of the test's own."""
    image = image_server.directory / "os.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "8M"], check=True)
    text = "\n---\n".join(file.read_text() for file in sorted(directory.rglob("*.yaml")))
    text = re.sub(r"url: \S+", f"url: {image_server.url('os.qcow2')}", text)
    text = re.sub(r" +checksum:\n +sha256: \S+\n", "", text)
    text = text.replace("/srv/vmctl-bulk", str(tmp_path / "bulk"))
    lab = Lab(tmp_path)
    result = lab.apply(text)
    assert not result.failed
    with lab.session() as session:
        items = list(session.ledger.snapshot().by_key.values())
    phase, why = ENDS.get(named(directory), ("Running", ""))
    for item in items:
        if item.key.kind == "VirtualMachine":
            running = find(item.status, "Running")
            assert running
            assert (item.phase, why in running["message"]) == (phase, True), running["message"]
        elif item.key.kind in ("VirtualDisk", "VirtualImage", "ClusterVirtualImage", "VirtualMachineClass"):
            waits = "WaitForFirstConsumer" if item.key.name == "archive" else "Ready"
            assert item.phase == waits, item.status
