"""libvirt's numbers for the state of a domain, as words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libvirt

if TYPE_CHECKING:
    from vmctl.planning.observed import Power

_POWER: dict[int, Power] = {
    libvirt.VIR_DOMAIN_NOSTATE: "off",
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "stopping",
    libvirt.VIR_DOMAIN_SHUTOFF: "off",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "paused",
}
_PREFIXES = {
    libvirt.VIR_DOMAIN_RUNNING: "VIR_DOMAIN_RUNNING_",
    libvirt.VIR_DOMAIN_BLOCKED: "VIR_DOMAIN_BLOCKED_",
    libvirt.VIR_DOMAIN_PAUSED: "VIR_DOMAIN_PAUSED_",
    libvirt.VIR_DOMAIN_SHUTDOWN: "VIR_DOMAIN_SHUTDOWN_",
    libvirt.VIR_DOMAIN_SHUTOFF: "VIR_DOMAIN_SHUTOFF_",
    libvirt.VIR_DOMAIN_CRASHED: "VIR_DOMAIN_CRASHED_",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "VIR_DOMAIN_PMSUSPENDED_",
}
# The binding has the reasons as constants only: VIR_DOMAIN_SHUTOFF_CRASHED is the word "crashed" of the state SHUTOFF.
_REASONS: dict[tuple[int, int], str] = {
    (state, value): name.removeprefix(prefix).lower().replace("_", " ")
    for state, prefix in _PREFIXES.items()
    for name, value in vars(libvirt).items()
    if name.startswith(prefix) and isinstance(value, int)
}


def power_of(state: int) -> Power:
    """Name a state; a state of a newer libvirt counts as running, so that nobody starts the machine twice."""
    return _POWER.get(state, "running")


def reason_of(state: int, reason: int) -> str:
    """Name why a domain is in its state, in lower case: booted, shutdown, destroyed, crashed, failed, ioerror."""
    return _REASONS.get((state, reason), "unknown")
