"""The way in: paths become manifests, with everything that is wrong in all of them at once."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO, TextIO

from vmctl.errors import Problem
from vmctl.manifests import finding
from vmctl.manifests.cache import ParseCache, fingerprint
from vmctl.manifests.documents import Loaded, Manifest
from vmctl.manifests.problems import in_order
from vmctl.manifests.reading import Entry, Reading, place, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vmctl.manifests.memory import Memory
    from vmctl.resources.keys import Key

STDIN = finding.Candidate("<stdin>", "")


def load(
    paths: Sequence[str],
    *,
    recursive: bool = False,
    stdin: TextIO | BinaryIO | None = None,
    cache: ParseCache | None = None,
    memory: Memory | None = None,
    namespace: str = "default",
    allow_generate_name: bool = False,
) -> Loaded:
    """Read and check all manifests under `paths`; `-` is `stdin`. What is wrong comes back, nothing is raised.

    `manifests` leaves out what is wrong, and both sides of a name that is there twice.
    """
    found = finding.find([path for path in paths if path != "-"], recursive=recursive)
    loading = _Loading(namespace, cache, memory, problems=found.problems)
    with _collector_paused():
        for candidate in found.files:
            loading.take_file(candidate)
        if "-" in paths:
            loading.take_stdin(stdin or sys.stdin.buffer)
        loading.compare(allow_generate_name=allow_generate_name)
        if paths and not loading.manifests and not loading.problems:
            loading.problems.append(Problem(paths[0], 0, 0, "nothing is declared here", "write a manifest into it"))
        if cache is not None:
            cache.flush()
        if memory is not None:
            memory.keep({candidate.real for candidate in found.files})
    return Loaded(
        tuple(loading.manifests),
        in_order(loading.problems),
        in_order(loading.warnings),
        in_order(loading.not_acting),
        loading.files,
        tuple(dict.fromkeys(found.directories)),
    )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from searching again and again what a bulk load only adds to: three times faster."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(slots=True)
class _Loading:
    namespace: str
    cache: ParseCache | None
    memory: Memory | None
    problems: list[Problem]
    manifests: list[Manifest] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    not_acting: list[Problem] = field(default_factory=list)
    files: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set)
    origins: dict[str, finding.Candidate] = field(default_factory=dict)
    piped: bytes = b""

    def take_file(self, candidate: finding.Candidate) -> None:
        """Read one file, or take from the cache what it came to; the second name of a file brings nothing new."""
        stamp, known = self.memory.get(candidate.real) if self.memory is not None else (None, None)
        if stamp is not None and known is not None:
            if stamp[:2] not in self.seen:
                self.seen.add(stamp[:2])
                self._add(candidate, known)
            return
        content = finding.read(candidate)
        if isinstance(content, Problem):
            self.problems.append(content)
            return
        data, identity = content
        if identity in self.seen:
            return
        self.seen.add(identity)
        reading = self._reading(candidate, data)
        if self.memory is not None:
            self.memory.put(candidate.real, stamp, reading)
        self._add(candidate, reading)

    def take_stdin(self, stdin: TextIO | BinaryIO) -> None:
        """Read what is piped in; it is never kept."""
        try:
            data = stdin.read(finding.LARGEST_BYTES + 1)
        except (OSError, ValueError) as error:
            self.problems.append(Problem(STDIN.shown, 0, 0, f"the standard input cannot be read: {error}"))
            return
        self.piped = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        if len(self.piped) > finding.LARGEST_BYTES:
            self.problems.append(finding.too_large(STDIN.shown))
        else:
            self._add(STDIN, read(self.piped, is_json=False, namespace=self.namespace))

    def compare(self, *, allow_generate_name: bool) -> None:
        """Judge what no document shows alone: names that are there twice, and names still to be made."""
        places: dict[Key, list[Manifest]] = {}
        for manifest in self.manifests:
            if not manifest.generate_name:
                places.setdefault(manifest.key, []).append(manifest)
            elif not allow_generate_name:
                what = "metadata.generateName asks for a new object each time, which only `create` makes"
                self._refuse(manifest, "generateName", what, "give it a name, or use `vmctl create`")
        twice = {key: found for key, found in places.items() if len(found) > 1}
        for first, *others in twice.values():
            for other in others:
                what = f"{other.key.short} is declared twice; the first time in {first.file}:{first.line}"
                self._refuse(other, "name", what, "keep one of the two, or rename one")
        self.manifests = [
            manifest
            for manifest in self.manifests
            if manifest.key not in twice and (allow_generate_name or not manifest.generate_name)
        ]

    def _reading(self, candidate: finding.Candidate, data: bytes) -> Reading:
        if self.cache is None:
            return read(data, is_json=candidate.is_json, namespace=self.namespace)
        content = fingerprint(data, is_json=candidate.is_json, namespace=self.namespace)
        kept = self.cache.get(candidate.real, content)
        if kept is not None:
            return kept
        reading = read(data, is_json=candidate.is_json, namespace=self.namespace)
        self.cache.put(candidate.real, content, reading)
        return reading

    def _add(self, candidate: finding.Candidate, reading: Reading) -> None:
        self.files += 1
        self.origins[candidate.shown] = candidate
        self.manifests += (_manifest(entry, candidate) for entry in reading.entries)
        self.problems += _placed(reading.problems, candidate.shown)
        self.warnings += _placed(reading.warnings, candidate.shown)
        self.not_acting += _placed(reading.not_acting, candidate.shown)

    def _refuse(self, manifest: Manifest, name: str, what: str, remedy: str) -> None:
        """Note a problem with a name; only now is its place looked up, by reading the file once more."""
        candidate = self.origins[manifest.file]
        content = (self.piped, (0, 0)) if candidate is STDIN else finding.read(candidate)
        line, column, text = manifest.line, 0, ""
        if not isinstance(content, Problem):
            path = ("metadata", name)
            line, column, text = place(content[0], is_json=candidate.is_json, line=manifest.line, path=path)
        self.problems.append(Problem(manifest.file, line, column, what, remedy, text, f"metadata.{name}"))


def _manifest(entry: Entry, candidate: finding.Candidate) -> Manifest:
    return Manifest(
        entry.key,
        entry.document,
        candidate.shown,
        entry.line,
        entry.generate_name,
        entry.digest,
        entry.acts,
        candidate.real,
        candidate.directory,
    )


def _placed(problems: Iterable[Problem], file: str) -> Iterator[Problem]:
    return (replace(problem, file=file) for problem in problems)
