"""Reading domains: a cheap sweep over all of them, and one of them with both of its documents parsed."""

from __future__ import annotations

import hashlib
from typing import Any

import libvirt

from vmctl.hypervisor import documents, metadata
from vmctl.hypervisor.devices import AGENT_CHANNEL, alias_of, is_ours
from vmctl.hypervisor.power import power_of, reason_of
from vmctl.hypervisor.trees import attribute_at, parse
from vmctl.planning.observed import Domain, Listed

_GONE = libvirt.VIR_ERR_NO_DOMAIN


def sweep(connection: Any, installation: str) -> dict[str, Listed]:
    """List the domains of one installation by uid: one bulk call for the states, then libvirt's text of each."""
    found: dict[str, Listed] = {}
    transient = {
        domain.UUIDString() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)
    }
    for domain, stats in connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
        try:
            state, reason = stats["state.state"], stats["state.reason"]
            texts = _texts(domain, active=_is_active(state), persistent=domain.UUIDString() not in transient)
        except libvirt.libvirtError as error:
            if error.get_error_code() == _GONE:
                continue
            raise
        owner = metadata.owner_in(texts[1] or texts[0])
        if owner is not None and owner[0] == installation:
            fingerprint = _fingerprint(state, reason, *texts)
            found[owner[1]] = Listed(owner[1], domain.name(), power_of(state), fingerprint)
    return found


def observe(connection: Any, domain: Any, installation: str) -> Domain | None:
    """Read one domain; None where it is not ours, or gone by now."""
    try:
        state, reason = domain.state()
        live, inactive = _texts(domain, active=_is_active(state), persistent=bool(domain.isPersistent()))
        sizes = _block_sizes(connection, domain) if live else {}
    except libvirt.libvirtError as error:
        if error.get_error_code() == _GONE:
            return None
        raise
    owner = metadata.owner_in(inactive or live)
    if owner is None or owner[0] != installation:
        return None
    running, defined = parse(live) if live else None, parse(inactive) if inactive else None
    aliases = {
        attribute_at(disk, "./target", "dev"): alias_of(disk)
        for disk in (running.iterfind("./devices/disk") if running is not None else ())
        if is_ours(disk)
    }
    agent = f"./devices/channel/target[@name='{AGENT_CHANNEL}']"
    return Domain(
        uid=owner[1],
        domain=domain.name(),
        power=power_of(state),
        power_reason=reason_of(state, reason),
        running=None if running is None else documents.parse(running, live=True),
        defined=None if defined is None else documents.parse(defined),
        agent_connected=running is not None and attribute_at(running, agent, "state") == "connected",
        block_sizes={aliases[target]: size for target, size in sizes.items() if target in aliases},
        fingerprint=_fingerprint(state, reason, live, inactive),
    )


def _is_active(state: int) -> bool:
    return power_of(state) != "off"


def _texts(domain: Any, *, active: bool, persistent: bool) -> tuple[str, str]:
    """Read the live and the inactive document, each empty where there is none."""
    if not active:
        return "", domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    live = domain.XMLDesc(0)
    return live, domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) if persistent else ""


def _fingerprint(state: int, reason: int, live: str, inactive: str) -> str:
    digest = hashlib.blake2b(f"{state} {reason}\n".encode(), digest_size=16)
    digest.update(live.encode())
    digest.update(b"\0")
    digest.update(inactive.encode())
    return digest.hexdigest()


def _block_sizes(connection: Any, domain: Any) -> dict[str, int]:
    """Ask QEMU how large each block device is for the guest, by target; nothing where a job keeps QEMU busy."""
    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    try:
        answers = connection.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_BLOCK, flags)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_ARG):
            return {}  # a driver without block statistics
        raise
    return {
        stats[f"block.{number}.name"]: stats[f"block.{number}.capacity"]
        for _domain, stats in answers
        for number in range(stats.get("block.count", 0))
        if f"block.{number}.capacity" in stats
    }
