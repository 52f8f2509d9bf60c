"""The rules of VirtualMachineClass on the one host: whether it can run the class's CPU, and who uses the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.planning import placement
from vmctl.planning.conditions import Condition
from vmctl.planning.plans import Plan, World
from vmctl.planning.steps import ForgetObject
from vmctl.resources.annotations import DEFAULT_MACHINE_CLASS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.objects import Object, Objects
    from vmctl.planning.observed import Host


def default(objects: Objects) -> list[Object]:
    """The classes that are marked as the default; one, when all is well."""
    return [
        item for item in objects.of_kind("VirtualMachineClass") if item.annotations.get(DEFAULT_MACHINE_CLASS) == "true"
    ]


def plan(world: World) -> Plan:
    """Whether machines of this class can run here."""
    item = world.object
    is_default = item.annotations.get(DEFAULT_MACHINE_CLASS) == "true"
    users = [
        machine
        for machine in world.objects.of_kind("VirtualMachine")
        if machine.document["spec"].get("virtualMachineClassName", item.key.name if is_default else "") == item.key.name
    ]
    if item.terminating:
        return _leave(world, users)
    node = next(world.objects.of_kind("Node"), None)
    cpu, host = item.document["spec"]["cpu"], world.host
    elsewhere = _elsewhere(cpu, node, host) if cpu["type"] == "Discovery" else ""
    features = _features(cpu, host, discovered=not elsewhere)
    extra: dict[str, Any] = {
        "cpuFeatures": features,
        "availableNodes": [],
        "maxAllocatableResources": {"cpu": str(host.cpus), "memory": f"{host.memory_kib}Ki"},
    }
    conditions: list[Condition] = []
    if cpu["type"] == "Discovery":
        conditions.append(
            Condition("Discovered", "False", "DiscoveryFailed", elsewhere)
            if elsewhere
            else Condition("Discovered", "True", "DiscoverySucceeded")
        )
    trouble = _unsuitable(item, node, host)
    if trouble:
        nothing = cpu["type"] == "Discovery" and not features["enabled"]
        reason = "NoCpuFeaturesEnabled" if nothing else "NoSuitableNodesFound"
        conditions.insert(0, Condition("Ready", "False", reason, trouble))
        return Plan(world.status("Pending", conditions, extra))
    conditions.insert(0, Condition("Ready", "True", "SuitableNodesFound"))
    extra["availableNodes"] = [node.key.name if node else host.name]
    return Plan(world.status("Ready", conditions, extra))


def _features(cpu: Mapping[str, Any], host: Host, *, discovered: bool) -> dict[str, list[str]]:
    """The features of the processor that machines of a class get, as far as the class says which."""
    if cpu["type"] == "Discovery":
        return {"enabled": sorted(host.features) if discovered else []}
    if cpu["type"] == "Features":
        asked = sorted(cpu["features"])
        return {"enabled": asked, "notEnabledCommon": sorted(host.features - set(asked))}
    return {}


def _unsuitable(item: Object, node: Object | None, host: Host) -> str:
    cpu = item.document["spec"]["cpu"]
    selector = item.document["spec"].get("nodeSelector")
    if selector and not placement.matches(selector, node.labels if node else {}):
        return f"the nodeSelector does not match the labels of {host.name}"
    if cpu["type"] == "Discovery":
        return _elsewhere(cpu, node, host) or ("" if host.features else "no CPU features were found on this host")
    if cpu["type"] == "Model" and cpu["model"] not in host.models:
        known = ", ".join(sorted(host.models)[:8]) or "none"
        return f"this host cannot give a guest the CPU model {cpu['model']}; it can: {known} …"
    missing = sorted(set(cpu.get("features") or ()) - host.features) if cpu["type"] == "Features" else []
    if missing:
        return f"this host cannot give a guest the CPU feature{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    return ""


def _elsewhere(cpu: Mapping[str, Any], node: Object | None, host: Host) -> str:
    """Why this host is none of those that features are discovered on."""
    selector = (cpu.get("discovery") or {}).get("nodeSelector")
    if selector and not placement.matches(selector, node.labels if node else {}):
        return f"discovery.nodeSelector does not match the labels of {host.name}"
    return ""


def _leave(world: World, users: list[Object]) -> Plan:
    item = world.object
    if users:
        names = ", ".join(user.key.name for user in users)
        return Plan(
            world.status(
                "Terminating",
                [
                    Condition("Ready", "False", "Terminating", "the class is being deleted"),
                    Condition("InUse", "True", "VirtualMachineClassInUse", f"used by {names}"),
                ],
                {},
            ),
            waits_for=tuple(user.key for user in users),
        )
    return Plan(world.status("Terminating", [], {}), (ForgetObject(item.key, item.uid),), settled=False)
