"""How a problem looks on a terminal, whatever is in the file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmctl.errors import Problem
from vmctl.manifests.problems import WIDTH, in_order, render


def lines(**fields: object) -> list[str]:
    defaults: dict[str, object] = {"file": "vm.yaml", "line": 3, "column": 1, "what": "is wrong"}
    return render(Problem(**{**defaults, **fields})).splitlines()  # type: ignore[arg-type]  # tests name the fields


def test_the_first_line_is_what_editors_understand() -> None:
    assert lines()[0] == "vm.yaml:3:1: is wrong"
    assert lines(line=0, column=0) == ["vm.yaml: is wrong"]
    assert lines(warning=True)[0] == "vm.yaml:3:1: warning: is wrong"


def test_the_caret_stands_under_the_place() -> None:
    assert lines(column=5, text="a: [b", remedy="close it") == [
        "vm.yaml:3:5: is wrong",
        "    3 | a: [b",
        "      |     ^",
        "    close it",
    ]
    assert lines(column=4, text="\tä: x")[1:] == ["    3 | →   ä: x", "      |       ^"]
    assert lines(column=3, text="日本: x")[1:] == ["    3 | 日本: x", "      |     ^"]


def test_long_lines_are_cut_around_the_place() -> None:
    for column in (1, 50, 150, 299):
        shown, caret = lines(column=column, text="".join(chr(97 + at % 26) for at in range(300)))[1:3]
        assert len(shown) <= WIDTH + 8
        assert shown[caret.index("^")] == chr(97 + (column - 1) % 26)
        assert "…" in shown


@given(st.text(max_size=200), st.text(max_size=20), st.integers(0, 220))
def test_nothing_reaches_the_terminal_that_it_would_act_upon(text: str, name: str, column: int) -> None:
    shown = render(Problem(name, 3, column, f"the value {text}", f"not {text}", text))
    assert all(char == "\n" or char.isprintable() for char in shown)
    assert len(shown.splitlines()) <= 4


def test_order_is_by_place_and_nothing_is_said_twice() -> None:
    first, second, third = (Problem("a", line, column, "x") for line, column in ((2, 9), (10, 1), (10, 2)))
    assert in_order([third, second, first, second]) == (first, second, third)
