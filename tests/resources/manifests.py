"""Manifests for tests: those that guides print, and small complete ones of each kind."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.resources.declaring import Resource

HERE = Path(__file__).parent
GROUP = "virtualization.deckhouse.io/v1alpha2"

MACHINE: dict[str, Any] = {
    "apiVersion": GROUP,
    "kind": "VirtualMachine",
    "metadata": {"name": "linux-vm"},
    "spec": {
        "virtualMachineClassName": "generic",
        "cpu": {"cores": 1},
        "memory": {"size": "1Gi"},
        "blockDeviceRefs": [{"kind": "VirtualDisk", "name": "root"}, {"kind": "VirtualDisk", "name": "data"}],
    },
}


def documents(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every document of the files in a folder, with a name for it."""
    for path in sorted((HERE / folder).glob("*.yaml")):
        for index, document in enumerate(YAML(typ="safe").load_all(path)):
            yield f"{path.stem}-{index}", document


def fragments() -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of a machine's spec that guides print, each laid over a complete machine."""
    parts: dict[str, dict[str, Any]] = YAML(typ="safe").load(HERE / "seeds_fragments.yaml")
    for name, part in parts.items():
        yield name, with_spec(**part)


def with_spec(**changed: object) -> dict[str, Any]:
    """The small machine with some fields of its spec replaced."""
    document = deepcopy(MACHINE)
    document["spec"] |= changed
    return document


def printed() -> list[tuple[str, dict[str, Any]]]:
    """Every complete manifest there is."""
    return [*documents("seeds"), *fragments(), *documents("upstream")]


def read(document: dict[str, Any]) -> Resource:
    """The object of a document."""
    return registry.BY_NAME[document["kind"]].model().model_validate(document)


def dump(resource: Resource) -> dict[str, Any]:
    """The normalised document that the store keeps and `get -o yaml` shows."""
    return resource.model_dump(mode="json", by_alias=True, exclude_none=True)
