"""A change that a file would take, for whoever may write it: a unified diff, or a JSON patch where that cannot be."""

from __future__ import annotations

import difflib
import json
import os
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmctl.errors import ChangeRefused
from vmctl.manifests import writing
from vmctl.manifests.carrying import carried
from vmctl.manifests.spans import Lines
from vmctl.resources.secrecy import HIDDEN, SECRET_DATA, USER_DATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vmctl.engine.origins import Origin
    from vmctl.manifests.holding import Held
    from vmctl.manifests.spans import Span
    from vmctl.state.stored import Document

WAYS = (*((name,) for name in SECRET_DATA), USER_DATA)  # to what is secret, in whatever kind
SECRETS = tuple(f"/{'/'.join(way)}/" for way in WAYS)
CONTEXT = 3  # lines that a diff shows around a change
NO_NEWLINE = "\n\\ No newline at end of file\n"


def for_file(found: Origin, document: Document) -> str:
    """The change of the object's file that makes it say `document`; secrets are not in it."""
    held, before = found.held, found.stored.document
    if held is not None and _secrets(before) == _secrets(document):
        try:
            text = writing.rewritten(held, carried(held.raw, before, document))
        except ChangeRefused:
            pass
        else:
            if not _shows_secrets(held, text):
                return unified(held, text, found.directory)
    return json_patch(before, document)


def unified(held: Held, text: str, directory: str) -> str:
    """A diff for `patch -p1` or `git apply` in the object's directory, that of the file where no directory owns it."""
    name = os.path.relpath(os.path.realpath(held.file), where(held, directory))
    lines = difflib.unified_diff(_lines(held.text), _lines(text), fromfile=f"a/{name}", tofile=f"b/{name}", n=CONTEXT)
    return "".join(line if line.endswith("\n") else line + NO_NEWLINE for line in lines)


def where(held: Held, directory: str) -> str:
    """The directory that a diff is made for."""
    real = Path(os.path.realpath(held.file))
    return directory if directory and real.is_relative_to(directory) else str(real.parent)


def json_patch(before: Document, after: Document) -> str:
    """RFC 6902, one operation a line, values of secrets hidden."""
    import jsonpatch

    operations = [_hidden(each) for each in jsonpatch.make_patch(before, after).patch]
    return "[\n" + ",\n".join(f"  {json.dumps(each, ensure_ascii=False)}" for each in operations) + "\n]\n"


def _hidden(operation: dict[str, Any]) -> dict[str, Any]:
    """An operation without its value, if that is or holds a secret."""
    path = f"{operation['path']}/"
    touched = any(path.startswith(secret) or secret.startswith(path) for secret in SECRETS)
    return {**operation, "value": HIDDEN} if touched and "value" in operation else operation


def _lines(text: str) -> list[str]:
    return StringIO(text, newline="").readlines()


def _secrets(document: Mapping[str, Any]) -> list[Any]:
    """What of a document may not be shown."""
    return [value for way in WAYS if (value := _found(document, way)) is not None]


def _found(value: Any, way: Sequence[str]) -> Any:
    for step in way:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _shows_secrets(held: Held, text: str) -> bool:
    """Whether a diff would show lines of the file in which a secret stands."""
    hidden = _secret_lines(held)
    matcher = difflib.SequenceMatcher(None, _lines(held.text), _lines(text))
    return any(
        not hidden.isdisjoint(range(group[0][1], group[-1][2])) for group in matcher.get_grouped_opcodes(CONTEXT)
    )


def _secret_lines(held: Held) -> set[int]:
    """The lines, from 0, in which secrets of any document of the file stand; whole documents where it is not plain."""
    lines = Lines(held.text)
    hidden: set[int] = set()
    for value, root, shared in zip(held.values, held.written.roots, held.written.shared, strict=True):
        if not isinstance(value, dict):
            continue
        spans = [span for way in WAYS if (span := _span(root, way)) is not None]
        if "items" in value or (shared and _secrets(value)) or len(spans) != len(_secrets(value)):
            spans = [root]
        for span in spans:
            hidden.update(range(lines.line(span.start) - 1, lines.line(span.end)))
    return hidden


def _span(root: Span, way: Sequence[str]) -> Span | None:
    for step in way:
        own = [entry.value for entry in root.entries if entry.key == step]
        if not own:
            return None
        root = own[0]
    return root
