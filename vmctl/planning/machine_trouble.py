"""What is wrong with a machine that is on, in words for its user: why its processors stand still, why its firmware
found nothing to boot, why what waits would not come with a restart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vmctl.planning.conditions import Condition
from vmctl.planning.machine_status import STAYS_OFF

if TYPE_CHECKING:
    from vmctl.planning.dependencies import Dependencies
    from vmctl.planning.plans import Waiting, World
    from vmctl.resources.machine_fields import VirtualMachineSpec


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


def not_applied(world: World, count: int, needs: Dependencies, no_room: str) -> str:
    """How many changes wait, and why a restart would not bring them now; empty when none waits."""
    if not count:
        return ""
    lacks = "" if needs.ready else "not everything it depends on is ready"
    why = lacks or no_room or (world.failure.sentence if world.failure is not None else "")
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
