"""Disks and images as parts of a machine: whether one can be attached, and what it is then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.planning.machine_hardware import Device

if TYPE_CHECKING:
    from vmctl.planning.objects import Object, Objects
    from vmctl.planning.plans import LayerSeen
    from vmctl.resources.keys import Key


def trouble(key: Key, device: Object | None, objects: Objects) -> str:
    """Why no machine can have a device attached now, or nothing."""
    if device is None:
        known = ", ".join(objects.names(key.kind, key.namespace)) or "none"
        return f"{key.short} does not exist; known: {known}"
    if device.terminating:
        return f"{key.short} is being deleted"
    if device.phase in ("Ready", "Resizing"):
        return ""
    why = next(
        (
            item["message"]
            for item in device.status.get("conditions") or ()
            if item["type"] == "Ready" and item["status"] == "False"
        ),
        "",
    )
    return f"{key.short} is {device.phase or 'Pending'}" + (f": {why}" if why else "")


def made(key: Key, seen: LayerSeen, boot_order: int | None = None, attachment: str = "") -> Device:
    """The device that the bytes of a disk or image are."""
    return Device(
        key, seen.layer.path, seen.size_bytes, seen.cdrom and key.kind != "VirtualDisk", boot_order, attachment
    )
