"""Manifests that the engine's tests apply."""

from __future__ import annotations

from vmctl.resources.policies import FEATURE_GATES


def image(name: str, url: str) -> str:
    return f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualImage
metadata: {{name: {name}}}
spec:
  storage: ContainerRegistry
  dataSource: {{type: HTTP, http: {{url: "{url}"}}}}
---"""


def image_of(name: str, source: str) -> str:
    return f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualImage
metadata: {{name: {name}}}
spec:
  storage: ContainerRegistry
  dataSource: {{type: ObjectRef, objectRef: {{kind: VirtualImage, name: {source}}}}}
---"""


def blank(name: str, size: str = "1Mi") -> str:
    return f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata: {{name: {name}}}
spec:
  persistentVolumeClaim: {{size: {size}}}
---"""


def disk(name: str, source: str, size: str = "") -> str:
    claim = f"\n  persistentVolumeClaim: {{size: {size}}}" if size else ""
    return f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata: {{name: {name}}}
spec:
  dataSource: {{type: ObjectRef, objectRef: {{kind: VirtualImage, name: {source}}}}}{claim}
---"""


def machine(name: str, *disks: str, cores: int = 1, memory: str = "64Mi", extra: str = "") -> str:
    refs = ", ".join(f"{{kind: VirtualDisk, name: {item}}}" for item in disks)
    return f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata: {{name: {name}}}
spec:
  virtualMachineClassName: host
  cpu: {{cores: {cores}}}
  memory: {{size: {memory}}}
  blockDeviceRefs: [{refs}]
  {extra}
---"""


def attachment(name: str, machine: str, device: str, kind: str = "VirtualDisk") -> str:
    return f"""
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachineBlockDeviceAttachment
metadata: {{name: {name}}}
spec:
  virtualMachineName: {machine}
  blockDeviceRef: {{kind: {kind}, name: {device}}}
---"""


def gates(*names: str) -> str:
    """The module's settings with these feature gates on."""
    return f"""
apiVersion: deckhouse.io/v1alpha1
kind: ModuleConfig
metadata: {{name: virtualization}}
spec:
  version: 1
  settings: {{featureGates: [{", ".join(names)}]}}
---"""


GATES = gates(*sorted(FEATURE_GATES))
USER_DATA = "provisioning: {type: UserData, userData: '#cloud-config'}"
