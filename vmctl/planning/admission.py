"""Whether the host has room for one more machine: memory and guaranteed CPU shares are promised once, not twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.planning.usage import takes_room
from vmctl.resources.units import quantity_bytes, shown_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.planning.objects import Object, Objects
    from vmctl.planning.observed import Host
    from vmctl.planning.plans import Place


def objections(
    machine: Object, millicores: int, memory_bytes: int, objects: Objects, host: Host, place: Place
) -> Iterator[str]:
    """Why the machine cannot start now, with what is free and who has the rest."""
    others = [other for other in objects.of_kind("VirtualMachine") if other.uid != machine.uid and takes_room(other)]
    memory = sum(promised_memory(other) for other in others)
    room = int(host.memory_kib * 1024 * place.overcommit_memory)
    if memory + memory_bytes > room:
        yield (
            f"the host has {shown_quantity(room)} of memory for machines and "
            f"{shown_quantity(max(0, room - memory))} of it is free; "
            f"{machine.key.name} asks for {shown_quantity(memory_bytes)}"
        )
    cpu = sum(promised_millicores(other) for other in others)
    cores = int(host.cpus * 1000 * place.overcommit_cpu)
    if cpu + millicores > cores:
        yield (
            f"the host has {host.cpus} CPUs and {max(0, cores - cpu) / 1000:g} of them are not promised to "
            f"others; {machine.key.name} is to be "
            f"guaranteed {millicores / 1000:g}; lower cpu.coreFraction or cpu.cores"
        )


def millicores(cores: int, fraction: int) -> int:
    """What is guaranteed: ceil(cores * 1000 * fraction / 100)."""
    return -(-cores * 1000 * fraction // 100)


def promised_memory(machine: Object) -> int:
    """The bytes of memory: of what runs, else of what the manifest asks for."""
    size = ((machine.status.get("resources") or {}).get("memory") or {}).get("size")
    return quantity_bytes(size if size is not None else machine.document["spec"]["memory"]["size"])


def promised_millicores(machine: Object) -> int:
    """The guaranteed share of the processors: of what runs, else of what the manifest asks for."""
    cpu = (machine.status.get("resources") or {}).get("cpu") or {}
    cores = int(cpu.get("cores") or machine.document["spec"]["cpu"]["cores"])
    fraction = str(cpu.get("coreFraction") or "100%").rstrip("%")
    return millicores(cores, int(fraction))
