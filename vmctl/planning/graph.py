"""Who depends on whom: image → disk → machine, and everything else that an object's manifest names.

`references` needs no models, so that an apply that finds nothing changed stays quick; the graph itself (networkx) is
built only where an order or a cycle is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.errors import GraphError
from vmctl.resources import registry
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vmctl.planning.objects import Object


def references(key: Key, document: Mapping[str, Any]) -> Iterator[Key]:
    """The objects a manifest names: what must be there, and ready, before it can be."""
    spec = document.get("spec") or {}
    match key.kind:
        case "VirtualImage" | "ClusterVirtualImage" | "VirtualDisk":
            yield from _source(key, spec)
        case "VirtualMachine":
            yield from _machine(key, spec)
        case "VirtualMachineIPAddressLease":
            ref = spec.get("virtualMachineIPAddressRef") or {}
            yield Key("VirtualMachineIPAddress", ref.get("namespace", ""), ref.get("name", ""))
        case _:
            return


def _source(key: Key, spec: Mapping[str, Any]) -> Iterator[Key]:
    ref = (spec.get("dataSource") or {}).get("objectRef")
    if ref:
        yield Key(
            ref["kind"],
            "" if ref["kind"] == "ClusterVirtualImage" else ref.get("namespace") or key.namespace,
            ref["name"],
        )
    claim = spec.get("persistentVolumeClaim") or {}
    if claim.get("storageClassName"):
        yield Key("StorageClass", "", claim["storageClassName"])


def _machine(key: Key, spec: Mapping[str, Any]) -> Iterator[Key]:
    if spec.get("virtualMachineClassName"):
        yield Key("VirtualMachineClass", "", spec["virtualMachineClassName"])
    for ref in spec.get("blockDeviceRefs") or ():
        yield Key(ref["kind"], "" if ref["kind"] == "ClusterVirtualImage" else key.namespace, ref["name"])
    provisioning = spec.get("provisioning") or {}
    for name in ("userDataRef", "sysprepRef"):
        if provisioning.get(name):
            yield Key("Secret", key.namespace, provisioning[name]["name"])
    if spec.get("virtualMachineIPAddressName"):
        yield Key("VirtualMachineIPAddress", key.namespace, spec["virtualMachineIPAddressName"])


def interested(key: Key, objects: Iterable[Object]) -> Iterator[Key]:
    """Whose pass may come out differently when `key` changes: those that name it, those it names, and machines
    that wait.
    """
    for item in objects:
        if item.key == key:
            yield from references(item.key, item.document)
        elif key in references(item.key, item.document) or _waits_for(item, key):
            yield item.key


def _waits_for(item: Object, key: Key) -> bool:
    """Machines wait for each other (a disk, memory, neighbours) and for their address; classes for labels of the
    node.
    """
    if item.key.kind == "VirtualMachine":
        waiting = item.status.get("phase") in ("Pending", "Starting")
        owned = key.kind == "VirtualMachineIPAddress" and key.namespace == item.key.namespace
        return (waiting and key.kind in ("VirtualMachine", "VirtualMachineClass", "Node")) or (
            owned and item.status.get("virtualMachineIPAddressName") == key.name
        )
    if item.key.kind == "VirtualMachineIPAddress":
        return key.kind == "VirtualMachine" and item.status.get("virtualMachineName", item.key.name[:-6]) == key.name
    return item.key.kind == "VirtualMachineClass" and key.kind in ("Node", "VirtualMachine")


def order(documents: Mapping[Key, Mapping[str, Any]]) -> list[Key]:
    """Dependencies first, and among independents the order of kinds and the order given. Raises GraphError for a
    circle.
    """
    import networkx as nx

    place = {key: (registry.BY_NAME[key.kind].priority, index) for index, key in enumerate(documents)}
    graph: nx.DiGraph[Key] = nx.DiGraph()
    graph.add_nodes_from(documents)
    for key, document in documents.items():
        graph.add_edges_from((needed, key) for needed in references(key, document) if needed in documents)
    try:
        return list(nx.lexicographical_topological_sort(graph, key=place.__getitem__))
    except nx.NetworkXUnfeasible:
        circle = [edge[0] for edge in nx.find_cycle(graph)]
        names = " → ".join(item.short for item in [*circle, circle[0]])
        raise GraphError(
            f"these objects depend on each other in a circle: {names}",
            remedy="break it by giving one of them another source",
        ) from None
