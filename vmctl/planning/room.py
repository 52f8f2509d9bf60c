"""The room for hot-plug that a machine is started with: processors and memory that it may be given while it runs.

Room is bounded and costs little: a processor that is not there yet a few bytes of tables, memory that is not there yet
its page tables in the guest. Other tools reserved as much as the host has, and machines failed to start (incus).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmctl.resources.policies import HOTPLUG_CPU_AND_MEMORY
from vmctl.resources.topology import sockets_for
from vmctl.resources.units import quantity_bytes

if TYPE_CHECKING:
    from vmctl.planning.observed import Host
    from vmctl.resources.machine_fields import VirtualMachineSpec

MOST_OF_TIER = {1: 16, 2: 32, 4: 64, 8: 248}  # cores that a number of sockets may have: hot-plug never adds a socket
FACTOR = 2  # how many times its memory, and the host's processors, a machine may grow to


@dataclass(frozen=True, slots=True)
class Room:
    """The most that a machine may be given without a restart; zero: what it has."""

    cores: int = 0
    memory_kib: int = 0


NO_ROOM = Room()


def room(spec: VirtualMachineSpec, host: Host, gates: frozenset[str]) -> Room:
    """The room that a machine gets at its next start: none without the feature gate, or for a guest without drivers."""
    if HOTPLUG_CPU_AND_MEMORY not in gates or spec.os_type == "Legacy":
        return NO_ROOM
    sockets = sockets_for(spec.cpu.cores)
    cores = min(MOST_OF_TIER[sockets], max(spec.cpu.cores, FACTOR * host.cpus // sockets * sockets))
    size_kib = quantity_bytes(spec.memory.size) // 1024
    memory = max(size_kib, min(FACTOR * size_kib, host.memory_kib)) if spec.enable_paravirtualization else 0
    return Room(cores, memory)
