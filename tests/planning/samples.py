"""Objects for tables and laws of single rules, as short as they can be said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.planning.worlds import declared
from vmctl.planning.objects import Object, Objects

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]


def disk(name: str = "root", claim: Json | None = None, **beside: Any) -> Object:
    """A blank disk of 1Gi unless `claim` says otherwise."""
    spec = {"persistentVolumeClaim": claim or {"size": "1Gi"}}
    return declared({"kind": "VirtualDisk", "metadata": {"name": name}, "spec": spec, **beside})


def machine(
    name: str = "web",
    *disks: str,
    labels: Mapping[str, str] | None = None,
    namespace: str = "default",
    spec: Json | None = None,
    **beside: Any,
) -> Object:
    """A machine with these disks (root where none is named); `spec` adds fields or replaces them."""
    fields: Json = {
        "virtualMachineClassName": "host",
        "cpu": {"cores": 1},
        "memory": {"size": "1Gi"},
        "blockDeviceRefs": [{"kind": "VirtualDisk", "name": each} for each in disks or ("root",)],
        **(spec or {}),
    }
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    return declared({"kind": "VirtualMachine", "metadata": metadata, "spec": fields, **beside})


def having(*disks: str) -> Json:
    """The status of a machine that has these disks attached."""
    return {"blockDeviceRefs": [{"kind": "VirtualDisk", "name": each, "attached": True} for each in disks]}


def objects(*items: Object) -> Objects:
    """A moment at which there are these objects."""
    return Objects({item.key: item for item in items})
