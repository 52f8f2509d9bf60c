"""The examples: every file loads, names the schema of what it holds, and is one that the editor finds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vmctl.cli import main

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "examples").rglob("*.yaml"))
SCHEMA_LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT / "examples"))


@pytest.mark.parametrize("directory", sorted({file.parent for file in FILES}), ids=named)
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
