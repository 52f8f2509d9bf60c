"""The managed NAT network: made once, left alone when it is as described, refused where its addresses are taken.

Reservations do not pass through libvirt: its dnsmasq reads a directory of files, one per machine, which
`vmctl.network` writes.
"""

from __future__ import annotations

import logging
import re
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from vmctl.errors import Busy, Exists, Rejected, Unsupported
from vmctl.hypervisor.failures import translate, translated
from vmctl.hypervisor.trees import attribute_at, node, parse, serialise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree import ElementTree as ET

    from vmctl.planning.observed import NatNetwork

_log = logging.getLogger(__name__)
_ROUTES = Path("/proc/net/route")
_DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"
# An address stays with its machine for ten minutes after the machine is gone. With the same term here, dnsmasq has
# forgotten it by then.
_LEASE = "10m"
PREFIX = "vmctl-"  # of the names of networks that vmctl makes
_HOSTS = re.compile(r"dhcp-hostsdir=.*/hosts")
_IN_USE = re.compile(r"already in use by interface (\S+)")


def render(network: NatNetwork) -> ET.Element:
    """Write the network's document.

    The range is static, so dnsmasq serves reserved addresses only: a libvirt `<range>` of one address would allow a
    single lease. STP would hold back a guest's first DHCP requests for seconds.
    """
    cidr = ip_network(network.cidr)
    options = (
        f"dhcp-range={cidr.network_address},static,{cidr.netmask},{_LEASE}",
        f"dhcp-lease-max={min(cidr.num_addresses, 65000)}",
        "dhcp-authoritative",
        "no-ping",
        f"dhcp-option=3,{network.gateway}",
        f"dhcp-hostsdir={network.directory}/hosts",
        f"hostsdir={network.directory}/names",
    )
    return node(
        "network",
        node("name", text=network.name),
        node("uuid", text=network.uuid),
        node("forward", mode="nat"),
        node("bridge", name=network.bridge, stp="off", delay="0"),
        node("domain", name=network.dns_domain, localOnly="yes"),
        node("ip", address=network.gateway, prefix=str(cidr.prefixlen)),
        node(f"{{{_DNSMASQ}}}options", *(node(f"{{{_DNSMASQ}}}option", value=option) for option in options)),
    )


def ensure(connection: Any, network: NatNetwork, *, local: bool) -> None:
    """Define and start the network. Idempotent. Raises Rejected, Exists or Unsupported; see the contract.

    One that runs with other parameters is made anew when no machine is on it, because guests lose their place on a
    network that is stopped. Otherwise a change of its addresses is Busy, and any other waits in the definition for its
    next start.
    """
    wanted = render(network)
    present = _find(connection, network.uuid)
    running = parse(present.XMLDesc(0)) if present is not None and present.isActive() else None
    if running is not None and _signature(running) == _signature(wanted):
        return
    _refuse_overlap(connection, network, local=local)
    try:
        if present is None or _signature(_inactive(present)) != _signature(wanted):
            present = connection.networkDefineXML(serialise(wanted))
        if running is not None:
            if _in_use(present):
                _refuse_to_move(network, running, wanted)
                return
            present.destroy()
        present.setAutostart(1)
        present.create()
    except libvirt.libvirtError as error:
        if present is not None and not present.isActive():
            _undefine_quietly(present)
        raise _explain(error, network) from error


def remove(connection: Any, uuid: str) -> None:
    """Stop and undefine a network; nothing when it is gone."""
    with translated("remove network", uuid):
        present = _find(connection, uuid)
        if present is None:
            return
        if present.isActive():
            present.destroy()
        if present.isPersistent():
            present.undefine()


def _find(connection: Any, uuid: str) -> Any:
    try:
        return connection.networkLookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
            return None
        raise translate(error, "look up network", uuid) from error


def _inactive(present: Any) -> ET.Element:
    two_sided = present.isPersistent() and present.connect().getType() != "TEST"  # libvirt's test driver has one side
    return parse(present.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE if two_sided else 0))


def _in_use(present: Any) -> bool:
    """Whether a machine is on a network; of one that cannot tell it is assumed."""
    try:
        return bool(present.listAllPorts())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return True
        raise


def _signature(root: ET.Element) -> tuple[object, ...]:
    """Take what we decide about a network from its document, in a form that libvirt's rewriting does not change."""
    ips = tuple((ip.get("address"), _network_of(ip)) for ip in root.iterfind("./ip"))
    bridge = attribute_at(root, "./bridge", "name"), attribute_at(root, "./bridge", "stp")
    options = tuple(option.get("value") for option in root.iterfind(f"./{{{_DNSMASQ}}}options/{{{_DNSMASQ}}}option"))
    return attribute_at(root, "./forward", "mode"), bridge, attribute_at(root, "./domain", "name"), ips, options


def _refuse_overlap(connection: Any, network: NatNetwork, *, local: bool) -> None:
    wanted = IPv4Network(network.cidr)
    with translated("list the networks of", "the host"):
        others = [parse(other.XMLDesc(0)) for other in connection.listAllNetworks(0)]
    for other in others:
        name, uuid = other.findtext("./name", ""), other.findtext("./uuid", "")
        if uuid == network.uuid:
            continue
        if name == network.name:
            raise Exists(
                f"a libvirt network named {name} is there already (uuid {uuid}) and is not ours",
                remedy=f"remove it (`virsh net-undefine {name}`)",
                operation="make",
                subject=network.name,
            )
        for ip in other.iterfind("./ip"):
            taken = _network_of(ip)
            if taken is not None and taken.overlaps(wanted) and not _gave_way(connection, other):
                raise _overlap(network, f"libvirt network {name} ({taken})")
    for interface, taken in _routes() if local else ():
        if interface != network.bridge and taken.overlaps(wanted):
            raise _overlap(network, f"the host's interface {interface} ({taken})")


def _gave_way(connection: Any, other: ET.Element) -> bool:
    """Remove a network that another installation of vmctl left behind; one that a machine is on stays.

    Whoever it belongs to makes it again with the next start of a machine, so nothing is lost but an idle bridge.
    """
    options = [option.get("value", "") for option in other.iterfind(f"./{{{_DNSMASQ}}}options/{{{_DNSMASQ}}}option")]
    ours = other.findtext("./name", "").startswith(PREFIX) and any(_HOSTS.fullmatch(option) for option in options)
    if not ours:
        return False
    uuid = other.findtext("./uuid", "")
    with translated("look at network", other.findtext("./name", "")):
        present = connection.networkLookupByUUIDString(uuid)
        if present.isActive() and present.listAllPorts():
            return False
    _log.info("removing network %s: no machine is on it, and its addresses are wanted", other.findtext("./name", ""))
    remove(connection, uuid)
    return True


def _overlap(network: NatNetwork, other: str) -> Rejected:
    return Rejected(
        f"cannot make network {network.name}: its addresses {network.cidr} overlap with {other}",
        remedy="choose another range in the ModuleConfig `virtualization`, settings.virtualMachineCIDRs",
        operation="make",
        subject=network.name,
    )


def _network_of(ip: ET.Element) -> IPv4Network | None:
    address = ip.get("address", "")
    if not address or ":" in address:
        return None
    return IPv4Network(f"{address}/{ip.get('prefix') or ip.get('netmask') or '32'}", strict=False)


def _routes(table: Path = _ROUTES) -> Iterator[tuple[str, IPv4Network]]:
    """Read the kernel's IPv4 routes, which name every network the host is on; the default route is none."""
    try:
        lines = table.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return  # no IPv4 here
    for line in lines:
        interface, destination, *rest = line.split()
        mask = rest[5]
        if mask != "00000000":
            network, netmask = (int.from_bytes(bytes.fromhex(text), "little") for text in (destination, mask))
            yield interface, IPv4Network((network, netmask.bit_count()))


def _refuse_to_move(network: NatNetwork, running: ET.Element, wanted: ET.Element) -> None:
    """Raise Busy when guests on the network would have to change their addresses."""
    now, then = ([ip.attrib for ip in root.iterfind("./ip")] for root in (running, wanted))
    if now != then:
        raise Busy(
            f"network {network.name} cannot move to {network.cidr}: machines are running on it",
            remedy="stop them first; it is tried again",
            operation="make",
            subject=network.name,
        )
    _log.info("network %s runs with older parameters until its machines are stopped", network.name)


def _undefine_quietly(present: Any) -> None:
    try:
        present.undefine()
    except libvirt.libvirtError:
        _log.debug("the network that could not be started stays defined", exc_info=True)


def _explain(error: Any, network: NatNetwork) -> Exception:
    words = error.get_error_message() or ""
    if found := _IN_USE.search(words):
        return _overlap(network, f"the host's interface {found[1]}")
    if error.get_error_code() in (libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_ERR_OPERATION_DENIED):
        return Unsupported(
            f"cannot make network {network.name}: {words}",
            remedy="run as a user who may manage networks, or leave the machine on user-mode networking",
            operation="make",
            subject=network.name,
        )
    return translate(error, "make network", network.name)
