"""One object is changed by hand: judged like a manifest, written into the file that declares it or into the store,
and applied there and then, nothing else of its directory with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vmctl.engine import applying, patches
from vmctl.engine.origins import UNAPPLIED, Origin, origin
from vmctl.errors import ChangeRefused, FileRefused, ManifestError, NotFoundError, Overtaken, Problem, UsageError
from vmctl.manifests import writing
from vmctl.manifests.carrying import carried
from vmctl.manifests.documents import Loaded, Manifest
from vmctl.state import merging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.engine.ledger import Ledger
    from vmctl.manifests.holding import Held
    from vmctl.manifests.judging import Judgement
    from vmctl.resources.keys import Key
    from vmctl.state.store import Store
    from vmctl.state.stored import Document


@dataclass(frozen=True, slots=True)
class Revision:
    """A change that was judged and may be made: `document` is what the object will say, `text` what its file will."""

    origin: Origin
    document: Document
    text: str = ""
    warnings: tuple[Problem, ...] = ()

    @property
    def key(self) -> Key:
        return self.origin.stored.key

    @property
    def changes(self) -> bool:
        """Whether anything becomes different."""
        return self.document != self.origin.stored.document or self.writes

    @property
    def writes(self) -> bool:
        """Whether the text of a file becomes different."""
        held = self.origin.held
        return bool(held and self.text and self.text != held.text)


def look_up(store: Store, key: Key, missing: str) -> Origin:
    """The object and where it comes from; raises NotFoundError, saying `missing`."""
    with store.batch(durable=False):  # nobody is between the file and the store, having written only one of them
        stored = store.get(key)
        if stored is None:
            raise NotFoundError(missing)
        return origin(store, stored)


def revise(ledger: Ledger, store: Store, found: Origin, wanted: Mapping[str, Any]) -> Revision:
    """Judge what an object is to say, and find the text of its file that says so.

    Raises ManifestError with every problem, ChangeRefused where a guard says no, FileRefused where a file cannot be
    written; nothing has changed then.
    """
    key = found.stored.key
    _refuse_another(found, wanted)
    before = _judged(found.stored.document, "")
    after = _judged(wanted, key.short)
    document = merging.normalised(key, after.document)
    revision = Revision(found, document, warnings=tuple(item for item in after.warnings if item not in before.warnings))
    if document == merging.normalised(key, before.document):
        return replace(revision, document=found.stored.document)
    _guard(ledger, found, before, after)
    return replace(revision, text=_text(store, revision)) if found.of_file else revision


def revise_text(ledger: Ledger, store: Store, found: Origin, text: str) -> Revision:
    """Judge the text that takes the place of an object's whole document in its file. Raises as `revise` does."""
    held = _writable(found, None)
    whole = writing.replaced(held, text)
    new = writing.reread(held, whole)
    if new is None or new.number != held.number:
        raise _another(found)
    key = found.stored.key
    before, after = _judged(held.raw, ""), _judged(new.raw, f"{held.file}:{held.line}")
    _guard(ledger, found, before, after)
    warnings = tuple(item for item in after.warnings if item not in before.warnings)
    return Revision(found, store.foresee(key, after.document), whole, warnings)


def commit(ledger: Ledger, store: Store, revision: Revision) -> bool:
    """Make the change, in the file first, and say whether there was one.

    Raises Overtaken when the object or its file has changed since it was looked up; nothing has changed then.
    """
    found, key = revision.origin, revision.key
    if not revision.changes:
        return False
    with store.batch():  # nobody else writes meanwhile: what is compared here is what is replaced
        now = store.get(key)
        if now is None or now.uid != found.stored.uid or now.document != found.stored.document:
            raise _overtaken(key)
        if found.held is not None and revision.text:
            if revision.writes:
                writing.write(found.held, revision.text)
            _apply(store, revision, found.held)
        else:
            store.replace(key, revision.document)
        written = store.get(key)
    if written is not None:
        ledger.learn(written)
    return True


def _apply(store: Store, revision: Revision, held: Held) -> None:
    """What `apply` does with the new document, labels that were set beside it included."""
    stored, key = revision.origin.stored, revision.key
    new = writing.reread(held, revision.text)
    if new is None:
        raise ChangeRefused(f"{held.file} does not declare {key.short} any more")
    applied, _ = store.apply(key, new.declared.document, source=stored.source, file=held.file, line=new.line)
    if applied.document != revision.document:  # a label that no file names was taken away
        store.replace(key, revision.document)


@dataclass(frozen=True, slots=True)
class _Judged:
    document: Document
    warnings: tuple[Problem, ...]
    not_acting: tuple[Problem, ...]


def _judged(document: Mapping[str, Any], place: str) -> _Judged:
    """A document with its defaults. Raises ManifestError with all that is wrong."""
    from vmctl.manifests.judging import judge

    judgement = judge(_without_status(document), "default")
    problems = _problems(judgement, place) if place else []
    if problems:
        raise ManifestError(problems)
    if not judgement.objects:  # what is stored, of a version that judged otherwise: the change is judged alone
        return _Judged(dict(document), (), ())
    return _Judged(
        judgement.objects[0].document,
        tuple(Problem("", 0, 0, item.sentence, item.remedy, warning=True) for item in judgement.warnings),
        tuple(Problem(place, 0, 0, item.sentence, item.remedy) for item in judgement.not_acting),
    )


def _problems(judgement: Judgement, place: str) -> list[Problem]:
    return [
        Problem(place, 0, 0, item.sentence, item.remedy, path=".".join(map(str, item.path))) for item in judgement.wrong
    ]


def _without_status(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "status"}


def _refuse_another(found: Origin, wanted: Mapping[str, Any]) -> None:
    """Raise UsageError when the document names another object, ChangeRefused when it means another version of it."""
    metadata = wanted.get("metadata")
    said = metadata if isinstance(metadata, dict) else {}
    key, stored = found.stored.key, found.stored
    names = (wanted.get("kind", key.kind), said.get("namespace", key.namespace) or key.namespace, said.get("name"))
    if names != tuple(key) or said.get("uid", stored.uid) != stored.uid:
        raise _another(found)
    version = said.get("resourceVersion")
    if version is not None and str(version) != str(stored.resource_version):
        raise _overtaken(key)


def _overtaken(key: Key) -> Overtaken:
    return Overtaken(
        f"{key.short} has been changed by somebody else meanwhile", remedy="look at it again, and repeat the change"
    )


def _another(found: Origin) -> UsageError:
    return UsageError(
        f"kind, name and namespace of {found.stored.key.short} cannot be changed",
        remedy="`vmctl create` makes another object, `vmctl delete` removes this one",
    )


def _guard(ledger: Ledger, found: Origin, before: _Judged, after: _Judged) -> None:
    """Raise what `apply` would raise for the new document."""
    key, place = found.stored.key, found.place or found.stored.key.short
    if merging.same_intent(before.document, after.document):
        return
    manifest = Manifest(key, after.document, place, 0, acts=not after.not_acting)
    loaded = Loaded((manifest,), (), after.warnings, after.not_acting, 1, ())
    applying.judge(loaded)
    if ledger.get(key) is None:
        raise NotFoundError(f"{key.short} is gone")
    wanted = replace(manifest, document=merging.normalised(key, after.document))
    against = [f"{key.short}: {path}: {why}" for _, path, why in applying.objections(ledger, [wanted])]
    if against:
        raise ChangeRefused("\n".join([*against, "nothing was changed"]))


def _text(store: Store, revision: Revision) -> str:
    """The text of the file that says what the revision says."""
    found, key = revision.origin, revision.key
    held = _writable(found, revision.document)
    wanted = carried(held.raw, found.stored.document, revision.document)
    try:
        text = writing.rewritten(held, wanted)
        new = writing.reread(held, text)
        foreseen = store.foresee(key, new.declared.document) if new else {}
        if not merging.same_intent(foreseen, revision.document):
            raise writing.refused(held, held.line, "the document there says it in another way")
    except ChangeRefused as error:
        raise _file_refused(found, error.message, revision.document) from error
    return text


def refuse_hindered(found: Origin) -> None:
    """Raise FileRefused when the file of an object cannot be written, whatever the change."""
    if found.of_file:
        _writable(found, None)


def _writable(found: Origin, document: Document | None) -> Held:
    """The document in its file. Raises FileRefused with the change that the file would take."""
    if found.held is None or found.hindrance:
        raise _file_refused(found, f"{found.place}: {found.hindrance}", document)
    return found.held


def _file_refused(found: Origin, why: str, document: Document | None) -> FileRefused:
    patch = patches.for_file(found, document) if document is not None else ""
    remedy = "make the change there, and apply it"
    if found.hindrance == UNAPPLIED:
        remedy = "`vmctl apply` it first, and repeat the command"
    elif found.held is not None and patch.startswith("---"):
        remedy = (
            f"`patch -p1 -d {patches.where(found.held, found.directory)}` takes what is printed here; then apply it"
        )
    elif patch:
        remedy = "make the change there that is printed here as a JSON patch, and apply it"
    return FileRefused(
        f"{found.stored.key.short} comes from a file that cannot be written: {why}",
        remedy=remedy,
        patch=patch,
    )
