"""VirtualMachineMACAddress: a hardware address kept for a machine."""

from __future__ import annotations

from typing import Annotated, Literal

from vmctl.resources.declaring import Managed, Resource, Spec
from vmctl.resources.policies import refuse
from vmctl.resources.units import Text

Mac = Annotated[
    str,
    Text(r"^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$", "is no MAC address; write six pairs such as 52:54:00:12:34:56"),
]


class VirtualMachineMACAddressSpec(Spec):
    """A hardware address."""

    address: Annotated[
        Mac | None,
        Managed(
            "The address; left out, one is made.",
            refuse("an address stays what it is; make another one"),
            seen_at="store:spec",
            unset="keep",
            measure=lambda text: text.lower().replace("-", ":") if isinstance(text, str) else text,
        ),
    ] = None


class VirtualMachineMACAddress(Resource):
    """A hardware address kept for a machine, also while the machine is away."""

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineMACAddress"]
    spec: Annotated[
        VirtualMachineMACAddressSpec,
        Managed("A hardware address.", refuse("an address stays what it is; make another one"), seen_at="store:spec"),
    ] = VirtualMachineMACAddressSpec()
