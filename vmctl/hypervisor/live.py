"""Cores, their guaranteed share and the memory of a running machine.

Each change is finished inside the guest before it counts: cores are online there, memory is what it has. A core that
the host has plugged in is not taken out again (libvirt's unplug times out and leaves the guest with half of it), so the
agent is asked first whether it will answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import libvirt

from vmctl.hypervisor import agent
from vmctl.hypervisor.memory import most_kib, whole_mib
from vmctl.hypervisor.processors import Processor, plugged_cores, render_shares
from vmctl.hypervisor.running import LIVE, note, read, refusing, rejected

if TYPE_CHECKING:
    from vmctl.hypervisor.running import Running
    from vmctl.hypervisor.waiting import Pace
    from vmctl.planning.hardware import Cpu

_CORES_PATIENCE_S = 10.0
_MEMORY_PATIENCE_S = 15.0
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


def set_memory(domain: Any, kib: int, pace: Pace) -> None:
    """Move the balloon and wait until the guest has followed; see the contract."""
    doing = "change the memory of"
    with refusing(domain, doing):
        running = read(domain, doing)
        before, goal, most = running.hardware.memory_kib, whole_mib(kib), most_kib(running.root)
        if kib == before:
            return
        if goal > most:
            raise rejected(domain, doing, f"it was started with room for {_mi(most)}, not for {_mi(goal)}")
        domain.setMemoryFlags(goal, LIVE)
        shrinks = kib < before
        reached = pace.watch(
            lambda: _present_kib(domain),
            lambda present: present <= goal if shrinks else present >= goal,
            patience_s=_MEMORY_PATIENCE_S,
        )
        if (reached > goal) if shrinks else (reached < goal):
            _settle(domain, running, reached, goal)
        note(domain, replace(running.record, memory=replace(running.record.memory, target=kib)))


def _settle(domain: Any, running: Running, reached: int, goal: int) -> None:
    """Leave a guest with what it has come to, and raise Rejected that says so."""
    before = running.hardware.memory_kib
    shrinks = goal < before
    moved = max(before - reached, 0) if shrinks else max(reached - before, 0)
    # One that never answered may have more than it had before it was asked: that is what it will come to when it does.
    rest = reached if moved else before
    domain.setMemoryFlags(whole_mib(rest), LIVE)
    note(domain, replace(running.record, memory=replace(running.record.memory, target=rest)))
    did, what = ("gave back", before - goal) if shrinks else ("took", goal - before)
    why = f"the guest {did} {_mi(moved)} of {_mi(what)}"
    silent = "" if moved else "; does it have the virtio balloon driver, and has it booted?"
    raise rejected(domain, "change the memory of", why + silent)


def _present_kib(domain: Any) -> int:
    """What the live document says that the guest has. QEMU itself knows up to a second earlier, but a later look at the
    document must not find less done than was promised.
    """
    return int(domain.info()[2])


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


def _mi(kib: int) -> str:
    return f"{kib // 1024}Mi"
