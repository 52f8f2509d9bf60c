"""Making dnsmasq forget who has an address, so that another machine can have it at once.

dnsmasq reads a changed reservation only when told to, and does not hand out an address that someone else still leases.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

import libvirt

from vmctl.errors import Unsupported
from vmctl.hypervisor.failures import translated
from vmctl.hypervisor.trees import node, serialise

if TYPE_CHECKING:
    from vmctl.planning.observed import NatNetwork

_MAGIC_COOKIE = bytes((99, 130, 83, 99))
_MESSAGE_TYPE, _RELEASE, _SERVER_ID, _END = 53, 7, 54, 255
_BOOTREQUEST, _ETHERNET, _MAC_BYTES = 1, 1, 6
_SERVER_PORT = 67


def forget(connection: Any, network: NatNetwork, address: str, mac: str) -> None:
    """Make the network's dnsmasq read its directories anew and drop the lease of `address` to `mac`. Idempotent.

    Call it when the old reservation's file is gone and before the new one is written. Raises Unsupported where the
    network's bridge is not on this machine, or we may not send on it: the lease then ends by itself after ten minutes.
    """
    reread(connection, network)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            # dnsmasq goes by the interface that a packet comes in on, so it has to leave through the bridge.
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, network.bridge.encode() + b"\0")
            sender.sendto(release(address, mac, network.gateway), (network.gateway, _SERVER_PORT))
    except OSError as error:
        raise Unsupported(
            f"cannot release {address} on {network.bridge}: {error.strerror}",
            remedy="the address is free for another machine after ten minutes",
            operation="release",
            subject=address,
        ) from error


def reread(connection: Any, network: NatNetwork) -> None:
    """Make the network's dnsmasq read its directories anew.

    libvirt signals it after a change of the network's DNS: one that comes and goes, because only libvirt knows the
    process. Where a killed process left it behind, it only goes.
    """
    host = serialise(node("host", node("hostname", text="reread.invalid"), ip=network.gateway))
    live, section = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE, libvirt.VIR_NETWORK_SECTION_DNS_HOST
    with translated("refresh network", network.name):
        present = connection.networkLookupByUUIDString(network.uuid)
        try:
            present.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, section, -1, host, live)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                raise
        present.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, section, -1, host, live)


def release(address: str, mac: str, server: str) -> bytes:
    """Write the DHCPRELEASE that a client would send (RFC 2131, section 4.4.6; options of RFC 2132)."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    transaction = struct.unpack("!I", hardware[-4:])[0]
    head = struct.pack("!BBBBIHH", _BOOTREQUEST, _ETHERNET, _MAC_BYTES, 0, transaction, 0, 0)
    addresses = socket.inet_aton(address) + bytes(12)  # ciaddr; yiaddr, siaddr and giaddr stay empty
    options = bytes((_MESSAGE_TYPE, 1, _RELEASE)) + bytes((_SERVER_ID, 4)) + socket.inet_aton(server)
    return head + addresses + hardware.ljust(16, b"\0") + bytes(64 + 128) + _MAGIC_COOKIE + options + bytes((_END,))
