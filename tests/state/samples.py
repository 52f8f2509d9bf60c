"""Objects for the tests of the store."""

from __future__ import annotations

from typing import Any

from vmctl.resources.keys import Key


def machine(name: str, namespace: str = "default") -> Key:
    """The key of a machine."""
    return Key("VirtualMachine", namespace, name)


def document(name: str = "linux-vm", *, cores: int = 1, **metadata: Any) -> dict[str, Any]:
    """A machine's document; what is named is added to its metadata."""
    return {
        "apiVersion": "virtualization.deckhouse.io/v1alpha2",
        "kind": "VirtualMachine",
        "metadata": {"name": name, **metadata},
        "spec": {"cpu": {"cores": cores}},
    }
