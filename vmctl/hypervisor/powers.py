"""The power state of every domain in one call: what a listing needs to be true when no engine is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libvirt

from vmctl.hypervisor.failures import translated
from vmctl.hypervisor.power import power_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.observed import Power


def powers(uri: str) -> Mapping[str, Power]:
    """Power by uuid, of all domains, whoever made them. Raises HypervisorError."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    with translated("ask for the states of", "the machines"):
        connection = libvirt.openReadOnly(uri)
        try:
            listed = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
            return {domain.UUIDString(): power_of(facts.get("state.state", 0)) for domain, facts in listed}
        finally:
            connection.close()
