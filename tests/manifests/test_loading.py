"""What a set of manifests comes to as a whole."""

from __future__ import annotations

import gc
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.manifests.samples import disk, machine
from vmctl.manifests.documents import digest
from vmctl.manifests.loading import load


def one(text: str, **options: object) -> dict[str, object]:
    loaded = load(["-"], stdin=io.BytesIO(text.encode()), **options)  # type: ignore[arg-type]  # tests name the options
    assert loaded.problems == ()
    (manifest,) = loaded.manifests
    return manifest.document


def test_an_object_is_normalised() -> None:
    document = one(disk())
    assert document["metadata"] == {"name": "data", "namespace": "default"}
    pasted = disk().replace(
        "  name: data\n",
        "  name: data\n  uid: 1-2\n  resourceVersion: '7'\n  generation: 3\n  creationTimestamp: 2026-01-01T00:00:00Z\n"
        "  managedFields: []\n",
    )
    assert one(f"{pasted}status: {{phase: Ready}}\n") == document


def test_every_version_of_a_kind_becomes_the_stored_one() -> None:
    text = (
        "apiVersion: virtualization.deckhouse.io/{version}\nkind: VirtualMachineClass\nmetadata: {{name: host}}\n"
        "spec: {{cpu: {{type: Host}}}}\n"
    )
    assert one(text.format(version="v1alpha2")) == one(text.format(version="v1alpha3"))
    assert one(text.format(version="v1alpha2"))["apiVersion"] == "virtualization.deckhouse.io/v1alpha3"


def test_what_is_normal_stays_as_it_is() -> None:

    document = one(machine())
    assert one(json.dumps(document)) == document


def test_the_digest_names_the_content_not_its_order() -> None:
    assert digest({"a": 1, "b": [1, {"c": "é", "d": None}]}) == digest({"b": [1, {"d": None, "c": "é"}], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
    loaded = load(["-"], stdin=io.StringIO(disk()))
    assert loaded.manifests[0].digest == digest(loaded.manifests[0].document)


def test_stdin_may_be_text_bytes_yaml_or_json() -> None:
    lines = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "lab"}}\n'
    for stdin in (io.StringIO(lines), io.BytesIO(lines.encode()), io.StringIO(lines.replace('"', ""))):
        loaded = load(["-"], stdin=stdin)
        assert [(item.key.name, item.file, item.line) for item in loaded.manifests] == [("lab", "<stdin>", 1)]
    loaded = load(["-"], stdin=io.BytesIO(lines.replace("Namespace", "Namespice").encode()))
    (problem,) = loaded.problems
    assert (problem.file, problem.line, problem.column) == ("<stdin>", 1, 30)


def test_stdin_has_the_limits_of_a_file() -> None:
    (problem,) = load(["-"], stdin=io.BytesIO(b"#" * (16 * 1024 * 1024 + 1))).problems
    assert "larger than 16 MiB" in problem.what
    (problem,) = load(["-"], stdin=io.StringIO("a: \udcff\n")).problems
    assert "0xff is not UTF-8" in problem.what


def test_a_namespace_is_filled_in_where_none_is_said() -> None:
    text = f"{disk('a')}---\n{disk('b')}".replace("name: b\n", "name: b\n  namespace: x\n")
    loaded = load(["-"], stdin=io.StringIO(text), namespace="lab")
    assert loaded.problems == ()
    assert [item.key.namespace for item in loaded.manifests] == ["lab", "x"]
    namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: "n"}\n'
    assert "namespace" not in str(one(namespace, namespace="lab")["metadata"])


def test_a_generated_name_is_for_create_only() -> None:
    text = disk().replace("name: data", "generateName: data-")
    refused = load(["-"], stdin=io.StringIO(text))
    assert refused.manifests == ()
    assert [(problem.line, problem.column) for problem in refused.problems] == [(4, 17)]
    allowed = load(["-"], stdin=io.StringIO(f"{text}---\n{text}"), allow_generate_name=True)
    assert allowed.problems == ()
    assert [(item.key.name, item.generate_name) for item in allowed.manifests] == [("", "data-"), ("", "data-")]
    named = load(["-"], stdin=io.StringIO(text.replace("  generateName", "  name: data\n  generateName")))
    assert [(item.key.name, item.generate_name) for item in named.manifests] == [("data", "")]


def test_a_name_that_is_there_twice_is_wrong_on_both_sides(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(f"{disk('same')}---\n{disk(name)}")
    loaded = load([str(tmp_path), "-"], stdin=io.StringIO(disk("same")))
    assert [item.key.name for item in loaded.manifests] == ["a", "b", "c"]
    assert [(Path(problem.file).name, problem.line, problem.column, problem.path) for problem in loaded.problems] == [
        ("b.yaml", 4, 9, "metadata.name"),
        ("c.yaml", 4, 9, "metadata.name"),
        ("<stdin>", 4, 9, "metadata.name"),
    ]
    assert all(f"{tmp_path / 'a.yaml'}:1" in problem.what for problem in loaded.problems)


def test_all_problems_come_at_once_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("a: [\n")
    (tmp_path / "a.yaml").write_text(disk().replace("size", "sise").replace("name", "nome"))
    (tmp_path / "c.yaml").write_text(disk())
    loaded = load([str(tmp_path / "missing"), str(tmp_path)])
    places = [(Path(problem.file).name, problem.line) for problem in loaded.problems]
    assert places == [("a.yaml", 3), ("a.yaml", 4), ("a.yaml", 7), ("b.yaml", 1), ("missing", 0)]
    assert [item.key.name for item in loaded.manifests] == ["data"]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        one(disk())
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


@pytest.mark.full
def test_ten_thousand_manifests_stay_below_500_mib(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"{number}.yaml").write_text(machine(f"vm-{number}"))
    program = (
        "import resource, sys\n"
        "from vmctl.manifests.loading import load\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "found = load([sys.argv[1]])\n"
        "print(len(found.manifests), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    count, grown_kib = map(int, done.stdout.split())
    assert count == 10_000
    assert grown_kib < 500 * 1024


def test_an_object_with_an_idle_field_is_told_from_its_neighbours() -> None:
    idle = machine("idle").replace("spec:\n", "spec:\n  usbDevices: [{name: stick}]\n")
    loaded = load(["-"], stdin=io.StringIO(f"{machine('whole')}---\n{idle}"))
    assert [(item.key.name, item.acts) for item in loaded.manifests] == [("whole", True), ("idle", False)]
    assert [problem.path for problem in loaded.not_acting] == ["spec.usbDevices"]


KNOWN = sorted((Path(__file__).parent.parent / "resources/seeds").glob("*.yaml"))


@pytest.mark.parametrize("path", KNOWN, ids=lambda path: path.stem)
def test_loading_what_was_loaded_changes_nothing(path: Path) -> None:
    once = load([str(path)], allow_generate_name=True)
    assert once.problems == ()
    items = {"apiVersion": "v1", "kind": "List", "items": [item.document for item in once.manifests]}
    again = load(["-"], stdin=io.StringIO(json.dumps(items)), allow_generate_name=True)
    assert again.problems == ()
    assert [item.document for item in again.manifests] == [item.document for item in once.manifests]
    assert [item.digest for item in again.manifests] == [item.digest for item in once.manifests]


def test_a_manifest_knows_its_file_and_the_directory_it_was_given_in(tmp_path: Path) -> None:
    below = tmp_path / "dir" / "below"
    below.mkdir(parents=True)
    (tmp_path / "dir" / "a.yaml").write_text(disk())
    (below / "b.yaml").write_text(machine())
    (tmp_path / "link").symlink_to(tmp_path / "dir")
    given = load([str(tmp_path / "link")], recursive=True)
    assert [(item.path, item.directory) for item in given.manifests] == [
        (f"{tmp_path}/dir/a.yaml", f"{tmp_path}/dir"),
        (f"{below}/b.yaml", f"{tmp_path}/dir"),
    ]
    named = load([str(tmp_path / "link" / "a.yaml")])
    assert [(item.path, item.directory) for item in named.manifests] == [(f"{tmp_path}/dir/a.yaml", "")]
    assert [(item.path, item.directory) for item in load(["-"], stdin=io.StringIO(disk())).manifests] == [("", "")]
