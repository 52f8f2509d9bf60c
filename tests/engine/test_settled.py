"""What an apply passes over because it is at rest, and what it never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engine.manifests import blank, disk, gates, machine
from vmctl.engine.session import nothing_seen
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.engine.lab import Lab

GATES = gates("HotplugCPUAndMemoryWithInPlaceResize")
DEFAULT = """
apiVersion: virtualization.deckhouse.io/v1alpha3
kind: VirtualMachineClass
metadata:
  name: mine
  annotations: {virtualmachineclass.virtualization.deckhouse.io/is-default-class: "true"}
spec: {cpu: {type: Model, model: %s}}
---"""
MARK = 'annotations: {virtualmachineclass.virtualization.deckhouse.io/is-default-class: "true"}'
WEB = blank("root") + machine("web", "root")
MACHINE = Key("VirtualMachine", "default", "web")


def unsettled(lab: Lab) -> set[Key]:
    with lab.session() as session:
        return set(session.unsettled())


def test_after_an_apply_everything_is_at_rest(lab: Lab) -> None:
    lab.apply(WEB)
    assert unsettled(lab) == set()


def test_settings_that_nobody_had_time_to_act_on_are_acted_on_by_the_next_apply(lab: Lab) -> None:
    lab.apply(WEB)
    lab.store(GATES + WEB)
    assert Key("VirtualMachine", "default", "web") in unsettled(lab)


def test_the_default_class_concerns_machines_that_name_none(lab: Lab) -> None:
    text = WEB.replace("virtualMachineClassName: host", "")
    lab.apply(DEFAULT % "Nehalem" + text)
    lab.store(DEFAULT.replace(MARK, "") % "Nehalem" + text)
    assert Key("VirtualMachine", "default", "web") in unsettled(lab)


def test_what_waits_is_looked_at_every_time(lab: Lab) -> None:
    """It may wait for what its digest does not know: memory that others take, a disk that another machine holds."""
    lab.apply(WEB + blank("data") + machine("big", "data", memory="640Gi"))
    assert unsettled(lab) == {Key("VirtualMachine", "default", "big")}


def test_who_refers_to_an_object_concerns_it(lab: Lab) -> None:
    """The disk tells who uses it."""
    lab.apply(WEB)
    lab.store(WEB + machine("other", "root"))
    assert Key("VirtualDisk", "default", "root") in unsettled(lab)


def test_an_image_that_is_only_declared_leaves_its_disk_waiting(lab: Lab) -> None:
    lab.apply(disk("root", "nothing"))
    assert unsettled(lab) == {Key("VirtualDisk", "default", "root")}


def test_a_machine_that_its_guest_switched_off_long_ago_rests_over_a_restart_of_the_host_though_only_applies_look(
    lab: Lab,
) -> None:
    lab.apply(WEB)
    lab.world.power_off_inside(lab.uid("web"))
    lab.apply(WEB)
    lab.clock.sleep(3600)
    lab.apply(WEB)
    assert unsettled(lab) == set()
    lab.boot = "boot-2"
    lab.world.restart_host()
    lab.apply(WEB)
    assert lab.phase("VirtualMachine", "web") == "Stopped"


def test_an_address_that_was_given_back_is_free_again_though_only_applies_look(lab: Lab) -> None:
    lab.apply(WEB)
    lab.delete(Key("VirtualMachine", "default", "web"))
    lab.apply(blank("root"))
    assert leases(lab) == ["Released"]
    lab.clock.sleep(3600)
    lab.apply(blank("root"))
    assert leases(lab) == []


def leases(lab: Lab) -> list[str]:
    """The phases of all leases."""
    with lab.session() as session:
        return [item.phase for item in session.ledger.snapshot().of_kind("VirtualMachineIPAddressLease")]


def test_what_befalls_a_machine_after_its_pass_and_before_the_end_of_the_apply_is_left_to_the_next(lab: Lab) -> None:
    """Its pass is over long before the images of others have been downloaded."""
    text = blank("root") + machine("web", "root", extra="runPolicy: AlwaysOn")
    lab.apply(text)
    with lab.session() as session:
        outcome = session.passes(nothing_seen).run(MACHINE)
        lab.world.crash(*lab.world.machines)
        session.settle({MACHINE: outcome})
    assert MACHINE in unsettled(lab)
    lab.apply(text)
    assert [found.power for found in lab.world.machines.values()] == ["running"]
