"""What is there without being declared: the node, the classes host and generic, the storage class local, the
snapshot class layers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vmctl import __version__
from vmctl.planning.storage_classes import BUILT_IN
from vmctl.resources import registry
from vmctl.resources.annotations import DEFAULT_STORAGE_CLASS
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.planning.observed import Host
    from vmctl.state.store import Store

PROVISIONER = "vmctl.dev/directory"
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("StorageClass", BUILT_IN): {
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": True,
    },
    ("VolumeSnapshotClass", "layers"): {"driver": PROVISIONER, "deletionPolicy": "Delete"},
    ("VirtualMachineClass", "host"): {"spec": {"cpu": {"type": "Host"}}},
    ("VirtualMachineClass", "generic"): {"spec": {"cpu": {"type": "Model", "model": "Nehalem"}}},
}  # by kind and name; the node, which has the host's name, comes beside them


def always_there(key: Key) -> bool:
    """Whether an object exists without being declared."""
    return key.kind == "Node" or (key.kind, key.name) in BODIES


def ensure(store: Store, host: Host, state_dir: str) -> None:
    """Make the built-in objects that are missing; what a user changed of them stays. The node's status is the
    host's.
    """
    for key, document in documents(host, state_dir):
        if store.get(key) is None:
            store.create(key, document)
    node = store.get(Key("Node", "", host.name))
    if node is not None:
        store.set_status(node.uid, _node_status(host))


def documents(host: Host, state_dir: str) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The objects and what they say."""
    yield _object(
        "Node",
        host.name,
        {},
        labels={"kubernetes.io/hostname": host.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
    )
    for (kind, name), body in BODIES.items():
        if kind == "StorageClass":
            path = {"parameters": {"path": f"{state_dir}/storage/{name}"}}
            yield _object(kind, name, {**body, **path}, annotations={DEFAULT_STORAGE_CLASS: "true"})
        else:
            yield _object(kind, name, body)


def _object(kind: str, name: str, body: dict[str, Any], **metadata: dict[str, str]) -> tuple[Key, dict[str, Any]]:
    document = {
        "apiVersion": registry.BY_NAME[kind].api_version,
        "kind": kind,
        "metadata": {"name": name, **metadata},
        **body,
    }
    return Key(kind, "", name), document


def _node_status(host: Host) -> dict[str, Any]:
    return {
        "phase": "Ready",
        "capacity": {"cpu": str(host.cpus), "memory": f"{host.memory_kib}Ki"},
        "nodeInfo": {
            "vmctlVersion": f"v{__version__}",
            "kernelVersion": os.uname().release,
            "architecture": host.architecture,
            "libvirtVersion": host.libvirt,
            "qemuVersion": host.qemu,
            "accelerator": host.accelerator,
            **({"acceleratorReason": host.accelerator_reason} if host.accelerator_reason else {}),
            "systemUUID": host.uuid,
        },
    }
