"""README.md says what the product says."""

from __future__ import annotations

from tests import readme


def test_the_generated_parts_are_fresh() -> None:
    assert readme.README.read_text() == readme.text(), "run: python -m tests.readme"
