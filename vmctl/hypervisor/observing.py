"""Reading one domain, with both of its documents parsed."""

from __future__ import annotations

from typing import Any

import libvirt

from vmctl.hypervisor import documents
from vmctl.hypervisor.devices import AGENT_CHANNEL, alias_of, is_ours
from vmctl.hypervisor.ownership import owner_in
from vmctl.hypervisor.power import power_of, reason_of
from vmctl.hypervisor.sweeping import fingerprint, is_active, texts
from vmctl.hypervisor.trees import attribute_at, parse
from vmctl.planning.observed import SAVED, Domain

_GONE = libvirt.VIR_ERR_NO_DOMAIN


def observe(connection: Any, domain: Any, installation: str) -> Domain | None:
    """Read one domain; None where it is not ours, or gone by now."""
    try:
        state, reason = domain.state()
        live, inactive = texts(domain, active=is_active(state), persistent=bool(domain.isPersistent()))
        sizes = _block_sizes(connection, domain) if live else {}
        saved = bool(domain.hasManagedSaveImage(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == _GONE:
            return None
        raise
    uid = domain.UUIDString()
    if owner_in(inactive or live) != (installation, uid):
        return None
    running, defined = parse(live) if live else None, parse(inactive) if inactive else None
    aliases = {
        attribute_at(disk, "./target", "dev"): alias_of(disk)
        for disk in (running.iterfind("./devices/disk") if running is not None else ())
        if is_ours(disk)
    }
    agent = f"./devices/channel/target[@name='{AGENT_CHANNEL}']"
    return Domain(
        uid=uid,
        domain=domain.name(),
        power=power_of(state),
        power_reason=_reason(state, reason, saved=saved),
        running=None if running is None else documents.parse(running, live=True),
        defined=None if defined is None else documents.parse(defined),
        agent_connected=running is not None and attribute_at(running, agent, "state") == "connected",
        block_sizes={aliases[target]: size for target, size in sizes.items() if target in aliases},
        fingerprint=fingerprint(state, reason, live, inactive, saved=saved),
    )


def _reason(state: int, reason: int, *, saved: bool) -> str:
    """Why a domain is in its state. Whether memory is saved is asked: libvirt forgets that reason when it restarts,
    and keeps it when what was saved is removed.
    """
    if saved and not is_active(state):
        return SAVED
    told = reason_of(state, reason)
    return told if told != SAVED else "unknown"


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
