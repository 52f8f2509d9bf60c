"""A change of the object as it is known, with its defaults, becomes a change of its manifest as somebody wrote it.

What a manifest leaves out stays left out, what it writes in another way (`1024Mi` for `1Gi`) stays written so; only
what changed goes in.
"""

from __future__ import annotations

import difflib
from typing import Any

from vmctl.manifests.splicing import encoded, same


def carried(written: Any, before: Any, after: Any) -> Any:
    """What has to be written so that what read as `before` reads as `after`."""
    if same(before, after):
        return written
    if isinstance(before, dict) and isinstance(after, dict):
        return _fields(written if isinstance(written, dict) else {}, before, after)
    if all(isinstance(value, list) for value in (written, before, after)) and len(written) == len(before):
        return _items(written, before, after)
    return after


def _fields(written: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    made = {name: value for name, value in written.items() if name in after or name not in before}
    for name, value in after.items():
        if name not in before:
            made[name] = value
        elif not same(before[name], value):
            made[name] = carried(written.get(name), before[name], value)
    return made


def _items(written: list[Any], before: list[Any], after: list[Any]) -> list[Any]:
    made: list[Any] = []
    old, new = [encoded(item) for item in before], [encoded(item) for item in after]
    for tag, begin, end, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            made += written[begin:end]
            continue
        both = min(end - begin, last - first)
        pairs = zip(
            written[begin : begin + both], before[begin : begin + both], after[first : first + both], strict=True
        )
        made += (carried(*each) for each in pairs)
        made += after[first + both : last]
    return made
