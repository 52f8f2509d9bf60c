"""Ranges, and what is chosen from them."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmctl.errors import ChangeRefused
from vmctl.network.addresses import allocate, checked, gateway, mac_for, parsed
from vmctl.network.networks import nat_network

RANGES = st.sampled_from([("10.66.0.0/16",), ("10.66.10.0/29", "192.168.200.0/30"), ("172.16.0.0/28", "10.0.0.0/8")])


@pytest.mark.parametrize(
    ("cidr", "message", "remedy"),
    [
        ("10.66.0.0/33", "no IPv4 range", "10.66.0.0/16"),
        ("10.66.0/16", "no IPv4 range", "address/length"),
        ("all", "no IPv4 range", "address/length"),
        ("10.66.10.1/16", "bits beyond its length", "write 10.66.0.0/16"),
        ("10.66.0.0/31", "no room for a machine", "/30"),
        ("10.66.0.7", "no room for a machine", "/30"),
        ("fd00::/64", "is IPv6", "IPv4"),
        ("127.0.0.0/8", "loopback", "private"),
        ("224.0.0.0/8", "multicast", "private"),
        ("169.254.0.0/16", "link-local", "private"),
        ("0.0.0.0/0", "not a range of addresses", "private"),
        ("240.0.0.0/8", "reserved", "private"),
    ],
)
def test_a_range_that_cannot_be_used_is_refused_with_the_reason(cidr: str, message: str, remedy: str) -> None:
    with pytest.raises(ChangeRefused, match=message) as refused:
        parsed(cidr)
    assert cidr in refused.value.message
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    "cidrs",
    [
        ("10.66.0.0/16", "10.66.0.0/16"),
        ("10.66.10.0/24", "192.168.0.0/24", "10.66.0.0/16"),
        ("10.0.0.0/8", "10.1.0.0/16", "10.200.0.0/16"),
    ],
)
def test_ranges_that_overlap_are_refused(cidrs: tuple[str, ...]) -> None:
    with pytest.raises(ChangeRefused, match="overlap"):
        checked(cidrs)
    with pytest.raises(ChangeRefused, match="overlap"):
        allocate(cidrs, set(), "uid")


@given(RANGES, st.text(max_size=8), st.integers(0, 3))
def test_an_address_is_usable_free_and_the_same_each_time(cidrs: tuple[str, ...], seed: str, others: int) -> None:
    taken = {allocate(cidrs, set(), f"other-{number}") for number in range(others)}
    found = allocate(cidrs, taken, seed)
    assert found == allocate(cidrs, taken, seed)
    assert found not in taken
    (network,) = [network for network in checked(cidrs) if IPv4Address(found) in network]
    assert found not in (str(network[0]), str(network[-1]), gateway(network))
    if allocate(cidrs, set(), seed) not in taken:
        assert found == allocate(cidrs, set(), seed)


def test_every_usable_address_is_given_once_and_then_none() -> None:
    cidrs = ("10.66.10.0/29", "192.168.200.0/30")
    taken: set[str] = set()
    for number in range(6):
        taken.add(allocate(cidrs, taken, f"uid-{number}"))
    assert taken == {f"10.66.10.{last}" for last in range(2, 7)} | {"192.168.200.2"}
    assert allocate(cidrs, taken, "one more") == ""


def test_seeds_spread_over_the_range() -> None:
    found = {allocate(("10.66.0.0/16",), set(), f"uid-{number}") for number in range(500)}
    assert len(found) > 490
    assert len({address.split(".")[2] for address in found}) > 150


def test_a_hardware_address_is_local_stable_and_moves_aside() -> None:
    first = mac_for("uid-1", "main")
    assert first == mac_for("uid-1", "main")
    assert first.startswith("52:54:00:")
    assert len(first) == 17
    assert len({first, mac_for("uid-2", "main"), mac_for("uid-1", "second")}) == 3
    second = mac_for("uid-1", "main", {first})
    third = mac_for("uid-1", "main", {first, second})
    assert len({first, second, third}) == 3


def test_choices_do_not_depend_on_the_process() -> None:
    code = (
        "from vmctl.network.addresses import *; print(allocate(['10.66.0.0/16'], set(), 'uid'), mac_for('uid', 'main'))"
    )
    known = f"{allocate(['10.66.0.0/16'], set(), 'uid')} {mac_for('uid', 'main')}\n"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == known


def test_a_network_follows_from_range_and_installation() -> None:
    network = nat_network("10.66.0.0/16", "installation-1", Path("/var/lib/vmctl"))
    assert network == nat_network("10.66.0.0/16", "installation-1", Path("/var/lib/vmctl"))
    assert (network.cidr, network.gateway, network.dns_domain) == ("10.66.0.0/16", "10.66.0.1", "vm.internal")
    assert network.directory == f"/var/lib/vmctl/networks/{network.name}"
    assert network.bridge.startswith("vbr-")
    assert len(network.bridge) <= 15
    others = [
        nat_network("10.67.0.0/16", "installation-1", Path("/var/lib/vmctl")),
        nat_network("10.66.0.0/16", "installation-2", Path("/var/lib/vmctl")),
    ]
    for field in ("name", "uuid", "bridge"):
        assert len({getattr(one, field) for one in (network, *others)}) == 3


def test_the_uuid_of_a_network_stays_for_good() -> None:
    """A changed uuid would make libvirt refuse the network that is there; so this is what it must remain."""
    network = nat_network("10.66.0.0/16", "11111111-1111-4111-8111-111111111111", Path("/var/lib/vmctl"))
    assert (network.uuid, network.bridge) == ("bd52beb8-2901-5fdd-aa02-2c2fd3f7868c", "vbr-f3f1a3b5")


def test_a_gateway_is_the_first_usable_address() -> None:
    assert gateway(IPv4Network("192.168.200.64/26")) == "192.168.200.65"
