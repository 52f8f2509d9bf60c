"""The managed NAT network of an address range: its names and its place follow from the range and the installation."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

from vmctl.network.addresses import gateway, parsed
from vmctl.planning.observed import NatNetwork

if TYPE_CHECKING:
    from pathlib import Path

# Version 5 uuids need a name space; this one is ours for good: changing it would make every network a new one.
_NAMES = uuid.UUID("c0a5d1b2-6f0e-4a57-9d0b-3a6f2f0f7c11")


def nat_network(cidr: str, installation: str, state_dir: Path) -> NatNetwork:
    """The network for a range, the same one at every call. Raises ChangeRefused for a range that cannot be used."""
    network = parsed(cidr)
    identity = f"{installation}/{network}"
    mark = hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()
    name = f"vmctl-{mark}"
    return NatNetwork(
        name=name,
        uuid=str(uuid.uuid5(_NAMES, identity)),
        bridge=f"vbr-{mark}",  # a device name has 15 characters at most
        cidr=str(network),
        gateway=gateway(network),
        directory=str(state_dir / "networks" / name),
    )
