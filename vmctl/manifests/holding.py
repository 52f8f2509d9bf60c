"""Which file holds the document of an object, and how it stands in there."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmctl.errors import Problem
from vmctl.manifests import finding, reading
from vmctl.manifests.spans import Lines, Span, Written, written
from vmctl.manifests.texts import BOM, Flaw, decode
from vmctl.manifests.yaml_parts import MARKER

if TYPE_CHECKING:
    from vmctl.manifests.documents import Document
    from vmctl.manifests.judging import Declared
    from vmctl.resources.keys import Key

Steps = tuple[str | int, ...]
NAMESPACE = "default"  # a manifest means the same on every host


@dataclass(frozen=True)
class Held:
    """One object in the text of a file. `number` counts documents, `path` leads to the object where its document is a
    List; `raw` is what is written, without defaults, and `declared` what it means.
    """

    file: str
    text: str
    marked: bool  # the file begins with a byte order mark
    as_json: bool
    values: tuple[Any, ...]
    number: int
    path: Steps
    declared: Declared

    @cached_property
    def written(self) -> Written:
        """Where everything in the file stands."""
        return written(self.text, as_json=self.as_json)

    @property
    def raw(self) -> Document:
        return _at(self.values[self.number], self.path)  # type: ignore[no-any-return]  # judged to be an object

    @property
    def span(self) -> Span | None:
        """Where the object stands; None where an alias stands for it."""
        span = self.written.roots[self.number]
        for step in self.path:
            own = [entry for number, entry in enumerate(span.entries) if step in (entry.key, number)]
            if not own or own[0].value.kind == "alias" or own[0].value.anchor in self.written.shared[self.number]:
                return None
            span = own[0].value
        return span

    @property
    def line(self) -> int:
        """The line in which the object begins, from 1."""
        return Lines(self.text).line((self.span or self.written.roots[self.number]).start)

    @property
    def is_json(self) -> bool:
        """Whether the name of the file says that it is JSON."""
        return finding.Candidate(self.file, self.file).is_json

    def bounds(self) -> tuple[int, int] | None:
        """From where to where the document reaches, comments above it included; None where it is not alone between
        the marks that separate documents.
        """
        root = self.written.roots[self.number]
        if self.path:
            return None
        if self.as_json:
            return root.start, root.end
        lines = Lines(self.text)
        first, last = lines.line(root.start) - 1, lines.line(root.end) - 1
        begins = [*lines.begins, len(self.text)]
        while first > 0 and not MARKER.match(self.text, begins[first]):
            first -= 1
        while last < len(lines.begins) and (begins[last] <= root.start or not _marks(self.text, begins[last])):
            last += 1
        start, end = begins[first], begins[min(last, len(begins) - 1)]
        if MARKER.match(self.text, start):
            if self.text[start + 3 : begins[first + 1]].strip():
                return None  # something stands behind the mark
            start = begins[first + 1]
        inside = [other for other in self.written.roots if start <= other.start < end]
        return (start, end) if len(inside) == 1 else None


def hold(file: str, key: Key) -> Held | Problem | None:
    """Find an object in a file: None where the file is gone or does not declare it, a Problem where it cannot be
    read.
    """
    if not Path(file).exists():
        return None
    content = finding.read(finding.Candidate(file, file))
    if isinstance(content, Problem):
        return content
    return held(file, content[0], key)


def held(file: str, data: bytes, key: Key) -> Held | Problem | None:
    """Find an object in what a file holds."""
    text = decode(data)
    if isinstance(text, Flaw):
        return Problem(file, text.line, text.column, text.what, text.remedy)
    is_json = finding.Candidate(file, file).is_json
    read = reading.values(text, is_json=is_json)
    if read is None:
        wrong = reading.read(data, is_json=is_json, namespace=NAMESPACE).problems[0]
        return replace(wrong, file=file)
    from vmctl.manifests.judging import judge  # pydantic: only once there is something to judge

    values, as_json = read
    for number, value in enumerate(values):
        if not _may_be(value, key):
            continue
        for declared in judge(value, NAMESPACE).objects:
            if declared.key == key:
                marked = data.startswith(BOM.encode())
                return Held(file, text, marked, as_json, tuple(values), number, declared.path, declared)
    return None


def unwritable(file: str, inside: str) -> str:
    """Why a file is not written, in words that follow its name; empty when it may be. `inside` is the directory that
    the file must not lead out of, empty for any.
    """
    real = os.path.realpath(file)
    try:
        status = Path(real).stat()
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if inside and not Path(real).is_relative_to(os.path.realpath(inside)):
        return f"is a link to {real}, outside of {inside}"
    if status.st_nlink > 1:
        return "is one of several names of a file, and the others would keep the old text"
    if not status.st_mode & 0o222 or not os.access(real, os.W_OK):
        return "is read-only"
    if not os.access(Path(real).parent, os.W_OK | os.X_OK):
        return f"lies in {Path(real).parent}, which is read-only"
    return ""


def _marks(text: str, at: int) -> bool:
    """Whether a line ends the document above it."""
    return bool(MARKER.match(text, at)) or text.startswith("...", at)


def _may_be(value: Any, key: Key) -> bool:
    """A look that saves judging every document of a large file."""
    if not isinstance(value, dict) or str(value.get("kind")).endswith("List"):
        return True
    metadata = value.get("metadata")
    return value.get("kind") == key.kind and isinstance(metadata, dict) and metadata.get("name") == key.name


def _at(value: Any, path: Steps) -> Any:
    for step in path:
        value = value[step]
    return value
