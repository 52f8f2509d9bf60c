"""Who depends on whom: image → disk → machine, and everything else that an object's manifest names.

`references` needs no models, so that an apply that finds nothing changed stays quick; the graph itself (networkx) is
built only where an order or a cycle is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.errors import GraphError
from vmctl.planning.requests import OVER
from vmctl.planning.usage import ATTACHMENT, attached_keys, waits_for_room
from vmctl.resources import registry
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmctl.planning.objects import Object, Objects


def references(key: Key, document: Mapping[str, Any]) -> Iterator[Key]:
    """The objects a manifest names: what must be there, and ready, before it can be."""
    spec = document.get("spec") or {}
    match key.kind:
        case "VirtualImage" | "ClusterVirtualImage" | "VirtualDisk":
            yield from _source(key, spec)
        case "VirtualMachine":
            yield from _machine(key, spec)
        case "VirtualMachineOperation":
            yield Key("VirtualMachine", key.namespace, spec.get("virtualMachineName", ""))
        case "VirtualMachineBlockDeviceAttachment":
            yield Key("VirtualMachine", key.namespace, spec.get("virtualMachineName", ""))
            ref = spec.get("blockDeviceRef") or {}
            yield _device(key, ref)
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
        yield _device(key, ref)
    provisioning = spec.get("provisioning") or {}
    for name in ("userDataRef", "sysprepRef"):
        if provisioning.get(name):
            yield Key("Secret", key.namespace, provisioning[name]["name"])
    if spec.get("virtualMachineIPAddressName"):
        yield Key("VirtualMachineIPAddress", key.namespace, spec["virtualMachineIPAddressName"])


def _device(key: Key, ref: Mapping[str, str]) -> Key:
    """A disk or image as an object of this namespace names it."""
    return Key(ref["kind"], "" if ref["kind"] == "ClusterVirtualImage" else key.namespace, ref["name"])


def mentions(item: Object) -> tuple[Key, ...]:
    """Whose change may concern an object: what it names, what it has though its manifest names it no more, and its
    address or machine.
    """
    found = list(references(item.key, item.document))
    if item.key.kind == "VirtualMachine":
        found += sorted(attached_keys(item))
        if item.status.get("virtualMachineIPAddressName"):
            found.append(Key("VirtualMachineIPAddress", item.key.namespace, item.status["virtualMachineIPAddressName"]))
    elif item.key.kind == "VirtualMachineIPAddress":
        owners = [owner.get("name", "") for owner in item.metadata.get("ownerReferences") or ()]
        has = [item.status["virtualMachineName"]] if item.status.get("virtualMachineName") else owners
        found += (Key("VirtualMachine", item.key.namespace, name) for name in has)
    return tuple(dict.fromkeys(found))


def interested(key: Key, objects: Objects) -> Iterator[Key]:
    """Whose pass may come out differently when `key` changes: those that name it, those it names, and those that wait
    for whatever may change.
    """
    item = objects.get(key)
    if item is not None:
        yield from references(key, item.document)
    yield from (other for other in objects.mentioning(key) if other != key and not is_over(objects.get(other)))
    if item is not None and key.kind == "VirtualMachineOperation":  # one at a time, and only the newest are kept
        yield from (
            other
            for machine in references(key, item.document)
            for other in objects.mentioning(machine)
            if other.kind == key.kind and other != key
        )
    yield from _unnamed(key, objects)


def _unnamed(key: Key, objects: Objects) -> Iterator[Key]:
    """Who goes by an object without naming it: who waits for what it may free, and who has what is a default."""
    if key.kind in ("VirtualMachine", "VirtualMachineClass", "Node"):  # a disk, memory, neighbours, a default class
        yield from (
            machine.key
            for machine in objects.of_kind("VirtualMachine")
            if machine.key != key and (machine.phase == "Pending" or waits_for_room(machine))
        )
    if key.kind in ("VirtualMachine", ATTACHMENT):  # a disk, or room for one
        yield from (
            waiting.key
            for waiting in objects.of_kind(ATTACHMENT)
            if waiting.key != key and waiting.phase in ("Pending", "Failed")
        )
    if key.kind in ("StorageClass", "ModuleConfig"):  # a default class, that nobody names, and whether disks may grow
        yield from (
            one.key
            for kind in ("ClusterVirtualImage", "VirtualImage", "VirtualDisk")
            for one in objects.of_kind(kind)
            if one.phase == "Pending" or one.status.get("storageClassName") == key.name
        )
    if key.kind == "ModuleConfig":  # feature gates, ranges of addresses
        yield from (one.key for kind in ("VirtualMachineIPAddress", "VirtualMachine") for one in objects.of_kind(kind))
    if key.kind == "VirtualMachineClass":  # the default one, that nobody names
        yield from (
            machine.key
            for machine in objects.of_kind("VirtualMachine")
            if not machine.document["spec"].get("virtualMachineClassName")
        )
    if key.kind in ("VirtualMachine", "Node"):  # classes follow the labels of the node, and tell who uses them
        yield from (known.key for known in objects.of_kind("VirtualMachineClass"))


def is_over(item: Object | None) -> bool:
    """Whether it is an operation that was carried out: what becomes of its machine does not concern it any more."""
    return (
        item is not None and not item.terminating and item.key.kind == "VirtualMachineOperation" and item.phase in OVER
    )


def order(documents: Mapping[Key, Mapping[str, Any]]) -> list[Key]:
    """Dependencies first, and among independents the order of kinds and the order given. Raises GraphError for a
    circle.
    """
    place = {key: (registry.BY_NAME[key.kind].priority, index) for index, key in enumerate(documents)}
    needs = {
        key: [other for other in references(key, document) if other in documents] for key, document in documents.items()
    }
    if all(place[other] < place[key] for key, others in needs.items() for other in others):
        return sorted(place, key=place.__getitem__)  # the usual case; the graph would say the same, 0.1 s later
    import networkx as nx

    graph: nx.DiGraph[Key] = nx.DiGraph()
    graph.add_nodes_from(documents)
    for key, others in needs.items():
        graph.add_edges_from((other, key) for other in others)
    try:
        return list(nx.lexicographical_topological_sort(graph, key=place.__getitem__))
    except nx.NetworkXUnfeasible:
        circle = [edge[0] for edge in nx.find_cycle(graph)]
        names = " → ".join(item.short for item in [*circle, circle[0]])
        raise GraphError(
            f"these objects depend on each other in a circle: {names}",
            remedy="break it by giving one of them another source",
        ) from None
