"""Events as documents, in the form Kubernetes gives them, so that every output form works on them too."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from vmctl.resources import registry
from vmctl.state.stored import rfc3339

if TYPE_CHECKING:
    from vmctl.resources.keys import Key
    from vmctl.state.events import Event
    from vmctl.state.store import Store


def event_documents(store: Store, namespace: str | None = None, *, key: Key | None = None) -> list[dict[str, object]]:
    """The events of an object, a namespace or all, oldest first. Those of cluster-wide objects stand in `default`."""
    found = store.events(key, namespace if namespace != "default" else None)
    if namespace == "default":
        found = [event for event in found if event.key.namespace in ("", "default")]
    return [_document(event) for event in found]


def _document(event: Event) -> dict[str, object]:
    kind = registry.BY_NAME.get(event.key.kind)
    identity = "\n".join((*event.key, event.uid, event.type, event.reason, event.message))
    involved = {"kind": event.key.kind, "name": event.key.name}
    if kind is not None:
        involved["apiVersion"] = kind.api_version
    if event.key.namespace:
        involved["namespace"] = event.key.namespace
    if event.uid:
        involved["uid"] = event.uid
    digest = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{event.key.name}.{digest}",
            "namespace": event.key.namespace or "default",
            "creationTimestamp": rfc3339(event.first),
            "resourceVersion": f"{int(event.last * 1000)}.{event.count}",
        },
        "involvedObject": involved,
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "count": event.count,
        "firstTimestamp": rfc3339(event.first),
        "lastTimestamp": rfc3339(event.last),
    }
