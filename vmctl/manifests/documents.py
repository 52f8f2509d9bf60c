"""What loading yields: objects as their manifests declare them, with the place they were read from. Values only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmctl.errors import Problem
    from vmctl.resources.keys import Key

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as declared: checked, with defaults, in the stored version of its kind; never change `document`.

    `file` is what the user calls the file, `path` its absolute path (empty for stdin), `directory` the given one that
    it was found in, as a real path (empty for a file that was named). With `generate_name` the name in `key` is empty,
    because whoever creates the object chooses it. `acts` is false when a field of it stands in `Loaded.not_acting`.
    """

    key: Key
    document: Document
    file: str
    line: int
    generate_name: str = ""
    digest: str = ""
    acts: bool = True
    path: str = ""
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that was found under the given paths; when `problems` is not empty, `manifests` holds what is good."""

    manifests: tuple[Manifest, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    not_acting: tuple[Problem, ...]  # legal, but this version does not carry it out
    files: int
    directories: tuple[str, ...]  # the given directories, as real paths


def digest(document: Document) -> str:
    """Name a document by its content: equal documents have equal digests, whatever the order of their keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
