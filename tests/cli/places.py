"""A directory of manifests that was applied to a host of libvirt's test driver, for verbs that change objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmctl.resources import registry
from vmctl.resources.keys import Key
from vmctl.state.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.conftest import Ran, World
    from vmctl.state.stored import Stored

HOST = """\
<node>
  <cpu><mhz>2000</mhz><model>x86-64</model><active>4</active><nodes>1</nodes><sockets>1</sockets><cores>4</cores>
  <threads>1</threads></cpu>
  <memory>16777216</memory>
</node>
"""
MACHINES = """\
# the class of our machines
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachineClass   # not the generic one
metadata:
  name: small
spec:
  cpu: {type: Host}
  nodeSelector:
    matchLabels: {disk: "ssd"}  # only there
---

# one machine
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualMachine
metadata:
  name: 'linux-vm'
spec:
  runPolicy: AlwaysOff   # for now
  virtualMachineClassName: host
  cpu: {cores: 1}   # few
  memory:   {size: 1024Mi}
  blockDeviceRefs:
  - kind: VirtualDisk
    # missing, on purpose
    name: linux-disk
"""
LINUX = "virtualmachine.virtualization.deckhouse.io/linux-vm"


@dataclass(slots=True)
class Applied:
    """The directory, its file, and the command line."""

    world: World
    directory: Path
    file: Path

    def run(self, *arguments: str) -> Ran:
        return self.world.run(*arguments)

    def write(self, text: str) -> None:
        """Write the file and apply the directory."""
        self.file.write_bytes(text.encode())
        assert self.run("apply", "-q", "-f", str(self.directory)).code == 0

    def stored(self, kind: str, name: str) -> Stored:
        """An object as it is stored, which it has to be."""
        namespace = "default" if registry.BY_NAME[kind].namespaced else ""
        with Store.open(self.world.directory, clock=lambda: 0.0, readonly=True) as store:
            found = store.get(Key(kind, namespace, name))
        assert found is not None
        return found

    def spec(self, kind: str = "VirtualMachine", name: str = "linux-vm") -> Any:
        return self.stored(kind, name).document["spec"]

    def meta(self, kind: str = "VirtualMachine", name: str = "linux-vm") -> Any:
        return self.stored(kind, name).document["metadata"]

    def idle(self) -> None:
        """Check that another apply finds nothing to do: the file and the store say the same."""
        lines = self.run("apply", "-q", "-f", str(self.directory)).lines
        assert {line.split()[1] for line in lines if line.split()[1] != "pending:"} <= {"unchanged"}


def apply(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Applied:
    """The machines above, applied."""
    (tmp_path / "host.xml").write_text(HOST)
    monkeypatch.setenv("VMCTL_LIBVIRT_URI", f"test://{tmp_path}/host.xml")
    directory = tmp_path / "machines"
    directory.mkdir()
    applied = Applied(world, directory, directory / "vm.yaml")
    applied.write(MACHINES)
    return applied
