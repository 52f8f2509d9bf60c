"""One machine with everything around it as a value that edits change: what it says in YAML, and what has to be seen of
it.

The second is written down here once more, on purpose without the product's own diff: it is what the laws compare with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.engine.manifests import blank, gates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.hardware import Hardware

BOTH = "HotplugBlockDevices, HotplugCPUAndMemoryWithInPlaceResize"
EDITS: Mapping[str, tuple[Any, ...]] = {
    "cores": (1, 2, 4),
    "memory_mib": (64, 96, 128),
    "fraction": ("", "50%", "20%"),
    "disks": (("root",), ("root", "data"), ("root", "data", "more"), ("root", "more", "data"), ("root", "late")),
    "late": (False, True),
    "policy": ("AlwaysOn", "AlwaysOnUnlessStoppedManually", "Manual", "AlwaysOff"),
    "approval": ("Manual", "Automatic"),
    "mode": ("Enforce", "DetectOnly", "Paused"),
    "os_type": ("Generic", "Windows"),
    "seed": (False, True),
    "grace_s": (60, 5),
    "label": ("", "front"),
    "gates": ("", BOTH),
    "data_mib": (1, 2, 3),
}
GROUPS = {
    "cpu": ("cores", "fraction"),
    "memory": ("memory_mib",),
    "blockDeviceRefs": ("disks",),
    "osType": ("os_type",),
    "provisioning": ("seed",),
    "terminationGracePeriodSeconds": ("grace_s",),
}  # the first word of a path in restartAwaitingChanges, and what of a machine it is about


@dataclass(frozen=True)
class Wanted:
    """What the manifests say."""

    cores: int = 1
    memory_mib: int = 64
    fraction: str = ""
    disks: tuple[str, ...] = ("root",)
    late: bool = False  # whether the disk of that name is declared
    policy: str = "AlwaysOnUnlessStoppedManually"
    approval: str = "Manual"
    mode: str = "Enforce"
    os_type: str = "Generic"
    seed: bool = False
    grace_s: int = 60
    label: str = ""
    gates: str = ""
    data_mib: int = 1

    @property
    def ready(self) -> bool:
        """Whether everything that the machine refers to is declared."""
        return self.late or "late" not in self.disks

    def facts(self) -> dict[str, Any]:
        """What a definition has to show: of disks, those that are there."""
        return {
            "cores": self.cores,
            "fraction": int((self.fraction or "100%").rstrip("%")),
            "memory_mib": self.memory_mib,
            "disks": tuple(name for name in self.disks if name != "late" or self.late),
            "os_type": self.os_type,
            "seed": self.seed,
            "grace_s": self.grace_s,
        }

    def text(self) -> str:
        """The manifests."""
        refs = ", ".join(f"{{kind: VirtualDisk, name: {name}}}" for name in self.disks)
        seed = "provisioning: {type: UserData, userData: '#cloud-config'}" if self.seed else ""
        fraction = f", coreFraction: {self.fraction}" if self.fraction else ""
        label = f"labels: {{tier: {self.label}}}, " if self.label else ""
        return (
            gates(self.gates)
            + blank("root")
            + blank("data", f"{self.data_mib}Mi")
            + blank("more")
            + (blank("late") if self.late else "")
            + f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata: {{name: web, {label}annotations: {{vmctl.dev/reconcile: {self.mode}}}}}
spec:
  virtualMachineClassName: host
  runPolicy: {self.policy}
  osType: {self.os_type}
  terminationGracePeriodSeconds: {self.grace_s}
  disruptions: {{restartApprovalMode: {self.approval}}}
  cpu: {{cores: {self.cores}{fraction}}}
  memory: {{size: {self.memory_mib}Mi}}
  blockDeviceRefs: [{refs}]
  {seed}
---"""
        )


def in_order(running: Hardware, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The disks of a running machine. What was plugged in has no turn before its next start, so it stands as wanted."""
    has: tuple[str, ...] = shown(running)["disks"]
    started = {ref["name"] for ref in json.loads(running.texts["metadata:spec"])["blockDeviceRefs"]}
    same = [name for name in has if name in started] == [name for name in wanted if name in started]
    return wanted if same and {*has} == {*wanted} else has


def shown(hardware: Hardware) -> dict[str, Any]:
    """The same of hardware: what `Wanted.facts` tells of the manifests."""
    grace = next(text for at, text in hardware.texts.items() if at.endswith("grace-period"))
    aliases = tuple(disk.alias for disk in hardware.disks)
    return {
        "cores": hardware.cpu.cores,
        "fraction": hardware.cpu.shares_percent,
        "memory_mib": hardware.memory_kib >> 10,
        "disks": tuple(alias.removeprefix("ua-spec-vd-") for alias in aliases if alias.startswith("ua-spec-vd-")),
        "os_type": "Windows" if hardware.hyperv else "Generic",
        "seed": "ua-seed" in aliases,
        "grace_s": int(grace),
    }
