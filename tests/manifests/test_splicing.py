"""A changed value in the text of its document: what it says, and that nothing else has moved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.manifests.layouts import LEAVES, changed, laid_out, value
from vmctl.manifests import reading
from vmctl.manifests.spans import written
from vmctl.manifests.splicing import Entangled, same, splice

if TYPE_CHECKING:
    from random import Random


def spliced(text: str, new: Any, *, as_json: bool = False) -> str:
    """The text whose first document says `new`, proven by reading it."""
    read = reading.values(text, is_json=as_json)
    assert read is not None
    known = written(text, as_json=as_json)
    result = splice(text, known.roots[0], read[0][0], new, as_json=as_json, shared=known.shared[0])
    again = reading.values(result, is_json=as_json)
    assert again is not None, result
    assert same(again[0], [new, *read[0][1:]]), result
    return result


@settings(max_examples=400)
@given(st.randoms(use_true_random=False))
def test_any_change_of_any_layout(random: Random) -> None:
    old = {name: value(random, 0) for name in ("k", "z", "q")}
    text = laid_out(random, old)
    read = reading.values(text, is_json=False)
    assume(read is not None and same(read[0][0], old))
    spliced(text, changed(random, old))


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_a_changed_leaf_moves_no_other_line(random: Random) -> None:
    old = {"head": 1, "k": value(random, 0), "leaf": random.choice([1, "plain", True]), "z": value(random, 0)}
    text = laid_out(random, old)
    read = reading.values(text, is_json=False)
    assume(read is not None and same(read[0][0], old))
    new = {
        **old,
        "leaf": random.choice([leaf for leaf in LEAVES if isinstance(leaf, int | str) and leaf != "l1\nl2\n"]),
    }
    assume("\n" not in str(new["leaf"]))
    before, after = text.splitlines(keepends=True), spliced(text, new).splitlines(keepends=True)
    different = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert len(different) <= 1
    assert all("leaf" in line for pair in different for line in pair)


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_a_field_that_comes_and_goes_leaves_the_text_as_it_was(random: Random) -> None:
    old = {"head": 1, "k": value(random, 0), "z": "last"}
    text = laid_out(random, old)
    read = reading.values(text, is_json=False)
    assume(read is not None and same(read[0][0], old))
    more = spliced(text, {**old, "more": value(random, 1)})
    assert spliced(more, old).rstrip("\r\n") == text.rstrip("\r\n")


@settings(max_examples=150)
@given(st.randoms(use_true_random=False), st.sampled_from([None, 1, 2, 4]))
def test_json(random: Random, indent: int | None) -> None:
    old = {name: value(random, 0) for name in ("k", "z", "q")}
    text = json.dumps(old, indent=indent) + "\n"
    new = changed(random, old)
    result = spliced(text, new, as_json=True)
    assert json.loads(result) == new


MACHINE = """\
# head
kind: VM   # a kind
metadata:
  name: 'web'

  labels: {app: web}   # few
spec:
    # memory
    memory:   {size: 1Gi}
    refs:
    - kind: VirtualDisk
      # which
      name: "root"
    - kind: VirtualImage   # to install from
      name: cd
    script: |
      #!/bin/sh
      echo ok

    # the end
"""
VALUE = {
    "kind": "VM",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "memory": {"size": "1Gi"},
        "refs": [{"kind": "VirtualDisk", "name": "root"}, {"kind": "VirtualImage", "name": "cd"}],
        "script": "#!/bin/sh\necho ok\n",
    },
}


def put(path: str, new: Any) -> dict[str, Any]:
    """The value with another one at a dotted path; None removes."""
    result: dict[str, Any] = json.loads(json.dumps(VALUE))
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at: Any = result
    for step in way:
        at = at[step]
    if new is None:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(new)
    else:
        at[last] = new
    return result


@pytest.mark.parametrize(
    ("path", "new", "old_text", "new_text"),
    [
        ("spec.memory.size", "2Gi", "{size: 1Gi}", "{size: 2Gi}"),
        ("spec.refs.0.name", 'a"b', '"root"', '"a\\"b"'),
        ("metadata.name", "it's", "'web'", "'it''s'"),
        ("metadata.labels.tier", "1", "{app: web}", '{app: web, tier: "1"}'),
        ("metadata.labels", None, "\n  labels: {app: web}   # few\n", "\n"),
        ("metadata.annotations", {"a/b": "c"}, "# few\n", "# few\n  annotations:\n    a/b: c\n"),
        ("spec.refs.0.kind", None, "- kind: VirtualDisk\n      # which\n", "-\n      # which\n"),
        ("spec.refs.1", None, "    - kind: VirtualImage   # to install from\n      name: cd\n", ""),
        (
            "spec.refs.2",
            {"kind": "VirtualDisk", "name": "data"},
            "      name: cd\n",
            "      name: cd\n    - kind: VirtualDisk\n      name: data\n",
        ),
        ("spec.script", "true\n", "      #!/bin/sh\n      echo ok\n", "      true\n"),
        ("spec.cpu", {"cores": 2}, "      echo ok\n", "      echo ok\n    cpu:\n      cores: 2\n"),
        ("kind", "Other", "kind: VM   #", "kind: Other   #"),
        ("spec.memory", None, "    memory:   {size: 1Gi}\n", ""),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_what_changes_is_written(path: str, new: Any, old_text: str, new_text: str, newline: str) -> None:
    assert MACHINE.count(old_text) == 1
    text = MACHINE.replace("\n", newline)
    expected = MACHINE.replace(old_text, new_text).replace("\n", newline)
    assert spliced(text, put(path, new)) == expected


def test_json_keeps_its_form() -> None:
    text = '{\n    "a": {\n        "b": 1\n    },\n    "l": []\n}\n'
    new = {"a": {"b": 2, "c": {"d": [1]}}, "l": ["x"]}
    assert spliced(text, new, as_json=True) == (
        '{\n    "a": {\n        "b": 2,\n        "c": {\n            "d": [\n                1\n            ]\n'
        '        }\n    },\n    "l": [\n        "x"\n    ]\n}\n'
    )


SHARED = """\
small: &small
  cores: 1
  share: 5%
one: *small
two:
  <<: *small
  share: 10%
three: &lonely {cores: 4}
"""


def test_what_comes_from_a_merge_is_overridden() -> None:
    new = reading.values(SHARED, is_json=False)[0][0]  # type: ignore[index]
    new["two"] = {"cores": 2, "share": "10%"}
    assert spliced(SHARED, new) == SHARED.replace("share: 10%\n", "share: 10%\n  cores: 2\n")


def test_an_anchor_that_nothing_names_is_no_hindrance() -> None:
    new = reading.values(SHARED, is_json=False)[0][0]  # type: ignore[index]
    new["three"] = {"cores": 8}
    assert spliced(SHARED, new) == SHARED.replace("{cores: 4}", "{cores: 8}")


@pytest.mark.parametrize(
    ("change", "line", "why"),
    [
        (("small", {"cores": 2, "share": "5%"}), 1, "&small is used in other places too"),
        (("one", {"cores": 2, "share": "5%"}), 4, "*small stands here for a value that is written elsewhere"),
        (("two", {"share": "10%"}), 6, '"cores" comes from << here, and cannot be removed'),
    ],
)
def test_what_others_share_is_not_touched(change: tuple[str, Any], line: int, why: str) -> None:
    new = {**reading.values(SHARED, is_json=False)[0][0], change[0]: change[1]}  # type: ignore[index]
    with pytest.raises(Entangled) as refused:
        spliced(SHARED, new)
    assert (refused.value.line, refused.value.why) == (line, why)
