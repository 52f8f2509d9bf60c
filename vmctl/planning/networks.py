"""Which managed network an address lies in."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmctl.planning.observed import NatNetwork


def network_of(address: str, networks: Iterable[NatNetwork]) -> NatNetwork | None:
    """The network whose range holds the address; None without an address or a network."""
    if not address:
        return None
    wanted = ipaddress.ip_address(address)
    return next((network for network in networks if wanted in ipaddress.ip_network(network.cidr)), None)
