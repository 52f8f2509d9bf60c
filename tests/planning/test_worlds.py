"""The loader of cases refuses what no host can come to, so that no golden plan is about nothing."""

from __future__ import annotations

import pytest

from tests.planning.worlds import Impossible, load

DISK = """
- kind: VirtualDisk
  metadata: {name: root}
  spec: {persistentVolumeClaim: {size: 1Gi}}
"""
MACHINE = """
- kind: VirtualMachine
  metadata: {name: web}
  spec:
    virtualMachineClassName: host
    cpu: {cores: 1}
    memory: {size: 1Gi}
    blockDeviceRefs: [{kind: VirtualDisk, name: root}]
"""
READY = f"plan: VirtualMachine web\nobjects:{DISK}  phase: Ready{MACHINE}layers: [{{of: VirtualDisk root}}]\n"
RUNS = "domain: {power: running, running: as the spec, defined: as the spec}\n"


def test_what_can_be_is_loaded() -> None:
    world = load(READY + RUNS).world
    assert world.domain is not None
    assert world.domain.running is not None
    assert world.domain.running == world.domain.defined
    assert [disk.alias for disk in world.domain.running.disks] == ["ua-spec-vd-root"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (READY + "waether: fine\n", "no waether"),
        (READY.replace("plan: VirtualMachine web", "plan: VirtualMachine other") + RUNS, "not there"),
        (READY.replace("plan: VirtualMachine web", "plan: VirtualDisk root") + RUNS, "no machine"),
        (READY.replace("plan: VirtualMachine web", "plan: Machine web"), "names no object"),
        (READY.replace("objects:", f"objects:{DISK}"), "twice"),
        (READY + "foreign: 99999999-9999-4999-8999-999999999999\n" + RUNS, "one domain of a name"),
        (READY.replace("[{of: VirtualDisk root}]", "[{of: VirtualDisk other}]"), "not there"),
        (READY.replace("[{of: VirtualDisk root}]", "[]"), "has no layer"),
        (READY.replace("[{of: VirtualDisk root}]", "[{of: VirtualDisk root}, {of: VirtualDisk root}]"), "one id"),
        (READY + "domain: {power: running, defined: as the spec}\n", "no live document"),
        (READY + "domain: {power: 'off', running: as the spec, defined: as the spec}\n", "a live document"),
        (READY + "domain: {power: 'off'}\n", "neither runs nor is defined"),
        (READY + "domain: {power: 'off', defined: whatever}\n", "as the spec"),
        (READY + "domain: {power: 'off', defined: {virtualMachineClassName: nowhere}}\n", "never ready"),
        (READY + RUNS.replace("power", "colour: red, power"), "no colour"),
        (READY + RUNS + "notes: {mood: {good: true}}\n", "nobody records"),
        (READY + RUNS + "notes: {power: {intend: on}}\n", "nobody records"),
        (READY + RUNS + "notes: {request: {verb: Stop}}\n", "nobody records"),
        (READY + RUNS + "notes: {seen: {running: as the spec, power: 'off'}}\n", "a live document"),
        (READY + "guest: {os: {id: debian}}\n", "guest without a machine"),
        (READY + "domain: {power: 'off', defined: as the spec}\nguest: {}\n", "agent speaks"),
        (READY.replace("cores: 1", "cores: 17"), "no apply lets"),
        (READY.replace("  phase: Ready", "  phase: Ready\n  created: 9\n  deleted: 8"), "before it was made"),
        (READY.replace("  phase: Ready", "  phase: Ready\n  deleted: 80"), "before it was made, or will be"),
    ],
)
def test_what_cannot_be_is_refused(text: str, why: str) -> None:
    with pytest.raises(Impossible, match=why):
        load(text)


def test_two_objects_never_have_one_uid() -> None:
    same = "\n  uid: 11111111-1111-4111-8111-111111111111"
    other = DISK.replace("root", "other").rstrip() + same + "\n"
    with pytest.raises(Impossible, match="one uid"):
        load(READY.replace("  phase: Ready", f"  phase: Ready{same}").replace("objects:", f"objects:{other.rstrip()}"))


def test_an_address_is_leased_once() -> None:
    lease = """
- kind: VirtualMachineIPAddress
  metadata: {name: other}
  spec: {type: Auto}
  status: {phase: Bound, address: 10.66.10.2}
"""
    with pytest.raises(Impossible, match="leased twice"):
        load(READY.replace("objects:", f"objects:{lease.rstrip()}"))
