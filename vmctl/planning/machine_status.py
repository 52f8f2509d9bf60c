"""The status of a VirtualMachine: a pure function of what was seen, never of what was hoped for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmctl.planning import admission
from vmctl.planning.conditions import Condition, find, seconds, timestamp
from vmctl.planning.machine_hardware import named, plugged_alias, plugged_name
from vmctl.planning.usage import ATTACHED_BY, attachments_of, device_of
from vmctl.resources.topology import sockets_for
from vmctl.resources.units import shown_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vmctl.planning.dependencies import Dependencies
    from vmctl.planning.hardware import Disk, Hardware
    from vmctl.planning.plans import World
    from vmctl.resources.keys import Key
    from vmctl.resources.machine_fields import VirtualMachineSpec

KEPT_TRANSITIONS = 5
RESTING = ("Pending", "Starting", "Stopped")


@dataclass(frozen=True, slots=True)
class Picture:
    """What the status is made of: the phase, why it does not run, what waits for a restart."""

    phase: str
    trouble: Condition | None = None
    waiting: Sequence[Mapping[str, Any]] = ()
    waiting_text: str = ""
    not_applied: str = ""
    boot_trouble: str = ""
    drift: str = ""


def status(world: World, spec: VirtualMachineSpec, needs: Dependencies, picture: Picture) -> dict[str, Any]:
    """The whole status for `get` and `describe`."""
    item, domain = world.object, world.domain
    runs = domain is not None and domain.running is not None
    transitions = _transitions(item.status, picture.phase, world.now)
    conditions = [
        *needs.conditions,
        *_running(world, picture),
        _migratable(),
        *_agent(world, picture),
        *_configuration(picture),
        *_firmware(),
        *_drift(picture),
    ]
    result: dict[str, Any] = {
        "resources": _resources(domain.running if domain is not None else None, spec, needs),
        "blockDeviceRefs": _devices(world, needs),
        "stats": _stats(item.status, transitions, picture.phase, world, runs=runs),
    }
    if runs or picture.phase == "Starting":
        result["nodeName"] = world.host.name
    if needs.address_name:
        result["virtualMachineIPAddressName"] = needs.address_name
    address = needs.address or _agent_address(world)
    if address:
        result["ipAddress"] = address
    if runs:
        result["versions"] = {"qemu": world.host.qemu, "libvirt": world.host.libvirt}
        if world.guest is not None:
            result["guestOSInfo"] = dict(world.guest.os)
    if picture.waiting:
        result["restartAwaitingChanges"] = list(picture.waiting)
    return world.status(picture.phase, conditions, result)


def _running(world: World, picture: Picture) -> list[Condition]:
    if picture.trouble is not None:
        return [picture.trouble]
    if picture.boot_trouble:
        return [Condition("Running", "True", "NoBootableDevice", picture.boot_trouble)]
    if (
        picture.phase in ("Running", "Pause", "Stopping")
        and world.domain is not None
        and world.domain.running is not None
    ):
        paused = "its processors are paused" if picture.phase == "Pause" else ""
        return [Condition("Running", "True", "Running", paused)]
    words = {
        "Starting": "the machine is being started",
        "Pending": "the machine waits for what it depends on",
        "Stopped": "the machine is off",
        "Terminating": "the machine is being deleted",
    }
    return [Condition("Running", "False", "NotRunning", words.get(picture.phase, "the machine does not run"))]


def _drift(picture: Picture) -> list[Condition]:
    """Shown only while the machine is not as we left it."""
    if not picture.drift:
        return []
    return [Condition("Drifted", "True", "ChangedOutside", f"somebody else changed the machine: {picture.drift}")]


def _migratable() -> Condition:
    return Condition(
        "Migratable", "False", "VirtualMachineNonMigratable", "there is one host, and no other to migrate to"
    )


def _agent(world: World, picture: Picture) -> list[Condition]:
    if picture.phase in RESTING or picture.phase == "Terminating":
        return []
    if world.guest is not None:
        return [Condition("AgentReady", "True", "AgentReady")]
    return [
        Condition(
            "AgentReady",
            "False",
            "AgentNotReady",
            "no guest agent answers: the guest is still booting, or qemu-guest-agent is not installed in it",
        )
    ]


def _configuration(picture: Picture) -> list[Condition]:
    if picture.phase in (*RESTING, "Terminating"):
        return []
    found = []
    if picture.not_applied:
        found.append(Condition("ConfigurationApplied", "False", "ConfigurationNotApplied", picture.not_applied))
    if picture.waiting:
        found.append(
            Condition("AwaitingRestartToApplyConfiguration", "True", "ChangesPendingRestart", picture.waiting_text)
        )
    return found


def _firmware() -> list[Condition]:
    return [Condition("FirmwareUpToDate", "True", "FirmwareUpToDate")]


def _resources(running: Hardware | None, spec: VirtualMachineSpec, needs: Dependencies) -> dict[str, Any]:
    """What the guest runs with; what the spec asks for while it is off."""
    cores = running.cpu.cores if running else spec.cpu.cores
    fraction = running.cpu.shares_percent if running else needs.fraction
    spread = running.cpu.sockets if running else sockets_for(cores)
    size = shown_quantity(running.memory_kib * 1024) if running else str(spec.memory.size)
    guaranteed = admission.millicores(cores, fraction)
    return {
        "cpu": {
            "cores": cores,
            "coreFraction": f"{fraction}%",
            "runtimeOverhead": "0",
            "requestedCores": str(guaranteed // 1000) if guaranteed % 1000 == 0 else f"{guaranteed}m",
            "topology": {"sockets": spread, "coresPerSocket": cores // spread},
        },
        "memory": {"size": size, "runtimeOverhead": "0"},
    }


def _devices(world: World, needs: Dependencies) -> list[dict[str, Any]]:
    """The devices that the machine really has and those that its spec and its attachments add; the seed medium is not
    one of them.
    """
    held = world.domain.holds if world.domain is not None else None
    there = {disk.alias: disk for disk in held.disks} if held is not None else {}
    sizes = world.domain.block_sizes if world.domain is not None else {}
    found = []
    for device in (*needs.devices, *needs.plugged):
        size = sizes.get(device.alias) or device.size_bytes
        disk = there.pop(device.alias, None)
        found.append(_device(device.key, disk, size, device.boot_order, device.attachment))
    told = {device.alias for device in needs.plugged}
    by_alias = {plugged_alias(item.key.name): item for item in attachments_of(world.object.key, world.objects)}
    for alias in (*there, *(name for name in _defined(world, needs) if name not in there and name not in told)):
        key, attachment = named(alias), by_alias.get(alias)  # not wanted, or not ready any more: it stays for now
        if attachment is not None:
            key = device_of(attachment)
        if key is not None:
            name = attachment.key.name if attachment is not None else ""
            found.append(_device(key, there.get(alias), sizes.get(alias, 0), None, name))
    return found


def _defined(world: World, needs: Dependencies) -> list[str]:
    """What attachments plugged into the definition, as long as that is going to be written anew."""
    defined = world.domain.defined if world.domain is not None and needs.ready else None
    if defined is None or world.object.terminating:
        return []
    return [disk.alias for disk in defined.disks if plugged_name(disk.alias)]


def _device(key: Key, disk: Disk | None, size_bytes: int, boot_order: int | None, attachment: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": key.kind,
        "name": key.name,
        "attached": disk is not None,
        "size": shown_quantity(size_bytes),
        "hotplugged": bool(attachment),
    }
    if disk is not None and disk.target:
        entry["target"] = disk.target
    if boot_order:
        entry["bootOrder"] = boot_order
    if attachment:
        entry[ATTACHED_BY] = attachment
    return entry


def _transitions(before: Mapping[str, Any], phase: str, now: float) -> list[dict[str, str]]:
    known = list((before.get("stats") or {}).get("phasesTransitions") or ())
    if not known or known[-1]["phase"] != phase:
        known.append({"phase": phase, "timestamp": timestamp(now)})
    return known[-KEPT_TRANSITIONS:]


def _stats(
    before: Mapping[str, Any], transitions: list[dict[str, str]], phase: str, world: World, *, runs: bool
) -> dict[str, Any]:
    """Transitions, how long the last start took in its parts, and when it ended."""
    times = {item["phase"]: seconds(item["timestamp"]) for item in transitions}
    launch: dict[str, str | None] = {}
    if phase not in ("Pending", "Stopped", "Terminating"):
        if "Pending" in times and "Starting" in times and times["Starting"] >= times["Pending"]:
            launch["waitingForDependencies"] = _span(times["Starting"] - times["Pending"])
        if "Starting" in times and "Running" in times and times["Running"] >= times["Starting"]:
            launch["virtualMachineStarting"] = _span(times["Running"] - times["Starting"])
        known = ((before.get("stats") or {}).get("launchTimeDuration") or {}).get("guestOSAgentStarting")
        if world.guest is not None and "Running" in times:
            launch["guestOSAgentStarting"] = known or _span(world.now - times["Running"])
    result: dict[str, Any] = {"phasesTransitions": transitions, "launchTimeDuration": launch}
    if runs:
        result["lastStartTime"] = (
            (before.get("stats") or {}).get("lastStartTime") if _was_running(before) else timestamp(world.now)
        )
    return result


def _was_running(before: Mapping[str, Any]) -> bool:
    running = find(before, "Running")
    return bool(running and running["status"] == "True" and (before.get("stats") or {}).get("lastStartTime"))


def _span(length: float) -> str:
    whole = int(max(0.0, length))
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"


def _agent_address(world: World) -> str:
    """With user-mode networking the address is what the agent reports."""
    if world.guest is None or world.domain is None or world.domain.running is None:
        return ""
    for nic in world.domain.running.nics:
        for address in world.guest.addresses.get(nic.mac.lower(), ()):
            if ":" not in address:
                return address
    return ""
