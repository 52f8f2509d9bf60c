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
from vmctl.manifests.reading import SECRET
from vmctl.resources.secrecy import HIDDEN, masked

if TYPE_CHECKING:
    from vmctl.engine.origins import Origin
    from vmctl.manifests.holding import Held
    from vmctl.state.stored import Document

SECRETS = ("/data/", "/stringData/", "/spec/provisioning/userData/")
NO_NEWLINE = "\n\\ No newline at end of file\n"


def for_file(found: Origin, document: Document) -> str:
    """The change of the object's file that makes it say `document`; secrets are not in it."""
    held, before = found.held, found.stored.document
    if held is not None and _open(before) and _open(document) and not SECRET.search(held.text):
        try:
            text = writing.rewritten(held, carried(held.raw, before, document))
        except ChangeRefused:
            pass
        else:
            return unified(held, text, found.directory)
    return json_patch(before, document)


def unified(held: Held, text: str, directory: str) -> str:
    """A diff for `patch -p1` or `git apply` in the object's directory, that of the file where no directory owns it."""
    name = os.path.relpath(os.path.realpath(held.file), where(held, directory))
    before, after = (StringIO(each, newline="").readlines() for each in (held.text, text))
    lines = difflib.unified_diff(before, after, fromfile=f"a/{name}", tofile=f"b/{name}")
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


def _open(document: Document) -> bool:
    return masked(document) == document
