"""From manifests to the store: everything is judged before anything is written, and all of it is written at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from vmctl.engine import once
from vmctl.errors import ChangeRefused, ManifestError, Problem
from vmctl.planning.objects import Object
from vmctl.planning.usage import ATTACHMENT
from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from vmctl.engine.ledger import Ledger
    from vmctl.manifests.documents import Loaded, Manifest
    from vmctl.manifests.sources import Source
    from vmctl.planning.objects import Objects
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store

Done = Literal["created", "configured", "unchanged", "not executed"]
READ_ONLY = frozenset({"VirtualMachineIPAddressLease", "Event"})


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one manifest in the store, with the reason where that is not plain."""

    key: Key
    done: Done
    why: str = ""

    def __str__(self) -> str:
        return f"{self.key} {self.done}" + (f": {self.why}" if self.why else "")


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


def guard(ledger: Ledger, manifests: Iterable[Manifest], going: Collection[Key] = ()) -> None:
    """Raise ChangeRefused when a manifest asks for what is frozen, would lose data, or cannot be beside the others;
    nothing was written then. `going` are the objects that are pruned in the same breath.
    """
    by_key = {item.key: item for item in manifests}
    found = [
        f"{by_key[key].file}:{by_key[key].line}: {key.short}: {path}: {why}"
        for key, path, why in objections(ledger, by_key.values(), going)
    ]
    if found:
        raise ChangeRefused("\n".join([*found, "nothing was changed"]))


def objections(
    ledger: Ledger, manifests: Iterable[Manifest], going: Collection[Key] = ()
) -> Iterator[tuple[Key, str, str]]:
    """What stands against manifests: the object, the field, the reason. `going` as in `guard`."""
    manifests = list(manifests)
    known = [(old, manifest) for manifest in manifests if (old := ledger.get(manifest.key)) is not None]
    if known:
        from vmctl.planning.guards import refusals  # what judges quantities costs 40 ms to import

        for old, manifest in known:
            yield from ((old.key, path, why) for path, why in refusals(old, manifest.document))
    before = ledger.snapshot()
    attached = any(item.key.kind == ATTACHMENT for item in manifests)
    if attached or next(before.of_kind(ATTACHMENT), None) is not None:
        from vmctl.planning.guards import crowding  # as above

        yield from crowding(before, _declared(before, manifests, going), {item.key for item in manifests})


def _declared(before: Objects, manifests: Iterable[Manifest], going: Iterable[Key] = ()) -> Objects:
    """The objects as they will be declared."""
    known = [(item, before.get(item.key)) for item in manifests]
    return before.with_changes(
        (
            replace(old, document=item.document) if old is not None else Object(item.key, "", 1, item.document, {})
            for item, old in known
        ),
        gone=going,
    )


def changed(ledger: Ledger, manifests: Iterable[Manifest]) -> list[Manifest]:
    """Those whose document is not the stored one; a look that writes nothing."""
    return [item for item in manifests if (old := ledger.get(item.key)) is None or old.document != item.document]


def foreseen(ledger: Ledger, manifests: Iterable[Manifest]) -> Objects:
    """The objects as they would be with the manifests applied, as far as who names whom goes."""
    return _declared(ledger.snapshot(), manifests)


def store_all(
    store: Store,
    ledger: Ledger,
    manifests: Sequence[Manifest],
    *,
    sources: Iterable[Source] = (),
    take_over: bool = False,
) -> list[Applied]:
    """Write the manifests in one transaction, in the order of their dependencies, each for the source it was found in.

    What is carried out once is not made again. Raises ChangeRefused on a conflict of owners.
    """
    sources = tuple(sources)
    found = once.sort_out(store, ledger, manifests, sources)
    rest = not_again(found)
    if not changed(ledger, found.meant) and not found.news and _in_place(store, found.meant, sources):
        return [*(Applied(item.key, "unchanged") for item in _in_order(found.meant)), *rest]
    from vmctl.planning.graph import order

    by_key = {item.key: item for item in found.meant}
    with store.batch():
        owners = _record(store, sources, found)
        applied = [
            _store(store, by_key[key], owners.get(by_key[key].directory, ""), take_over=take_over)
            for key in order({item.key: item.document for item in found.meant})
        ]
    ledger.refresh()
    return [*applied, *rest]


def not_again(found: once.Sorted) -> list[Applied]:
    """What is told of the manifests that are not stored."""
    return [
        *(Applied(item.key, "unchanged") for item in found.over),
        *(Applied(item.key, "not executed", once.doubt(item)) for item in found.doubtful),
    ]


def refuse_other_owners(store: Store, manifests: Sequence[Manifest], sources: Iterable[Source]) -> None:
    """Raise the ChangeRefused that `store_all` would raise; a look that writes nothing."""
    for source in sources:
        found = (item.key for item in manifests if item.directory == source.directory)
        store.refuse_other_owners(found, *source.identities)


def _record(store: Store, sources: Iterable[Source], found: once.Sorted) -> dict[str, str]:
    """Note the sources and what they ask for once; the lasting ids by directory."""
    owners: dict[str, str] = {}
    for source in sources:
        if source.by_path != source.identity:
            store.rename_source(source.by_path, source.identity)
        store.record_source(source.identity, source.directory, source.commit)
        owners[source.directory] = source.identity
    once.remember(store, found)
    return owners


def _store(store: Store, manifest: Manifest, source: str, *, take_over: bool) -> Applied:
    _, done = store.apply(
        manifest.key,
        manifest.document,
        source=source,
        file=manifest.path,
        line=manifest.line if manifest.path else 0,
        take_over=take_over,
    )
    return Applied(manifest.key, done)


def _in_order(manifests: Sequence[Manifest]) -> list[Manifest]:
    return sorted(manifests, key=lambda item: registry.BY_NAME[item.key.kind].priority)


def _in_place(store: Store, manifests: Sequence[Manifest], sources: Sequence[Source]) -> bool:
    """Whether each source is known as it is now, and owns what was found in it where it was found."""
    known = {(row.id, row.directory, row.revision) for row in store.sources()} if sources else set()
    owned = {source.directory: store.owned(source.identity) for source in sources}
    return all((one.identity, one.directory, one.commit) in known for one in sources) and all(
        item.directory not in owned or owned[item.directory].get(item.key) == (item.path, item.line)
        for item in manifests
    )
