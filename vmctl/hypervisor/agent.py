"""What the guest agent tells about the guest, in one call that ends in time."""

from __future__ import annotations

from typing import Any

import libvirt

from vmctl.hypervisor.failures import translate
from vmctl.planning.observed import Guest

_CORES_TIMEOUT_S = 4
_ASKED = (
    libvirt.VIR_DOMAIN_GUEST_INFO_OS | libvirt.VIR_DOMAIN_GUEST_INFO_HOSTNAME | libvirt.VIR_DOMAIN_GUEST_INFO_INTERFACES
)
# No agent, an agent that hangs, one that lacks a command, a guest that is off or just gone: all of them mean "it does
# not say".
_SILENT = {
    getattr(libvirt, name)
    for name in (
        "VIR_ERR_AGENT_UNRESPONSIVE",
        "VIR_ERR_AGENT_UNSYNCED",
        "VIR_ERR_AGENT_COMMAND_TIMEOUT",
        "VIR_ERR_AGENT_COMMAND_FAILED",
        "VIR_ERR_ARGUMENT_UNSUPPORTED",
        "VIR_ERR_OPERATION_UNSUPPORTED",
        "VIR_ERR_OPERATION_INVALID",
        "VIR_ERR_OPERATION_TIMEOUT",
        "VIR_ERR_NO_SUPPORT",
        "VIR_ERR_NO_DOMAIN",
        "VIR_ERR_INTERNAL_ERROR",
    )
    if hasattr(libvirt, name)
}


def ask(domain: Any, timeout_s: int) -> Guest | None:
    """Ask the agent of a running domain; None when it does not answer within about `timeout_s` seconds."""
    try:
        limit(domain, timeout_s)
        return read(domain.guestInfo(_ASKED, 0))
    except libvirt.libvirtError as error:
        if error.get_error_code() in _SILENT and error.get_error_domain() != libvirt.VIR_FROM_RPC:
            return None
        raise translate(error, "ask the guest agent of", domain.name()) from error


def limit(domain: Any, timeout_s: int) -> None:
    """Let no call through the agent of this domain take longer; libvirt's own limit is none for some of them."""
    # libvirt waits once for the agent to come in step and once for its answer.
    try:
        domain.agentSetResponseTimeout(max(1, timeout_s // 2), 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:  # a driver without agents
            raise


def cores(domain: Any) -> tuple[list[int], list[int]]:
    """Ask which cores the guest uses, and which it has and does not use. Raises libvirtError where no agent answers."""
    limit(domain, _CORES_TIMEOUT_S)
    told = domain.guestVcpus(0)
    if told is None:  # the binding (9.0) raises nothing when it fails
        raise libvirt.libvirtError("guestVcpus() failed")
    online = _numbers(told.get("online", ""))
    return online, [number for number in _numbers(told.get("vcpus", "")) if number not in online]


def bring_online(domain: Any, wanted: int) -> int:
    """Let the guest use more of the cores it has, up to `wanted`; return how many it uses. Raises libvirtError."""
    online, idle = cores(domain)
    more = idle[: max(wanted - len(online), 0)]
    if more:
        domain.setGuestVcpus(",".join(map(str, more)), 1, 0)
        online, _idle = cores(domain)
    return len(online)


def _numbers(ranges: str) -> list[int]:
    """Read `0-2,4` as 0, 1, 2, 4."""
    found: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def read(info: dict[str, Any]) -> Guest | None:
    """Read libvirt's flat answer (`os.pretty-name`, `if.0.addr.1.addr` …); None where the agent said nothing at all."""
    if not info:
        return None
    facts = {key.removeprefix("os."): str(value) for key, value in info.items() if key.startswith("os.")}
    addresses: dict[str, list[str]] = {}
    for number in range(int(info.get("if.count", 0))):
        mac = str(info.get(f"if.{number}.hwaddr", "")).lower()
        if not mac or mac == "00:00:00:00:00:00":
            continue
        count = int(info.get(f"if.{number}.addr.count", 0))
        found = (str(info.get(f"if.{number}.addr.{index}.addr", "")) for index in range(count))
        addresses.setdefault(mac, []).extend(address for address in found if address)
    return Guest(
        os={_camel(key): value for key, value in facts.items()},
        hostname=str(info.get("hostname", "")),
        addresses={mac: tuple(found) for mac, found in addresses.items()},
    )


def _camel(key: str) -> str:
    first, *rest = key.split("-")
    return first + "".join(word.capitalize() for word in rest)
