"""What is there without being declared: the node, the classes host and generic, the storage class local, the
snapshot class layers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from vmctl import __version__
from vmctl.resources import registry
from vmctl.resources.annotations import DEFAULT_STORAGE_CLASS
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.planning.observed import Host
    from vmctl.state.store import Store

PROVISIONER = "vmctl.dev/directory"


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
    yield _object(
        "StorageClass",
        "local",
        {
            "provisioner": PROVISIONER,
            "parameters": {"path": f"{state_dir}/storage/local"},
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate",
            "allowVolumeExpansion": True,
        },
        annotations={DEFAULT_STORAGE_CLASS: "true"},
    )
    yield _object("VolumeSnapshotClass", "layers", {"driver": PROVISIONER, "deletionPolicy": "Delete"})
    yield _object("VirtualMachineClass", "host", {"spec": {"cpu": {"type": "Host"}}})
    yield _object("VirtualMachineClass", "generic", {"spec": {"cpu": {"type": "Model", "model": "Nehalem"}}})


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
