"""What `vmctl describe` tells, and what it keeps to itself."""

from __future__ import annotations

import base64
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import add_machine, condition
from vmctl.cli.describing import title
from vmctl.engine.provenance import COMMIT
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.cli.conftest import World


def test_a_machine_from_head_to_events(world: World) -> None:
    conditions = [condition("Running", "False", reason="NotRunning", message="no room:\n4Gi wanted")]
    spec = {
        "virtualMachineClassName": "host", "cpu": {"cores": 2, "coreFraction": "5%"}, "enableParavirtualization": True,
        "blockDeviceRefs": [{"kind": "VirtualDisk", "name": "root"}, {"kind": "VirtualImage", "name": "iso"}],
        "nodeSelector": {"example.org/rack": "a"}, "tolerations": [],
        "provisioning": {"type": "UserData", "userData": "#cloud-config\npassword: secret\n"},
    }  # fmt: skip
    made = world.add("VirtualMachine", "web", age=60, labels={"b": "2", "a": "1"}, spec=spec,
                     status={"phase": "Starting", "conditions": conditions})  # fmt: skip
    for age in (600, 300, 5):
        world.event("VirtualMachine", "web", "NoRoom", "no room for it", age=age, type="Warning", uid=made.uid)
    world.event("VirtualMachine", "web", "Started", "of a namesake that is gone", age=900, uid="another")
    expected = f"""
        Name:         web
        Namespace:    default
        Labels:       a=1
                      b=2
        Annotations:  <none>
        API Version:  virtualization.deckhouse.io/v1alpha2
        Kind:         VirtualMachine
        Metadata:
          Creation Timestamp:  2023-11-14T22:12:20Z
          Generation:          1
          Resource Version:    {made.resource_version}
          UID:                 {made.uid}
        Spec:
          Block Device Refs:
            - Kind:  VirtualDisk
              Name:  root
            - Kind:  VirtualImage
              Name:  iso
          CPU:
            Core Fraction:  5%
            Cores:          2
          Enable Paravirtualization:   true
          Node Selector:
            example.org/rack:  a
          Provisioning:
            Type:       UserData
            User Data:  31 bytes
          Tolerations:                 <none>
          Virtual Machine Class Name:  host
        Status:
          Phase:  Starting
        Conditions:
          Type      Status   Reason       Since   Message
          ----      ------   ------       -----   -------
          Running   False    NotRunning   60m     no room: 4Gi wanted
        Events:
          Type      Reason   Age               Message
          ----      ------   ---               -------
          Warning   NoRoom   5s (x3 over 10m)  no room for it
        """
    out = world.run("describe", "vm", "web").out
    assert [line.split() for line in out.splitlines()] == [
        line.split() for line in dedent(expected).strip().splitlines()
    ]
    for line in dedent(expected).strip().splitlines():
        if "Events" in line:
            break
        assert line in out.splitlines()


def test_secrets_are_told_by_their_length(world: World) -> None:
    world.add("Secret", "login", type="Opaque", data={
        "userData": base64.b64encode(b"hunter2").decode(), "broken": "%%%"}, stringData={"more": "x"})  # fmt: skip
    out = world.run("describe", "secret/login").out
    assert "userData:  7 bytes" in out
    assert "broken:    3 characters, not base64" in out
    assert "more:  1 byte\n" in out
    assert base64.b64encode(b"hunter2").decode() not in out


def test_several_objects_and_missing_ones(quickstart: World) -> None:
    ran = quickstart.run("describe", "vm/linux-vm", "vd/linux-disk", "vd/gone")
    assert ran.code == 4
    assert [line.split()[-1] for line in ran.lines if line.startswith("Name:")] == ["linux-vm", "linux-disk"]
    assert "\n\n\nName:" in ran.out
    assert '"gone" not found' in ran.err


def test_nothing_to_describe(world: World) -> None:
    ran = world.run("describe", "vm")
    assert (ran.code, ran.out, ran.err) == (0, "", "No resources found in default namespace.\n")


def test_events_can_be_left_out(quickstart: World) -> None:
    assert "Events:" in quickstart.run("describe", "vm").out
    for spelling in ("--no-show-events", "--show-events=false"):
        assert "Events:" not in quickstart.run("describe", "vm", spelling).out


def test_guests_cannot_steer_the_terminal(world: World) -> None:
    add_machine(world, "web", status={"guestOSInfo": {"name": "\x1b[31mred\nsecond\x9b"}})
    out = world.run("describe", "vm", "web").out
    assert "\x1b" not in out
    assert "\x9b" not in out
    assert "second" in out


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cpu", "CPU"), ("blockDeviceRefs", "Block Device Refs"), ("guestOSInfo", "Guest OS Info"), ("uid", "UID"),
        ("virtualMachineIPAddressName", "Virtual Machine IP Address Name"), ("registryURL", "Registry URL"),
        ("x-vmctl", "x-vmctl"), ("example.org/a", "example.org/a"),
    ],
)  # fmt: skip
def test_field_names_become_words(name: str, shown: str) -> None:
    assert title(name) == shown


def test_events_verb(quickstart: World) -> None:
    quickstart.event("VirtualMachine", "linux-vm", "Stopped", "powered off", age=300, type="Warning")
    quickstart.event("VirtualDisk", "linux-disk", "Ready", "disk made", age=21)
    quickstart.event("ClusterVirtualImage", "base", "Ready", "image made", age=20)
    assert len(quickstart.run("events").lines) == 4
    assert quickstart.run("events", "--for", "vm/linux-vm", "--no-headers").lines == [
        "5m   Warning   Stopped   virtualmachine/linux-vm   powered off"
    ]
    for words in (("vm", "linux-vm"), ("vm/linux-vm",)):
        assert quickstart.run("events", *words, "--no-headers").lines == [
            "5m   Warning   Stopped   virtualmachine/linux-vm   powered off"
        ]
    assert quickstart.run("events", "vm/linux-vm", "--for", "vm/linux-vm").code == 2
    assert "name exactly one object" in quickstart.run("events", "vm").err
    assert [line.split()[2] for line in quickstart.run("events", "--types=warning", "--no-headers").lines] == [
        "Stopped"
    ]
    assert quickstart.run("events", "--types", "Bad").code == 2
    assert quickstart.run("events", "-n", "web").err == "No events found in web namespace.\n"
    assert quickstart.run("events", "-A", "-o", "jsonpath={.items[0].reason}").out == "Stopped"


def test_what_names_no_kind_is_told_without_another_verb(world: World) -> None:
    ran = world.run("describe")
    assert ran.code == 2
    assert ran.err == "error: say which kind\nhint: for example  vm ; vmctl api-resources  lists the kinds\n"


def test_where_an_object_is_declared(world: World) -> None:
    world.add("VirtualDisk", "data")
    key = Key("VirtualDisk", "default", "data")
    assert "Declared In" not in world.run("describe", "vd", "data").out
    stored = world.store.get(key)
    assert stored is not None
    world.store.adopt(key, "path:/srv/machines", "/srv/machines/data.yaml", 3)
    world.store.note(stored.uid, COMMIT, "0123456789abcdef")
    lines = world.run("describe", "vd", "data").lines
    assert "Declared In:  /srv/machines/data.yaml:3 (commit 0123456789abcdef)" in lines
    world.store.note(stored.uid, COMMIT, "0123456789abcdef-edited")
    assert "(commit 0123456789abcdef, edited since)" in world.run("describe", "vd", "data").out
