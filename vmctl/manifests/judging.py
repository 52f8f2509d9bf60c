"""One parsed document becomes the objects it declares, or what is wrong with it: the envelope here, the rest by
its kind's model.

Nothing here knows files or lines; findings name paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from vmctl.manifests.findings import Finding, findings
from vmctl.resources import registry, remarks
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from vmctl.manifests.documents import Document
    from vmctl.manifests.places import Path
    from vmctl.resources.declaring import Resource
    from vmctl.resources.registry import Kind

SERVER_SET = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
    }
)


@dataclass(frozen=True, slots=True)
class Declared:
    """An object, normalised; `path` leads to it where it is an item of a List."""

    key: Key
    document: Document
    generate_name: str
    path: Path
    acts: bool  # no field of it is among those that this version does not carry out


@dataclass(slots=True)
class Judgement:
    """All that one document comes to."""

    objects: list[Declared] = field(default_factory=list)
    wrong: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    not_acting: list[Finding] = field(default_factory=list)


def judge(document: object, namespace: str) -> Judgement:
    """Check a document, and each item if it is a List; `namespace` is meant where a namespaced object says none."""
    judgement = Judgement()
    if document is not None:
        _judge(document, namespace, (), judgement)
    return judgement


def _judge(document: object, namespace: str, path: Path, judgement: Judgement) -> None:
    if not isinstance(document, dict):
        what = f"a manifest is an object with apiVersion, kind and metadata, and this is {_described(document)}"
        judgement.wrong.append(Finding(path, what))
    elif _is_list(document):
        _judge_items(document, namespace, path, judgement)
    else:
        kind, wrong = _identify(document)
        judgement.wrong += (_under(path, finding) for finding in wrong)
        if kind is not None:
            known = (
                {**document, "apiVersion": kind.api_version} if wrong else document
            )  # the rest is judged all the same
            declared = _judge_object(kind, known, namespace, path, judgement)
            judgement.objects += [declared] if declared and not wrong else []


def _is_list(document: Document) -> bool:
    """`kind: List`, as `get -o yaml` prints it, or the list of one kind, as an API server answers."""
    kind = document.get("kind")
    if not isinstance(kind, str) or not kind.endswith("List"):
        return False
    return kind == "List" or kind.removesuffix("List") in registry.BY_NAME


def _judge_items(document: Document, namespace: str, path: Path, judgement: Judgement) -> None:
    items = document.get("items")
    if not isinstance(items, list):
        judgement.wrong.append(_under(path, Finding(("items",), "must be a list of objects", "begin each with `- `")))
        return
    for number, item in enumerate(items):
        _judge(item, namespace, (*path, "items", number), judgement)


def _identify(document: Document) -> tuple[Kind | None, list[Finding]]:
    """Find the kind that a document says it is, and what is wrong with how it says so."""
    wrong: list[Finding] = []
    texts: dict[str, str] = {}
    for name in ("apiVersion", "kind"):
        value = document.get(name)
        if name not in document:
            wrong.append(Finding((name,), "is missing", _missing(name, document)))
        elif not isinstance(value, str) or not value:
            wrong.append(Finding((name,), f"must be text, not {_described(value)}"))
        else:
            texts[name] = value
    kind = registry.BY_NAME.get(texts.get("kind", ""))
    if kind is None and "kind" in texts:
        near = registry.closest(texts["kind"], list(registry.BY_NAME))
        remedy = f'did you mean "{near}"?' if near else "`vmctl api-resources` lists the kinds there are"
        wrong.append(Finding(("kind",), f'"{texts["kind"]}" is no kind that vmctl knows', remedy))
    elif kind is not None and texts.get("apiVersion", kind.api_version) not in kind.api_versions:
        what = f'"{texts["apiVersion"]}" is no version of {kind.name}'
        wrong.append(Finding(("apiVersion",), what, f"write {' or '.join(kind.api_versions)}"))
    return kind, wrong


def _missing(name: str, document: Document) -> str:
    kind = registry.BY_NAME.get(str(document.get("kind")))
    return f"write apiVersion: {kind.api_version}" if name == "apiVersion" and kind else "every manifest says both"


def _judge_object(kind: Kind, document: Document, namespace: str, path: Path, judgement: Judgement) -> Declared | None:
    model = kind.model()
    try:
        # by_name: a field has one spelling in a manifest, that of its alias
        resource = model.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        judgement.wrong += (_under(path, finding) for finding in findings(model, document, error))
        return None
    judgement.warnings += _remarks(remarks.warnings(resource), document, path)
    idle = remarks.not_acting(resource)
    judgement.not_acting += _remarks(idle, document, path)
    return _declared(kind, resource, namespace, path, acts=not idle)


def _declared(kind: Kind, resource: Resource, namespace: str, path: Path, *, acts: bool) -> Declared:
    dumped: Document = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    dumped["apiVersion"] = kind.api_version
    dumped.pop("status", None)
    metadata: Document = {name: value for name, value in dumped["metadata"].items() if name not in SERVER_SET}
    if kind.namespaced:
        metadata.setdefault("namespace", namespace)
    dumped["metadata"] = metadata
    name = metadata.get("name", "")
    key = Key(kind.name, metadata.get("namespace", "") if kind.namespaced else "", name)
    return Declared(key, dumped, "" if name else metadata.get("generateName", ""), path, acts)


def _remarks(noted: list[tuple[str, str]], document: Document, path: Path) -> Iterator[Finding]:
    for dotted, text in noted:
        what, _, remedy = text.partition("; ")
        yield _under(path, Finding(tuple(_steps(document, dotted)), what, remedy, "key"))


def _steps(at: object, dotted: str) -> Iterator[str | int]:
    """Take a dotted path apart along what is there, because keys (labels, annotations) may contain dots themselves."""
    while dotted:
        step = dotted.partition(".")[0]
        if isinstance(at, Mapping):
            fits = (key for key in at if dotted == key or dotted.startswith(f"{key}."))
            step = max(fits, key=len, default=step)
        dotted = dotted[len(step) + 1 :]
        found: str | int = int(step) if isinstance(at, list) and step.isdecimal() else step
        yield found
        at = _step(at, found)


def _step(at: object, step: str | int) -> object:
    if isinstance(at, Mapping):
        return at.get(step)
    return at[step] if isinstance(at, list) and isinstance(step, int) and step < len(at) else None


def _under(path: Path, finding: Finding) -> Finding:
    if not path:
        return finding
    return Finding((*path, *finding.path), finding.what, finding.remedy, finding.aim, finding.secret)


def _described(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case list():
            return "a list"
        case dict():
            return "an object"
        case str():
            return "a text"
        case _:
            return f"{str(value).lower()}"
