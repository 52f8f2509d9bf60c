"""A sweep over all domains of a host, as cheap as libvirt's own listing: nothing is parsed."""

from __future__ import annotations

import hashlib
from typing import Any

import libvirt

from vmctl.hypervisor.ownership import owner_in
from vmctl.hypervisor.power import power_of
from vmctl.planning.observed import Listed

_GONE = libvirt.VIR_ERR_NO_DOMAIN


def sweep(connection: Any, installation: str) -> dict[str, Listed]:
    """List the domains of one installation by uid: one bulk call for the states, then libvirt's text of each."""
    found: dict[str, Listed] = {}
    transient, saved = (
        {domain.UUIDString() for domain in connection.listAllDomains(which)}
        for which in (libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
    )
    for domain, stats in connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
        try:
            state, reason = stats["state.state"], stats["state.reason"]
            documents = texts(domain, active=is_active(state), persistent=domain.UUIDString() not in transient)
        except libvirt.libvirtError as error:
            if error.get_error_code() == _GONE:
                continue
            raise
        uid = domain.UUIDString()
        if owner_in(documents[1] or documents[0]) == (installation, uid):  # a clone carries the uid of its original
            digest = fingerprint(state, reason, *documents, saved=uid in saved)
            found[uid] = Listed(uid, domain.name(), power_of(state), digest)
    return found


def is_active(state: int) -> bool:
    """Tell whether a domain in that state has a QEMU."""
    return power_of(state) != "off"


def texts(domain: Any, *, active: bool, persistent: bool) -> tuple[str, str]:
    """Read the live and the inactive document, each empty where there is none."""
    if not active:
        return "", domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    live = domain.XMLDesc(0)
    return live, domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) if persistent else ""


def fingerprint(state: int, reason: int, live: str, inactive: str, *, saved: bool) -> str:
    """Digest all that libvirt says about a domain; `saved`: its memory is on disk."""
    digest = hashlib.blake2b(f"{state} {reason} {saved}\n".encode(), digest_size=16)
    digest.update(live.encode())
    digest.update(b"\0")
    digest.update(inactive.encode())
    return digest.hexdigest()
