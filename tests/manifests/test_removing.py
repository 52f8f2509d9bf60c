"""Documents that leave their file, and what of it stays."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vmctl.errors import ChangeRefused
from vmctl.manifests import holding, reading, removing
from vmctl.manifests.holding import Held
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from pathlib import Path

A = Key("Namespace", "", "a")
HEAD, B = "# ours\n\n", "apiVersion: v1\nkind: Namespace\nmetadata: {name: b} # b\n"
A_TEXT = B.replace("b}", "a}")


def without(text: str, name: str = "file.yaml") -> str:
    held = holding.held(f"/srv/{name}", text.encode(), A)
    assert isinstance(held, Held)
    return removing.removed(held)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (A_TEXT, ""),
        (HEAD + A_TEXT, ""),
        (f"---\n{A_TEXT}...\n", ""),
        (f"{HEAD}# about a\n{A_TEXT}---\n# about b\n{B}", f"{HEAD}---\n# about b\n{B}"),
        (f"# head\n---\n{A_TEXT}# still a\n---\n{B}", f"# head\n---\n{B}"),
        (f"{B}# end of b\n---\n# about a\n{A_TEXT}", f"{B}# end of b\n"),
        (f"{B}--- # a\n{A_TEXT}...\n---\n{B.replace('b}', 'c}')}", f"{B}---\n{B.replace('b}', 'c}')}"),
        (f"--- {{apiVersion: v1, kind: Namespace, metadata: {{name: a}}}}\n---\n{B}", f"---\n{B}"),
        (f"{B}---\n{A_TEXT}".replace("\n", "\r\n"), B.replace("\n", "\r\n")),
        (
            f"apiVersion: v1\nkind: List\nitems:\n- {A_TEXT}".replace("\nkind: N", "\n  kind: N").replace(
                "\nm", "\n  m"
            ),
            "",
        ),
    ],
)
def test_what_is_not_of_the_document_stays_byte_for_byte(text: str, left: str) -> None:
    assert without(text) == left


def test_json_values_are_taken_out_one_by_one() -> None:
    a = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}\n'
    b = a.replace('"a"', '"b"')
    assert without(a + b, "file.json") == b
    assert without(b + a, "file.json") == b
    assert without(a, "file.json") == ""


def test_an_item_of_a_list_leaves_the_others() -> None:
    item = "- apiVersion: v1\n  kind: Namespace\n  metadata: {name: %s}\n"
    text = "apiVersion: v1\nkind: List\nitems:\n" + item % "a" + item % "b" + "---\n" + B.replace("b}", "c}")
    assert without(text) == text.replace(item % "a", "")


def test_an_object_that_others_lean_on_is_refused_with_its_place() -> None:
    item = "- {apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: %s}}\n"
    shared = "apiVersion: v1\nkind: List\nitems:\n" + item % ("a", "&own {x: y}") + item % ("b", "*own")
    held = holding.held("/srv/file.yaml", shared.encode(), A)
    assert isinstance(held, Held)
    with pytest.raises(ChangeRefused, match=r"^/srv/file.yaml:\d+: "):
        removing.removed(held)


COMMENT = st.sampled_from(["", "# note\n", "\n", "# note\n\n", "#---\n"])
DOCUMENTS = st.lists(st.tuples(COMMENT, COMMENT), min_size=1, max_size=4)


@given(COMMENT, st.booleans(), DOCUMENTS, st.integers(0, 3), st.sampled_from(["\n", "\r\n"]))
def test_only_the_lines_of_the_document_go(
    head: str, marked: bool, comments: list[tuple[str, str]], number: int, newline: str
) -> None:
    assume(number < len(comments))
    names = ["a" if place == number else f"n{place}" for place in range(len(comments))]
    texts = [
        f"{before}{B.replace('b}', name + '}')}{after}" for name, (before, after) in zip(names, comments, strict=True)
    ]
    text = (head + ("---\n" if marked else "") + "---\n".join(texts)).replace("\n", newline)
    left = without(text)
    others = [kept.replace("\n", newline) for place, kept in enumerate(texts) if place != number]
    if not others:
        assert left == ""
        return
    assert all(kept in left for kept in others[1:])
    assert others[0] in left or (number > 0 and not marked)  # what is above the first may be more than its comment
    found = reading.read(left.encode(), is_json=False, namespace="default")
    assert not found.problems
    assert [entry.key.name for entry in found.entries] == [name for name in names if name != "a"]


def held(path: Path) -> Held:
    found = holding.hold(str(path), A)
    assert isinstance(found, Held)
    return found


def test_a_file_keeps_its_mode_and_an_empty_one_goes(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(f"{A_TEXT}---\n{B}")
    path.chmod(0o640)
    home = held(path)
    removing.remove(home, removing.removed(home))
    assert path.read_text() == f"---\n{B}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.write_text(A_TEXT)
    removing.remove(held(path), "")
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(A_TEXT)
    home = held(path)
    path.write_text(f"{A_TEXT}---\n{B}")
    with pytest.raises(ChangeRefused, match="changed by somebody else"):
        removing.remove(home, removing.removed(home))
    assert path.read_text() == f"{A_TEXT}---\n{B}"
