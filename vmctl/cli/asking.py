"""What a user asks for: `vm`, `vi,vd,vm`, `vm web db`, `vm/web vd/root`, `all`; and finding it in the store.

Values here are named tuples: every listing imports them, and frozen dataclasses take several times as long to make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vmctl.errors import ManifestError, UsageError
from vmctl.resources import registry
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vmctl.resources.registry import Kind
    from vmctl.state.store import Store

Document = dict[str, object]

_CLUSTER_CATEGORY = "virtualization-cluster"
CATEGORIES = ("all", "virtualization", _CLUSTER_CATEGORY)  # kubectl's: one word for several kinds


class Asked(NamedTuple):
    """One kind that was asked for; no names means all of them. `namespace` where a manifest says it, else empty."""

    kind: Kind
    names: tuple[str, ...] = ()
    namespace: str = ""


class Found(NamedTuple):
    """The objects of one kind, as whole documents, in the store's order or in that of the names."""

    kind: Kind
    documents: tuple[Document, ...]


class Answer(NamedTuple):
    """What was found, by kind in the order asked, and sentences about what was named but is not there."""

    found: tuple[Found, ...]
    missing: tuple[str, ...] = ()

    @property
    def documents(self) -> tuple[Document, ...]:
        return tuple(document for each in self.found for document in each.documents)


def kind_of(word: str) -> Kind:
    """The kind a word means; raises UsageError with a did-you-mean."""
    kind = registry.find(word)
    if kind is None:
        near = registry.closest(word)
        raise UsageError(
            f'there is no kind "{word}"',
            remedy=f'did you mean "{near}"?' if near else "vmctl api-resources  lists the kinds",
        )
    return kind


def asked(words: Sequence[str]) -> tuple[Asked, ...]:
    """Take the words apart; raises UsageError for what names no kind."""
    if not words:
        raise UsageError("say which kind", remedy="for example  vm ; vmctl api-resources  lists the kinds")
    if any("/" in word for word in words):
        return _with_slashes(words)
    names = tuple(dict.fromkeys(words[1:]))
    return tuple(Asked(kind, names) for kind in _kinds(words[0]))


def wanted(words: Sequence[str], files: Sequence[str], *, recursive: bool = False) -> tuple[Asked, ...]:
    """What words ask for, or the objects of manifests (-f); raises UsageError for both at once."""
    if not files:
        return asked(words)
    if words:
        raise UsageError("both -f and kinds are given", remedy="give one of them")
    return _of_files(files, recursive=recursive)


def one(words: Sequence[str], namespace: str) -> Key:
    """Exactly one object, as `KIND NAME` or `KIND/NAME`."""
    found = asked(words)
    if len(found) != 1 or len(found[0].names) != 1:
        raise UsageError("name exactly one object", remedy="for example  vm/web  or  vm web")
    kind = found[0].kind
    return Key(kind.name, namespace if kind.namespaced else "", found[0].names[0])


def answer(
    store: Store, wanted: Iterable[Asked], namespace: str | None, *, chosen: Callable[[Document], bool] = lambda _: True
) -> Answer:
    """Look it up; `namespace` None means every one, `chosen` is a selector."""
    found: dict[str, Found] = {}
    missing: list[str] = []
    for each in wanted:
        where = (each.namespace or namespace) if each.kind.namespaced else None
        documents = [document for document in _documents(store, each, where) if chosen(document)]
        if each.names:
            by_name: dict[object, list[Document]] = {}
            for document in documents:
                by_name.setdefault(name_of(document), []).append(document)
            missing += [_not_found(each.kind, name, where) for name in each.names if name not in by_name]
            documents = [document for name in each.names for document in by_name.get(name, ())]
        before = found.get(each.kind.name, Found(each.kind, ()))
        found[each.kind.name] = Found(each.kind, before.documents + tuple(documents))
    return Answer(tuple(found.values()), tuple(missing))


def name_of(document: Document) -> str:
    """metadata.name."""
    return str(metadata_of(document).get("name", ""))


def metadata_of(document: Document) -> Document:
    """metadata, empty where a document has none."""
    found = document.get("metadata")
    return found if isinstance(found, dict) else {}


def not_found(key: Key) -> str:
    """The sentence for one object that does not exist."""
    return _not_found(registry.BY_NAME[key.kind], key.name, key.namespace or None)


def _documents(store: Store, each: Asked, namespace: str | None) -> list[Document]:
    if each.kind.name == "Event":
        from vmctl.cli.event_documents import event_documents

        return event_documents(store, namespace)
    if namespace is not None and len(each.names) == 1:
        stored = store.get(Key(each.kind.name, namespace, each.names[0]))
        return [stored.manifest()] if stored else []
    return [stored.manifest() for stored in store.list(each.kind.name, namespace)]


def _of_files(files: Sequence[str], *, recursive: bool) -> tuple[Asked, ...]:
    """The objects that manifests name; raises ManifestError when they are bad."""
    import sys

    from vmctl.manifests.loading import load

    loaded = load(files, recursive=recursive, stdin=sys.stdin.buffer)
    if loaded.problems:
        raise ManifestError(loaded.problems)
    names: dict[tuple[str, str], list[str]] = {}
    for manifest in loaded.manifests:
        names.setdefault((manifest.key.kind, manifest.key.namespace), []).append(manifest.key.name)
    return tuple(Asked(registry.BY_NAME[kind], tuple(each), where) for (kind, where), each in names.items())


def _not_found(kind: Kind, name: str, namespace: str | None) -> str:
    group = f".{kind.group}" if kind.group else ""
    return f'{kind.plural}{group} "{name}" not found' + (f" in namespace {namespace}" if namespace else "")


def _kinds(words: str) -> tuple[Kind, ...]:
    found: dict[str, Kind] = {}
    for word in filter(None, words.split(",")):
        for kind in _category(word) or (kind_of(word),):
            found.setdefault(kind.name, kind)
    return tuple(found.values())


def _category(word: str) -> tuple[Kind, ...]:
    if word.lower() not in CATEGORIES:
        return ()
    namespaced = word.lower() != _CLUSTER_CATEGORY
    ours = [kind for kind in registry.KINDS if kind.group == registry.VIRTUALIZATION and kind.namespaced == namespaced]
    return tuple(sorted(ours, key=lambda kind: kind.priority))


def _with_slashes(words: Sequence[str]) -> tuple[Asked, ...]:
    names: dict[str, tuple[str, ...]] = {}
    for word in words:
        kind, slash, name = word.partition("/")
        if not slash or not name:
            raise UsageError(
                f'"{word}" mixes with the KIND/NAME form of the others', remedy="write every object as KIND/NAME"
            )
        known = kind_of(kind).name
        names[known] = tuple(dict.fromkeys((*names.get(known, ()), name)))
    return tuple(Asked(registry.BY_NAME[kind], each) for kind, each in names.items())
