"""Where the measurements take place: a private libvirt host, a state directory that QEMU can enter, and manifests."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.bench.measuring import Sample, run

HERE = Path(__file__).parent
ANCHOR = "anchor-00000"

MACHINE = """\
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata:
  name: {name}
  labels:
    vm: {name}
spec:
  virtualMachineClassName: host
  runPolicy: {policy}
  cpu:
    cores: 1
    coreFraction: 1%
  memory:
    size: 64Mi
  blockDeviceRefs:
    - kind: VirtualDisk
      name: {name}
---
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata:
  name: {name}
  labels:
    vm: {name}
spec:
  persistentVolumeClaim:
    size: 16Mi
"""


@dataclass(frozen=True)
class Stage:
    """One host and one installation on it. `quick` asks for small numbers that only show that everything runs."""

    uri: str
    base: Path
    repetitions: int
    quick: bool = False

    @cached_property
    def environment(self) -> dict[str, str]:
        """Ours, with this host and this state directory, and without what else could change a measurement."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VMCTL_", "PYTHON"))}
        return {**kept, "VMCTL_LIBVIRT_URI": self.uri, "VMCTL_STATE_DIR": str(self.state)}

    @property
    def state(self) -> Path:
        """The state directory: there from the start, as on a host where vmctl was used before."""
        return self.base / "state"

    @property
    def cache(self) -> Path:
        """Where vmctl keeps what manifests came to."""
        return self.state / "manifests.cache"

    def vmctl(self, *arguments: str) -> Sample:
        """Run the program as a user does: the whole process."""
        return run([str(Path(sys.executable).with_name("vmctl")), *arguments], self.environment)

    def python(self, *arguments: str) -> Sample:
        """Run a Python process with the same interpreter and packages."""
        return run([sys.executable, *arguments], self.environment)

    def straight(self, work: str, *arguments: str) -> Sample:
        """Do work on the host with libvirt-python alone: see `straight.py`."""
        return self.python(str(HERE / "straight.py"), work, self.uri, *arguments)

    def virsh(self, *arguments: str) -> Sample:
        """Run virsh on the same host."""
        return run(["virsh", "--connect", self.uri, *arguments], self.environment)

    def machines(self, name: str, number: int, policy: str) -> Path:
        """A directory with manifests of machines, each with a small blank disk, one file each."""
        directory = self.fresh(name)
        for index in range(number):
            text = MACHINE.format(name=f"{name}-{index:05}", policy=policy)
            (directory / f"{name}-{index:05}.yaml").write_text(text)
        return directory

    def fresh(self, name: str) -> Path:
        """An empty directory below the base."""
        directory = self.base / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        return directory

    def anchor(self) -> None:
        """Make a machine that stays, off, through all measurements, and with it the network that the others use."""
        self.vmctl("apply", "-q", "-f", str(self.machines("anchor", 1, "AlwaysOff")))

    def clear(self) -> None:
        """Delete all other machines, disks and leases, so that the next measurement begins where the last one did."""
        others = f"vm!={ANCHOR}"
        self.vmctl("delete", "vm", "-l", others, "--force", "--yes", "--wait")
        self.vmctl("delete", "vd", "-l", others, "--yes", "--wait")
        leases = json.loads(self.vmctl("get", "vmipl", "-o", "json").output)["items"]
        free = [each["metadata"]["name"] for each in leases if each["status"].get("phase") == "Released"]
        if free:  # they would be kept for ten minutes
            self.vmctl("delete", "vmipl", *free, "--wait")
