"""VirtualMachineIPAddress: an address kept for a machine."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from vmctl.resources.declaring import Fault, Managed, Resource, Spec
from vmctl.resources.policies import Change, Effect, Facts, Rule, Verdict, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator


def _is_address(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise PydanticCustomError("text", "is no IPv4 address; write four numbers such as 10.66.20.77") from None
    return text


Address = Annotated[str, AfterValidator(_is_address)]
KEPT = refuse("an address stays what it is; make another one")


def _to_static(change: Change, facts: Facts) -> Verdict:
    keeps = (change.old, change.new) == ("Auto", "Static") or not facts.settled
    return Verdict(Effect.NONE) if keeps else KEPT.decide(change, facts)


def address_fits_type(spec: VirtualMachineIPAddressSpec) -> Iterator[Fault]:
    """Static names an address, Auto takes what is free."""
    if spec.type == "Static" and spec.static_ip is None:
        yield Fault(("staticIP",), "is missing; type Static needs the address")
    elif spec.type == "Auto" and spec.static_ip is not None:
        yield Fault(("staticIP",), "does not belong to type Auto; remove it, or set type to Static")


class VirtualMachineIPAddressSpec(Spec):
    """An address kept for a machine."""

    checks = (address_fits_type,)

    type: Annotated[
        Literal["Auto", "Static"],
        Managed(
            "Auto: any free address. Static: the one in staticIP.",
            Rule(
                "from Auto to Static at once, keeping the address; else never (an address stays what it is)", _to_static
            ),
            seen_at="store:spec",
        ),
    ]
    static_ip: Annotated[
        Address | None,
        Field(alias="staticIP"),
        Managed(
            "The address, inside one of the virtualMachineCIDRs.",
            Rule(
                "at once when it is the address that is held already; else never (an address stays what it is)",
                lambda change, facts: Verdict(Effect.NONE) if change.old is None else KEPT.decide(change, facts),
            ),
            seen_at="store:spec",
        ),
    ] = None


class VirtualMachineIPAddress(Resource):
    """An address kept for a machine, also while the machine is away."""

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualMachineIPAddress"]
    spec: VirtualMachineIPAddressSpec
