"""Bad input as files, and what a person sees of it: every problem of a set at once, in order, at its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmctl.manifests.loading import load
from vmctl.manifests.problems import render

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_what_is_shown(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set VMCTL_REGENERATE=1 to write the expectations anew, and read the difference before committing it."""
    monkeypatch.chdir(case)
    loaded = load(["."])
    titled = {"problems": loaded.problems, "warnings": loaded.warnings, "not acting": loaded.not_acting}
    shown = "".join(
        f"== {title}\n" + "".join(f"{render(problem)}\n" for problem in problems)
        for title, problems in titled.items()
        if problems
    )
    shown += f"== good\n{''.join(f'{item.file}:{item.line} {item.key.short}{chr(10)}' for item in loaded.manifests)}"
    expected = case / "expected.txt"
    if os.environ.get("VMCTL_REGENERATE"):
        expected.write_text(shown, encoding="utf-8")
    assert shown == expected.read_text(encoding="utf-8")
    assert loaded.problems or loaded.warnings or loaded.not_acting, "a case without a mistake shows nothing"
