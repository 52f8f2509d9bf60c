"""The rules of VirtualMachineIPAddress and its Lease: an address is leased once, bound, attached while a machine has
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.planning.conditions import Condition, seconds, timestamp
from vmctl.planning.plans import Plan, World
from vmctl.planning.steps import CreateObject, ForgetObject
from vmctl.resources import registry
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from vmctl.planning.objects import Object

KEPT_S = 600.0  # how long a released address stays with its namespace: as long as leases last


def own_address(machine: Object) -> Key:
    """The address object that is made for a machine which names none: `<machine>-<five characters of its uid>`."""
    return Key(
        "VirtualMachineIPAddress", machine.key.namespace, f"{machine.key.name[:57]}-{machine.uid.replace('-', '')[:5]}"
    )


def address_document(machine: Object) -> dict[str, Any]:
    """The object of `own_address`, owned by the machine so that it goes with it."""
    key = own_address(machine)
    kind = registry.BY_NAME[key.kind]
    return {
        "apiVersion": kind.api_version,
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "ownerReferences": [
                {
                    "apiVersion": registry.BY_NAME["VirtualMachine"].api_version,
                    "kind": "VirtualMachine",
                    "name": machine.key.name,
                    "uid": machine.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {"type": "Auto"},
    }


def lease_of(item: Object, world: World) -> Object | None:
    """The lease that names an address object."""
    for lease in world.objects.of_kind("VirtualMachineIPAddressLease"):
        ref = (lease.document.get("spec") or {}).get("virtualMachineIPAddressRef") or {}
        if (ref.get("namespace"), ref.get("name")) == (item.key.namespace, item.key.name):
            return lease
    return None


def address(lease: Object) -> str:
    """The address that a lease is named after."""
    return lease.key.name.removeprefix("ip-").replace("-", ".")


def plan(world: World, candidate: str) -> Plan:
    """An address object: get a lease (`candidate` is the address a new one would have), then follow the machine."""
    item = world.object
    if item.terminating:
        return Plan({**item.status}, (ForgetObject(item.key, item.uid),), settled=False)
    lease = lease_of(item, world)
    if lease is None:
        if not candidate:
            reason, why = "VirtualMachineIPAddressIsOutOfTheValidRange", "every address of virtualMachineCIDRs is taken"
            return Plan(world.status("Pending", [Condition("Bound", "False", reason, why)]))
        made = Condition("Bound", "False", "VirtualMachineIPAddressLeaseNotReady", "the lease is being made")
        step = CreateObject(lease_key(candidate), lease_document(candidate, item))
        return Plan(world.status("Pending", [made]), (step,), settled=False)
    machine = _owner(item, world)
    bound = Condition("Bound", "True", "Bound")
    extra: dict[str, Any] = {"address": address(lease)}
    if machine is None:
        return Plan(
            world.status(
                "Bound",
                [bound, Condition("Attached", "False", "VirtualMachineNotFound", "no machine has this address")],
                extra,
            )
        )
    return Plan(
        world.status(
            "Attached",
            [bound, Condition("Attached", "True", "Attached")],
            {**extra, "virtualMachineName": machine.key.name},
        )
    )


def plan_lease(world: World) -> Plan:
    """A lease: bound while its address object is there; kept ten minutes after that, then gone."""
    item = world.object
    ref = (item.document.get("spec") or {}).get("virtualMachineIPAddressRef") or {}
    holder = world.objects.get(Key("VirtualMachineIPAddress", ref.get("namespace", ""), ref.get("name", "")))
    if holder is not None and not item.terminating:
        return Plan(world.status("Bound", [Condition("Bound", "True", "Bound")], {}))
    since = released_at(item, world.now)
    if item.terminating or world.now >= since + KEPT_S:
        return Plan({**item.status}, (ForgetObject(item.key, item.uid),), settled=False)
    status = world.status(
        "Released",
        [Condition("Bound", "False", "Released", "the address object is gone")],
        {"releasedAt": timestamp(since)},
    )
    return Plan(status, look_again=since + KEPT_S)


def released_at(lease: Object, now: float) -> float:
    """When the address of a lease was given back; `now` when nobody has noted it yet."""
    return seconds(str(lease.status["releasedAt"])) if "releasedAt" in lease.status else now


def lease_key(address: str) -> Key:
    return Key("VirtualMachineIPAddressLease", "", f"ip-{address.replace('.', '-')}")


def lease_document(address: str, item: Object) -> dict[str, Any]:
    """The lease of an address for an address object."""
    key = lease_key(address)
    return {
        "apiVersion": registry.BY_NAME[key.kind].api_version,
        "kind": key.kind,
        "metadata": {"name": key.name},
        "spec": {"virtualMachineIPAddressRef": {"name": item.key.name, "namespace": item.key.namespace}},
    }


def _owner(item: Object, world: World) -> Object | None:
    return next(
        (
            machine
            for machine in world.objects.of_kind("VirtualMachine", item.key.namespace)
            if machine.uid in item.owners or machine.status.get("virtualMachineIPAddressName") == item.key.name
        ),
        None,
    )
