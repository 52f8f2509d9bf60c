"""VirtualMachineIPAddressLease: who holds an address of the pool."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Fault, Managed, Resource, Spec
from vmctl.resources.policies import at_once
from vmctl.resources.units import Label, Name

if TYPE_CHECKING:
    from collections.abc import Iterator


class AddressRef(Spec):
    """The VirtualMachineIPAddress that holds the lease."""

    name: Annotated[Name, Managed("Its name.", at_once(), seen_at="store:spec")]
    namespace: Annotated[Label, Managed("Its namespace.", at_once(), seen_at="store:spec")]


class VirtualMachineIPAddressLeaseSpec(Spec):
    """Who holds the address."""

    virtual_machine_ip_address_ref: Annotated[
        AddressRef | None,
        Field(alias="virtualMachineIPAddressRef"),
        Managed("Who holds the address; nobody once it is released.", at_once(), seen_at="store:spec"),
    ] = None


def lease_name(address: str) -> str:
    """The name of the lease of an IPv4 address: `ip-10-66-10-2`."""
    return f"ip-{address.replace('.', '-')}"


def leased_address(name: str) -> str | None:
    """The address that a lease is named after; None if the name says none."""
    found = re.fullmatch(r"ip-(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})", name)
    try:
        return str(ipaddress.IPv4Address(".".join(found.groups()))) if found else None
    except ValueError:
        return None


def name_is_address(lease: VirtualMachineIPAddressLease) -> Iterator[Fault]:
    """A lease is named after its address."""
    name = lease.metadata.name
    if name and leased_address(name) is None:
        yield Fault(("metadata", "name"), "does not name an address; write ip-A-B-C-D, such as ip-10-66-10-2")


class VirtualMachineIPAddressLease(Resource):
    """An address of the pool that is taken. vmctl makes and removes leases itself."""

    namespaced = False
    checks = (*Resource.checks, name_is_address)

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineIPAddressLease"]
    spec: Annotated[
        VirtualMachineIPAddressLeaseSpec, Managed("Who holds the address.", at_once(), seen_at="store:spec")
    ] = VirtualMachineIPAddressLeaseSpec()
