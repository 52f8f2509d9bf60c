"""An object as it is remembered, and the form a user sees it in. Values only: nothing here reads or writes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]

COLUMNS = (
    "uid, kind, namespace, name, generation, resource_version, document, status, "
    "created, deleted, source, file, line, applied"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """One object. Times are epoch seconds; treat the dictionaries as read-only.

    `document` is what was asked for, without status; `applied_meta` is what the last apply said of the parts of
    metadata that are merged. `source` is the directory that owns the object, empty when none does; `file`, an
    absolute path, and `line` are where it was read, empty and 0 for what came from elsewhere.
    """

    key: Key
    uid: str
    generation: int
    resource_version: int
    document: Document
    status: Document
    created: float
    deleted: float | None
    source: str
    file: str
    line: int
    applied_meta: Document

    def manifest(self) -> Document:
        """The whole object as kubectl would show it, the server's part of metadata and status included."""
        asked: Mapping[str, Any] = self.document.get("metadata", {})
        metadata: Document = {"name": self.key.name}
        if self.key.namespace:
            metadata["namespace"] = self.key.namespace
        metadata |= {
            "uid": self.uid,
            "generation": self.generation,
            "resourceVersion": str(self.resource_version),
            "creationTimestamp": rfc3339(self.created),
        }
        if self.deleted is not None:
            metadata["deletionTimestamp"] = rfc3339(self.deleted)
        metadata |= {name: value for name, value in asked.items() if name not in ("name", "namespace")}
        whole: Document = {"apiVersion": self.document.get("apiVersion"), "kind": self.key.kind, "metadata": metadata}
        whole |= {name: value for name, value in self.document.items() if name not in whole}
        if self.status:
            whole["status"] = self.status
        return whole


def rfc3339(moment: float) -> str:
    """An epoch time as manifests write it: UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def encoded(value: object) -> str:
    """The text a value is stored and compared as: equal values, and only those, have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def from_row(row: tuple[Any, ...]) -> Stored:
    """The object in a row of COLUMNS; raises ValueError where the text in it is no JSON."""
    uid, kind, namespace, name, generation, version, document, status, created, deleted, source, file, line, applied = (
        row
    )
    return Stored(
        key=Key(kind, namespace, name),
        uid=uid,
        generation=generation,
        resource_version=version,
        document=json.loads(document),
        status=json.loads(status),
        created=created,
        deleted=deleted,
        source=source,
        file=file,
        line=line,
        applied_meta=json.loads(applied),
    )
