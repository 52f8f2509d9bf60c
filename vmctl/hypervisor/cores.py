"""The cores of a running machine, and their guaranteed share.

Cores count when they are online inside the guest. One that the host has plugged in is not taken out again (libvirt's
unplug times out and leaves the guest with half of it), so the agent is asked first whether it will answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import libvirt

from vmctl.hypervisor import agent
from vmctl.hypervisor.processors import Processor, plugged_cores, render_shares
from vmctl.hypervisor.running import LIVE, note, read, refusing, rejected

if TYPE_CHECKING:
    from vmctl.hypervisor.running import Running
    from vmctl.hypervisor.waiting import Pace
    from vmctl.planning.hardware import Cpu

_CORES_PATIENCE_S = 10.0
_NO_AGENT = "install and start qemu-guest-agent in the guest, or restart the machine (`vmctl restart`)"


def set_cores(domain: Any, cores: int, pace: Pace) -> None:
    """Raise the number of cores and bring them online; see the contract."""
    doing = "add cores to"
    with refusing(domain, doing):
        running = read(domain, doing)
        cpu, most, plugged = running.hardware.cpu, running.hardware.most_cores, plugged_cores(running.root)
        if cores == cpu.cores:
            return
        if cores < plugged:
            raise rejected(domain, doing, f"it runs with {plugged} cores, and fewer come with a restart only")
        if cores > max(most, plugged):
            raise rejected(domain, doing, f"it was started with room for {max(most, plugged)} cores, not for {cores}")
        _ask_agent(domain, doing)
        note(domain, replace(running.record, processor=_processor(running, counted=cpu.cores)))
        if plugged < cores:
            domain.setVcpusFlags(cores, LIVE)
        _bring_online(domain, cores, doing, pace)
        wanted = cpu.with_cores(cores)
        if running.root.find("./cputune/shares") is not None:  # else the host has no cgroups for them
            _set_shares(domain, wanted)
        note(domain, replace(running.record, processor=_processor(running, counted=0)))


def set_core_fraction(domain: Any, percent: int) -> None:
    """Set the guaranteed share of each core; see the contract."""
    doing = "set the CPU share of"
    with refusing(domain, doing):
        running = read(domain, doing)
        if running.hardware.cpu.shares_percent == percent:
            return
        cpu = replace(running.hardware.cpu, shares_percent=percent)
        _set_shares(domain, cpu.with_cores(plugged_cores(running.root)))
        processor = _processor(running)
        note(domain, replace(running.record, processor=replace(processor, cpu=replace(cpu, shares_percent=percent))))


def _ask_agent(domain: Any, doing: str) -> None:
    try:
        agent.cores(domain)
    except libvirt.libvirtError as error:
        words = error.get_error_message()
        raise rejected(domain, doing, f"its guest agent does not answer (libvirt: {words})", _NO_AGENT) from error


def _bring_online(domain: Any, cores: int, doing: str, pace: Pace) -> None:
    words = ""

    def look() -> int:
        nonlocal words
        try:
            return agent.bring_online(domain, cores)
        except libvirt.libvirtError as error:  # an agent that is slow, or a guest that has not noticed yet
            words = f" (libvirt: {error.get_error_message()})"
            return 0

    online = pace.watch(look, lambda seen: seen >= cores, patience_s=_CORES_PATIENCE_S)
    if online < cores:
        raise rejected(domain, doing, f"the guest has brought {online} of {cores} cores online{words}")


def _set_shares(domain: Any, cpu: Cpu) -> None:
    shares = render_shares(cpu)
    domain.setSchedulerParametersFlags({"cpu_shares": shares}, LIVE)
    told = domain.schedulerParametersFlags(LIVE).get("cpu_shares")
    if told != shares:
        raise rejected(domain, "set the CPU share of", f"the host made {told} of {shares} shares")


def _processor(running: Running, *, counted: int | None = None) -> Processor:
    known = running.record.processor or Processor(running.hardware.cpu)
    return known if counted is None else replace(known, counted=counted)
