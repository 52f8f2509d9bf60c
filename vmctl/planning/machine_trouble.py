"""What is wrong with a machine that is on, in words for its user: why its processors stand still, why its firmware
found nothing to boot, why what waits would not come with a restart.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from vmctl.planning.conditions import Condition, find

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.dependencies import Dependencies
    from vmctl.planning.objects import Object
    from vmctl.planning.plans import Waiting, World
    from vmctl.resources.machine_fields import VirtualMachineSpec

NOTE = "restart"  # what would become of a machine that is restarted now: noted as long as changes wait for that
STAYS_OFF = "a restart now would leave the machine off"


class Obstacle(StrEnum):
    """What would keep a machine off that is restarted now."""

    NOTHING = "Nothing"
    LACKS = "Lacks"  # something that it depends on is not ready
    NO_ROOM = "NoRoom"
    FAILED = "Failed"


def halted(world: World) -> Condition | None:
    """Why a machine that libvirt keeps does not run."""
    domain = world.domain
    if domain is not None and domain.power == "crashed":
        message = f"the guest crashed ({domain.power_reason}); its power is cut"
        return Condition("Running", "False", "GuestNotRunning", message)
    if domain is not None and domain.power == "paused" and domain.power_reason == "ioerror":
        return Condition(
            "Running",
            "False",
            "InternalVirtualMachineError",
            "QEMU paused the machine because the host could not read or write its disk: most likely the file system "
            "with its storage class is full; free space there and run `virsh resume` on it: nothing was lost",
        )
    return None


def boot(world: World, spec: VirtualMachineSpec) -> str:
    """What the firmware said when it found nothing to boot; empty while the guest lives or nothing was said."""
    if world.guest is not None:
        return ""
    said = world.firmware_said
    if not said:
        return ""
    if "Access Denied" in said or "Security Violation" in said:
        return (
            f"the firmware ({spec.bootloader}) refused the boot loader because it is not signed by a key that "
            f"it trusts; "
            "use a signed guest, or bootloader EFI"
        )
    first = spec.block_device_refs[0]
    return (
        f"the firmware ({spec.bootloader}) found no bootable device; the first of blockDeviceRefs is "
        f"{first.kind} {first.name}: "
        "check that it holds an installed system for this bootloader"
    )


def obstacle(world: World, needs: Dependencies, no_room: str) -> tuple[Obstacle, str]:
    """What would keep a machine off that is restarted now, and its words."""
    if not needs.ready:
        return Obstacle.LACKS, "not everything it depends on is ready"
    if no_room:
        return Obstacle.NO_ROOM, no_room
    return (Obstacle.FAILED, world.failure.sentence) if world.failure is not None else (Obstacle.NOTHING, "")


def comes_up(notes: Mapping[str, str]) -> bool:
    """Whether a machine that is restarted now comes up again, as its last pass has noted. False where none has: what an
    older version left without a note waits for the next pass.
    """
    text = notes.get(NOTE)
    if text is None:
        return False
    found = Obstacle(text)
    match found:
        case Obstacle.NOTHING:
            return True
        case Obstacle.LACKS | Obstacle.NO_ROOM | Obstacle.FAILED:
            return False
        case _:
            assert_never(found)


def failed(machine: Object, notes: Mapping[str, str]) -> str:
    """What failed when a machine that waits for a restart was last looked at, in the words of its condition; empty when
    nothing did.
    """
    if notes.get(NOTE) != Obstacle.FAILED:
        return ""
    told = find(machine.status, "ConfigurationApplied")
    return str(told["message"]).partition(f"{STAYS_OFF}, because ")[2] if told is not None else ""


def not_applied(count: int, why: str) -> str:
    """How many changes wait, and why a restart would not bring them now; empty when none waits."""
    if not count:
        return ""
    caution = f"; {STAYS_OFF}, because {why}" if why else ""
    return f"{count} change{'s wait' if count > 1 else ' waits'} for a restart{caution}"


def cautioned(shown: tuple[Waiting, ...], no_room: str) -> tuple[Waiting, ...]:
    """What `diff` prints of a running machine, with a warning where the host has no room for what a restart brings."""
    if not no_room:
        return shown
    caution = f"{STAYS_OFF}, because {no_room}"
    return tuple(
        replace(item, reason="; ".join(text for text in (item.reason, caution) if text not in ("", no_room)))
        if item.effect == "at next restart"
        else item
        for item in shown
    )
