"""VirtualMachineMACAddressLease: who holds a hardware address."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Managed, Resource, Spec
from vmctl.resources.policies import at_once
from vmctl.resources.units import Label, Name


class MacRef(Spec):
    """The VirtualMachineMACAddress that holds the lease."""

    name: Annotated[Name, Managed("Its name.", at_once(), seen_at="store:spec")]
    namespace: Annotated[Label, Managed("Its namespace.", at_once(), seen_at="store:spec")]


class VirtualMachineMACAddressLeaseSpec(Spec):
    """Who holds the address."""

    virtual_machine_mac_address_ref: Annotated[
        MacRef | None,
        Field(alias="virtualMachineMACAddressRef"),
        Managed("Who holds the address.", at_once(), seen_at="store:spec"),
    ] = None


class VirtualMachineMACAddressLease(Resource):
    """A hardware address that is taken. vmctl makes and removes leases itself."""

    namespaced = False

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineMACAddressLease"]
    spec: Annotated[
        VirtualMachineMACAddressLeaseSpec, Managed("Who holds the address.", at_once(), seen_at="store:spec")
    ] = VirtualMachineMACAddressLeaseSpec()
