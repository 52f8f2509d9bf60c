"""From manifests to the store: everything is judged before anything is written, and all of it is written at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vmctl.errors import ChangeRefused, ManifestError, Problem
from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from vmctl.engine.ledger import Ledger
    from vmctl.manifests.documents import Loaded, Manifest
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store

Done = Literal["created", "configured", "unchanged"]
READ_ONLY = frozenset({"VirtualMachineIPAddressLease", "Event"})


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one manifest in the store."""

    key: Key
    done: Done


def judge(loaded: Loaded, *, keep_going: bool = False) -> tuple[Manifest, ...]:
    """The manifests that may be applied. Raises ManifestError with every problem, unless the good ones are to go on
    without the bad.
    """
    refused = {manifest.key: list(_refusals(manifest)) for manifest in loaded.manifests}
    problems = [*loaded.problems, *loaded.not_acting, *(problem for found in refused.values() for problem in found)]
    if problems and not keep_going:
        raise ManifestError(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))
    bad = {problem.file for problem in loaded.problems}
    return tuple(item for item in loaded.manifests if item.file not in bad and item.acts and not refused[item.key])


def refusals(loaded: Loaded) -> list[Problem]:
    """What `judge` leaves out with `keep_going` beside what the loader found."""
    return [problem for manifest in loaded.manifests for problem in _refusals(manifest)]


def _refusals(manifest: Manifest) -> Iterator[Problem]:
    """Why this version does not carry out a legal manifest."""
    kind = registry.BY_NAME[manifest.key.kind]
    what = remedy = ""
    if kind.name in READ_ONLY:
        what, remedy = f"{kind.name} is made by vmctl itself and is not applied", "remove it from the manifests"
    elif not kind.acts:
        what = f"{kind.name} is understood, but this version of vmctl does not carry it out yet"
        remedy = "remove it for now, or keep it in a directory that is only validated"
    else:
        http = ((manifest.document.get("spec") or {}).get("dataSource") or {}).get("http")
        what = _download_problem(http) if http else ""
    if what:
        yield Problem(manifest.file, manifest.line, 0, what, remedy)


def _download_problem(http: Mapping[str, Any]) -> str:
    """What no download from there can get over: a checksum that cannot be computed here, a bundle that is none."""
    from vmctl.storage.sources import HttpSource, problem

    return problem(HttpSource(http["url"], http.get("checksum") or {}, http.get("caBundle") or ""))


def guard(ledger: Ledger, manifests: Iterable[Manifest]) -> None:
    """Raise ChangeRefused when a manifest asks for what is frozen or would lose data; nothing was written then."""
    known = [(old, manifest) for manifest in manifests if (old := ledger.get(manifest.key)) is not None]
    if not known:
        return
    from vmctl.planning.guards import refusals  # what judges quantities costs 40 ms to import

    found: list[str] = []
    for old, manifest in known:
        found += [
            f"{manifest.file}:{manifest.line}: {manifest.key.short}: {path}: {why}"
            for path, why in refusals(old, manifest.document)
        ]
    if found:
        raise ChangeRefused("\n".join([*found, "nothing was changed"]))


def changed(ledger: Ledger, manifests: Iterable[Manifest]) -> list[Manifest]:
    """Those whose document is not the stored one; a look that writes nothing."""
    return [item for item in manifests if (old := ledger.get(item.key)) is None or old.document != item.document]


def store_all(
    store: Store,
    ledger: Ledger,
    manifests: Sequence[Manifest],
    *,
    source: str = "",
    directory: str = "",
    take_over: bool = False,
) -> list[Applied]:
    """Write the manifests in one transaction, in the order of their dependencies; `directory` is what users call the
    source. Raises ChangeRefused on a conflict of owners.
    """
    if not changed(ledger, manifests) and _owned(store, manifests, source):
        return [Applied(item.key, "unchanged") for item in _in_order(manifests)]
    from vmctl.planning.graph import order

    by_key = {item.key: item for item in manifests}
    applied: list[Applied] = []
    with store.batch():
        if source:
            store.record_source(source, directory)
        for key in order({item.key: item.document for item in manifests}):
            manifest = by_key[key]
            _, done = store.apply(
                key, manifest.document, source=source, file=manifest.file, line=manifest.line, take_over=take_over
            )
            applied.append(Applied(key, done))
    ledger.refresh()
    return applied


def _in_order(manifests: Sequence[Manifest]) -> list[Manifest]:
    return sorted(manifests, key=lambda item: registry.BY_NAME[item.key.kind].priority)


def _owned(store: Store, manifests: Sequence[Manifest], source: str) -> bool:
    owned = store.owned(source) if source else set()
    return not source or all(item.key in owned for item in manifests)
