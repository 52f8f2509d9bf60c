"""YAML 1.2 means the same to us as to the library that wrote it, and nothing anyone writes makes the reader fail."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from vmctl.manifests import yaml_values
from vmctl.manifests.findings import MOST_FINDINGS
from vmctl.manifests.places import Node, locate, nodes
from vmctl.manifests.reading import read
from vmctl.manifests.texts import Flaw, lines_of
from vmctl.manifests.yaml_parts import EXACT_ALLOWANCE, parts

KEYS = st.text(st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Z")), max_size=12).filter(
    lambda key: key != "<<"
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=20)
    | st.sampled_from(
        ["No", "on", "52:54:00:12:34:56", "12:30:45", "0o17", "017", "1_000", "1e3", "~", "<<", "- a", "a: b"]
    )
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


def values(text: str) -> list[Any]:
    """All documents of a text that has no flaw."""
    built = []
    for part in parts(text, yaml_values.build):
        assert not isinstance(part, Flaw), part
        assert part.built.flaws == []
        built.append(part.built.value)
    return built


def dumped(tree: object, *, flow: bool) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def begins_with_sign(tree: object) -> bool:
    """Whether a text begins with `?` or `:`, which ruamel.yaml writes plain in flow style and then reads as a sign."""
    if isinstance(tree, dict):
        return any(begins_with_sign(part) for pair in tree.items() for part in pair)
    return any(map(begins_with_sign, tree)) if isinstance(tree, list) else str(tree).startswith(("?", ":"))


@given(TREES, st.booleans())
def test_what_ruamel_writes_is_read_as_it_was(tree: object, flow: bool) -> None:
    flow = flow and not begins_with_sign(tree)
    assert values(dumped(tree, flow=flow)) == [tree]


@given(TREES)
def test_json_is_yaml_and_means_the_same(tree: object) -> None:
    wrapped = {"apiVersion": tree}
    assert values(json.dumps(wrapped, ensure_ascii=False)) == [wrapped]


@given(st.lists(TREES, min_size=1, max_size=4))
def test_documents_stand_alone(trees: list[object]) -> None:
    text = "".join(f"---\n{dumped(tree, flow=False)}" for tree in trees)
    assert values(text) == trees


def every_path(tree: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner: list[tuple[str | int, object]] = []
    if isinstance(tree, dict):
        inner = list(tree.items())
    elif isinstance(tree, list):
        inner = list(enumerate(tree))
    return [at, *(path for step, value in inner for path in every_path(value, (*at, step)))]


@given(TREES, st.booleans(), st.booleans())
def test_every_value_has_a_place(tree: object, flow: bool, as_json: bool) -> None:
    flow = flow and (as_json or not begins_with_sign(tree))
    text = json.dumps(tree, indent=None if flow else 2) if as_json else dumped(tree, flow=flow)
    (root,) = nodes(text, as_json=as_json)
    lines = lines_of(text)
    for path in every_path(tree):
        found = locate(root, path)
        assert found.exact
        assert 1 <= found.line <= len(lines)
        assert 1 <= found.column <= len(lines[found.line - 1]) + 1
    assert every_step(root) == set(every_path(tree))


def every_step(node: Node, at: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    return {at}.union(*(every_step(inner, (*at, step)) for step, (_, _, inner) in node.inside.items()))


YAMLISH = st.text(st.sampled_from("ab:-?#&*!|>'\"%@`{}[], \n\t\r0.~<=\\\ufeff\u2028é\0\x85"), max_size=60)


@given(YAMLISH, st.booleans())
def test_no_text_makes_the_reader_fail(text: str, is_json: bool) -> None:
    reading = read(text.encode(), is_json=is_json, namespace="default")
    for problem in reading.problems:
        assert problem.line >= 1
        assert problem.line <= len(lines_of(text))
        assert problem.what


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    read(data, is_json=False, namespace="default")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("No", "No"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("tRue", "tRue"),
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),
        ("12:30", "12:30"),
        ("2001-12-14", "2001-12-14"),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("-0x1F", "-0x1F"),
        ("1_000", "1_000"),
        ("+12", 12),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        (".", "."),
        ("-1", -1),
        ("1.2.3", "1.2.3"),
        ("", None),
        ("~", None),
        ("NULL", None),
        ("'~'", "~"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 12", 12.0),
        ("! 12", "12"),
        ("[a:b, {c: http://d/e}]", ["a:b", {"c": "http://d/e"}]),  # YAML 1.1's grammar refuses both
        ("x\u2028y", "x\u2028y"),  # a line break in 1.1, a character in 1.2
    ],
)
def test_plain_values_mean_what_yaml_1_2_says(written: str, meant: object) -> None:
    (document,) = values(f"a: {written}\n")
    assert document == {"a": meant}
    assert type(document["a"]) is type(meant)


def test_keys_are_text() -> None:
    assert values("1: a\ntrue: b\n~: c\n1.50: d\n") == [{"1": "a", "true": "b", "~": "c", "1.50": "d"}]


def test_merge_keys_give_way_to_what_is_written() -> None:
    text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\nall:\n  y: 3\n  <<: [*m, *b]\ntext: {'<<': 1}\n"
    (document,) = values(text)
    assert document["all"] == {"y": 3, "z": 2, "x": 1}
    assert document["text"] == {"<<": 1}


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5000, "- " * 5000, '{"a":' * 100_000])
def test_deep_nesting_is_refused_before_it_is_read(text: str) -> None:
    for is_json in (False, text[0] == "[" or '"' in text):
        reading = read(text.encode(), is_json=is_json, namespace="default")
        assert reading.entries == []
        assert "100 levels" in reading.problems[0].what


def test_a_number_without_end_is_refused() -> None:
    for text in (f"a: {'9' * 5000}\n", f"a: 0x{'f' * 5000}\n", "a: 1e999\n", f'{{"a": {"9" * 5000}}}'):
        reading = read(text.encode(), is_json=text[0] == "{", namespace="default")
        assert any("number" in problem.what for problem in reading.problems)


def test_the_slow_parser_is_not_called_without_end() -> None:
    """What only YAML 1.2 allows is read while it is little; a large text of it is refused, not read for minutes."""
    small = f"a: [x:y, {'z' * 1000}]\n"
    large = f"a: [x:y, {'z' * EXACT_ALLOWANCE}]\n"
    found = list(parts(f"{small}---\n{large}---\n{small}", yaml_values.build))
    assert [isinstance(part, Flaw) for part in found] == [False, True, False]


def test_large_nonsense_is_refused_in_time() -> None:
    """Each of these once took time that grew with the square of its size."""
    lines = read(f'a: "{chr(10) * 1_000_000}"\n'.encode(), is_json=False, namespace="default")
    assert lines.problems
    fields = ", ".join(f'"k{number}": 1' for number in range(100_000))
    text = f'{{"apiVersion": "v1", "kind": "Namespace", "metadata": {{"name": "a", {fields}}}}}'
    told = read(text.encode(), is_json=True, namespace="default").problems
    assert len(told) == MOST_FINDINGS + 1
    assert f"{100_000 - MOST_FINDINGS:,} more" in told[-1].what
