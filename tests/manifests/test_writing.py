"""Documents found in files and written back: which file may be written, and what of it stays."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tests.manifests.samples import disk, machine
from vmctl.errors import ChangeRefused, Problem
from vmctl.manifests import holding, writing
from vmctl.manifests.carrying import carried
from vmctl.manifests.holding import Held
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from pathlib import Path

DISK = Key("VirtualDisk", "default", "data")


def held(file: Path, key: Key = DISK) -> Held:
    """The object in a file, which has to be there."""
    found = holding.hold(str(file), key)
    assert isinstance(found, Held)
    return found


def resized(home: Held, size: str = "2Gi") -> dict[str, Any]:
    return {**home.raw, "spec": {"persistentVolumeClaim": {"size": size}}}


def put(file: Path, size: str = "2Gi") -> None:
    """Change the size of the disk in a file."""
    home = held(file)
    writing.write(home, writing.rewritten(home, resized(home, size)))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_owner_mode_and_the_rest_are_kept(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "all.yaml"
    text = f"# mine\n{machine()}---  # next\n{disk()}---\n# last\n{disk('other')}"
    file.write_text(text)
    file.chmod(mode)
    if os.geteuid() == 0:
        os.chown(file, 1234, 5678)
    before = file.stat()
    put(file)
    after = file.stat()
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert file.read_text() == text.replace("size: 1Gi\n---\n# last", "size: 2Gi\n---\n# last")
    assert [entry.name for entry in tmp_path.iterdir()] == ["all.yaml"]


def test_line_ends_and_byte_order_marks_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "vd.yaml"
    data = b"\xef\xbb\xbf" + disk().replace("\n", "\r\n").encode()
    file.write_bytes(data)
    put(file)
    assert file.read_bytes() == data.replace(b"1Gi", b"2Gi")


def test_an_item_of_a_list(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    inside = "".join(f"    {line}\n" for line in disk().splitlines()[1:])
    text = f"apiVersion: v1\nkind: List\nitems:\n  - {disk().splitlines()[0]}\n{inside}    # end\n"
    file.write_text(text)
    home = held(file)
    assert (home.path, home.line, home.bounds()) == (("items", 0), 4, None)
    put(file)
    assert file.read_text() == text.replace("1Gi", "2Gi")


def test_several_json_documents(tmp_path: Path) -> None:
    file = tmp_path / "two.json"
    one = '{"apiVersion": "virtualization.deckhouse.io/v1alpha2", "kind": "VirtualDisk",\n "metadata": {"name": "%s"},'
    one += '\n "spec": {"persistentVolumeClaim": {"size": "1Gi"}}}\n'
    file.write_text(one % "first" + one % "data")
    put(file)
    assert file.read_text() == one % "first" + (one % "data").replace("1Gi", "2Gi")


def test_a_link_inside_the_directory_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text(disk())
    link = tmp_path / "link.yaml"
    link.symlink_to(real)
    assert holding.unwritable(str(link), str(tmp_path)) == ""
    put(link)
    assert link.is_symlink()
    assert real.read_text() == disk(size="2Gi")


def test_why_a_file_is_not_written(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside.yaml"
    inside.mkdir()
    outside.write_text(disk())
    link, twin, locked = inside / "link.yaml", inside / "twin.yaml", inside / "locked.yaml"
    link.symlink_to(outside)
    assert "outside of" in holding.unwritable(str(link), str(inside))
    twin.write_text(disk())
    (inside / "second-name").hardlink_to(twin)
    assert "several names" in holding.unwritable(str(twin), str(inside))
    locked.write_text(disk())
    locked.chmod(0o444)
    assert holding.unwritable(str(locked), str(inside)) == "is read-only"
    os.mkfifo(inside / "pipe.yaml")
    assert holding.unwritable(str(inside / "pipe.yaml"), "") == "is no regular file"
    assert "cannot be looked at" in holding.unwritable(str(inside / "none.yaml"), "")


def test_a_file_that_somebody_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "vd.yaml"
    file.write_text(disk())
    home = held(file)
    file.write_text(disk() + "# and more\n")
    with pytest.raises(ChangeRefused, match="changed by somebody else"):
        writing.write(home, writing.rewritten(home, resized(home)))
    assert file.read_text() == disk() + "# and more\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["vd.yaml"]


def test_a_file_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    file = tmp_path / "vd.yaml"
    file.write_text(disk())
    home = held(file)
    file.unlink()
    with pytest.raises(ChangeRefused, match="cannot be written: No such file"):
        writing.write(home, writing.rewritten(home, resized(home)))
    assert list(tmp_path.iterdir()) == []


def test_what_holds_no_such_object(tmp_path: Path) -> None:
    file = tmp_path / "vd.yaml"
    assert holding.hold(str(file), DISK) is None
    file.write_text(disk("other"))
    assert holding.hold(str(file), DISK) is None
    file.write_text("a: [\n")
    found = holding.hold(str(file), DISK)
    assert isinstance(found, Problem)
    assert found.file == str(file)
    file.write_bytes(b"\xff\xfe")
    assert isinstance(holding.hold(str(file), DISK), Problem)


def test_an_alias_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "vd.yaml"
    text = disk().replace("size: 1Gi", "size: *n").replace("name: data", "name: data\n  labels: {n: &n 1Gi}")
    file.write_text(text)
    home = held(file)
    with pytest.raises(ChangeRefused, match=r"vd.yaml:8: \*n stands here"):
        writing.rewritten(home, resized(home))


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("# head\n", "# tail\n"), ("---\n", "...\n"), ("%YAML 1.2\n---\n", "---\na: 1\n"), ("x: 1\n---\n", "")],
)
def test_the_text_of_a_document(tmp_path: Path, before: str, after: str) -> None:
    """What an editor is given: the document with its comments, between the marks."""
    file = tmp_path / "vd.yaml"
    text = f"{before}# about it\n{disk()}{after}"
    file.write_text(text)
    home = held(file)
    bounds = home.bounds()
    assert bounds is not None
    shown = text[slice(*bounds)]
    kept = "".join(part for part in (before, after) if part.startswith("#"))
    assert shown == (f"{kept[:7]}# about it\n{disk()}{kept[7:]}" if kept else f"# about it\n{disk()}")
    new = shown.replace("1Gi", "3Gi")
    assert writing.replaced(home, new) == text.replace("1Gi", "3Gi")


def test_a_text_must_stay_one_document(tmp_path: Path) -> None:
    file = tmp_path / "vd.yaml"
    file.write_text(f"{disk()}---\n{disk('other')}")
    home = held(file)
    for text in (f"{disk()}---\n{disk('third')}", "", "a: [\n"):
        with pytest.raises(ChangeRefused):
            writing.replaced(home, text)
    assert writing.replaced(home, disk(size="2Gi").rstrip()) == f"{disk(size='2Gi')}---\n{disk('other')}"


@pytest.mark.parametrize(
    ("written", "before", "after", "expected"),
    [
        ({"a": "1024Mi"}, {"a": "1Gi", "b": 1}, {"a": "1Gi", "b": 2}, {"a": "1024Mi", "b": 2}),
        ({}, {"d": {"x": 1, "y": 2}}, {"d": {"x": 1, "y": 3}}, {"d": {"y": 3}}),
        ({"l": ["a", "b"]}, {"l": ["A", "B"]}, {"l": ["A", "N", "B"]}, {"l": ["a", "N", "b"]}),
        ({"l": [{"n": "a"}]}, {"l": [{"n": "a", "d": 0}]}, {"l": [{"n": "a", "d": 1}]}, {"l": [{"n": "a", "d": 1}]}),
        ({"l": ["a"]}, {"l": ["a", "b"]}, {"l": ["b"]}, {"l": ["b"]}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}, {"a": 1}),
        ({"text": {"k": "v"}}, {"text": {"k": "v"}}, {"text": None}, {"text": None}),
        ({"a": True}, {"a": True}, {"a": 1}, {"a": 1}),
    ],
)
def test_a_change_is_carried_into_what_somebody_wrote(written: Any, before: Any, after: Any, expected: Any) -> None:
    assert carried(written, before, after) == expected
