"""Manifests for tests to write to disk."""

from __future__ import annotations

DISK = """\
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata:
  name: {name}
spec:
  persistentVolumeClaim:
    size: {size}
"""

MACHINE = """\
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata:
  name: {name}
  labels: {{app: web}}
spec:
  virtualMachineClassName: host
  priorityClassName: high
  cpu: {{cores: 1}}
  memory: {{size: 1Gi}}
  blockDeviceRefs:
    - kind: VirtualDisk
      name: {name}
"""


def disk(name: str = "data", size: str = "1Gi") -> str:
    """A blank disk."""
    return DISK.format(name=name, size=size)


def machine(name: str = "linux-vm") -> str:
    """A machine with one disk, and a field that is worth a warning."""
    return MACHINE.format(name=name)
