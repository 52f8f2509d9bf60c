"""The legend of the engine's modules, for whoever comes new."""

from __future__ import annotations

import re
from pathlib import Path

from vmctl import engine


def test_every_module_is_in_the_legend_once() -> None:
    told = re.findall(r"^    (\w+) +\S", engine.__doc__ or "", re.MULTILINE)
    there = [module.stem for module in Path(str(engine.__file__)).parent.glob("*.py") if module.stem != "__init__"]
    assert sorted(told) == sorted(there)
