"""Which addresses machines may have, and which one a machine gets: arithmetic on `virtualMachineCIDRs`.

Nothing here is remembered or random: an address and a MAC follow from a uid and from what is taken.
"""

from __future__ import annotations

import hashlib
from functools import cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from itertools import pairwise
from typing import TYPE_CHECKING

from vmctl.errors import ChangeRefused

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

_LONGEST_PREFIX = 30  # network, gateway, one machine, broadcast
_MAC_PREFIX = "52:54:00"  # the locally administered range that QEMU and libvirt use
_MAC_HASHED_BYTES = 3
_MAC_TRIES = 1 << 16
_WHERE = "virtualMachineCIDRs"
_UNUSABLE = {
    "is_loopback": "is the host's loopback",
    "is_multicast": "is for multicast",
    "is_link_local": "is link-local",
    "is_unspecified": "is not a range of addresses",
    "is_reserved": "is reserved by IANA",
}


@cache
def parsed(cidr: str) -> IPv4Network:
    """A range that machines can live in; raises ChangeRefused saying what is wrong with it."""
    if ":" in cidr:
        raise ChangeRefused(f"{_WHERE}: {cidr} is IPv6", remedy="name an IPv4 range, such as 10.66.0.0/16")
    try:
        network = IPv4Network(cidr, strict=False)
        base = IPv4Address(cidr.partition("/")[0])
    except (AddressValueError, NetmaskValueError) as error:
        remedy = "write it as address/length, such as 10.66.0.0/16"
        raise ChangeRefused(f"{_WHERE}: {cidr!r} is no IPv4 range: {error}", remedy=remedy) from error
    if base != network.network_address:
        raise ChangeRefused(f"{_WHERE}: {cidr} has bits beyond its length", remedy=f"write {network}")
    if network.prefixlen > _LONGEST_PREFIX:
        raise ChangeRefused(
            f"{_WHERE}: {cidr} has no room for a machine: its first and last address are unusable, one is the gateway",
            remedy=f"use /{_LONGEST_PREFIX} or larger",
        )
    for attribute, what in _UNUSABLE.items():
        if getattr(network, attribute) or getattr(base, attribute):
            raise ChangeRefused(f"{_WHERE}: {cidr} {what}", remedy="use a private range, such as 10.66.0.0/16")
    return network


@cache
def checked(cidrs: tuple[str, ...]) -> tuple[IPv4Network, ...]:
    """All ranges, none of which overlaps with another; raises ChangeRefused naming the two that do."""
    networks = tuple(parsed(cidr) for cidr in cidrs)
    ordered = sorted(networks)
    for one, next_one in pairwise(ordered):
        if one.overlaps(next_one):
            raise ChangeRefused(f"{_WHERE}: {one} and {next_one} overlap", remedy="keep the larger of the two")
    return networks


def gateway(network: IPv4Network) -> str:
    """The host's own address in a range: the first usable one."""
    return str(network[1])


def allocate(cidrs: Sequence[str], taken: Container[str], seed: str) -> str:
    """The address for a seed that is not taken; empty when all are. The same seed finds the same address while it is
    free.

    Seeds spread over the ranges, so that an address which was given up is seldom the next one given out.
    Raises ChangeRefused for ranges that cannot be used.
    """
    networks = checked(tuple(cidrs))
    rooms = [network.num_addresses - 3 for network in networks]  # all but the first, the gateway's and the last
    total = sum(rooms)
    start = int.from_bytes(_digest(seed, 8))
    for step in range(total):
        offset = (start + step) % total
        for network, room in zip(networks, rooms, strict=True):
            if offset < room:
                found = str(network[offset + 2])
                break
            offset -= room
        if found not in taken:
            return found
    return ""


def mac_for(uid: str, nic: str, taken: Container[str] = frozenset()) -> str:
    """The hardware address of a machine's interface, lower case; another one where the first would be taken."""
    for attempt in range(_MAC_TRIES):
        tail = _digest(f"{uid}/{nic}/{attempt}" if attempt else f"{uid}/{nic}", _MAC_HASHED_BYTES)
        found = f"{_MAC_PREFIX}:{tail.hex(':')}"
        if found not in taken:
            return found
    raise ChangeRefused("every hardware address that was tried is taken", remedy="remove machines that are not needed")


def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=size).digest()
