"""Look at the world for one object: everything its rules may look at, as one value."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.network import addresses, networks
from vmctl.planning import storage_classes
from vmctl.planning.addresses import address, lease_of
from vmctl.planning.graph import references
from vmctl.planning.machine_hardware import domain_name
from vmctl.planning.module_settings import cidrs
from vmctl.planning.plans import Failure, LayerSeen, Place, Progress, World
from vmctl.planning.requests import OVER
from vmctl.planning.steps import Layer
from vmctl.planning.usage import ATTACHMENT, attachments_of, device_of, machine_of
from vmctl.storage import copying, layers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmctl.engine.ledger import Ledger
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.objects import Object, Objects
    from vmctl.planning.observed import Domain, Guest, NatNetwork
    from vmctl.state.layers import Layer as LayerRow
    from vmctl.state.store import Store

# What firmware writes when it gives up: SeaBIOS, OVMF, OVMF's shell, OVMF with Secure Boot.
GAVE_UP = re.compile(
    r"No bootable device\."
    r"|BdsDxe: No bootable option or device was found"
    r"|EFI Internal Shell"
    r"|BdsDxe: failed to (?:load|start) [^\r\n]*: (?:Access Denied|Security Violation)"
)
STARTING = "BdsDxe: starting "  # it found something to boot after all
TRANSCRIPT_TAIL = 4096  # firmware that gave up has said so last; a guest writes on


@dataclass(frozen=True, slots=True)
class Observer:
    """Where observations come from."""

    store: Store
    driver: Driver
    ledger: Ledger
    place: Place
    clock: Callable[[], float]

    def world(self, item: Object, failure: Failure | None = None, progress: Progress | None = None) -> World:
        """Everything about one object, now."""
        objects = self.ledger.snapshot()
        world = World(
            item,
            objects,
            self.driver.host(),
            self.place,
            self.clock(),
            failure,
            progress,
            layers=self.layers(item, objects),
            notes=self.store.notes(item.uid),
        )
        if item.key.kind == "VirtualMachine":
            return self._machine(world)
        world = replace(world, networks=self.networks(objects))
        if item.key.kind == ATTACHMENT:
            machine = objects.get(machine_of(item))
            return replace(world, machine_notes=self.store.notes(machine.uid)) if machine is not None else world
        return self._operation(world) if item.key.kind == "VirtualMachineOperation" else world

    def layers(self, item: Object, objects: Objects) -> Mapping[str, LayerSeen]:
        """The layers of an object, of what it refers to, and of what is plugged into it, by id."""
        plugged = map(device_of, attachments_of(item.key, objects) if item.key.kind == "VirtualMachine" else ())
        owners = {
            item.uid,
            *(
                found.uid
                for key in (*references(item.key, item.document), *plugged)
                if (found := objects.get(key)) is not None
            ),
        }
        directories = storage_classes.directories(objects)
        rows = self.store.layers(owners)
        return {row.id: _seen(row, directories.get(row.storage_class, "")) for row in rows}

    def networks(self, objects: Objects) -> tuple[NatNetwork, ...]:
        """The managed networks, one for each range; none where they cannot be made."""
        if not self.driver.host().managed_networks:
            return ()
        return tuple(
            networks.nat_network(cidr, self.place.installation, Path(self.place.state_dir)) for cidr in cidrs(objects)
        )

    def candidate(self, world: World) -> str:
        """The address an address object would get now; empty when all are taken or it has one."""
        if lease_of(world.object, world) is not None:
            return ""
        taken = {address(lease) for lease in world.objects.of_kind("VirtualMachineIPAddressLease")}
        return addresses.allocate(cidrs(world.objects), taken, world.object.uid)

    def mac(self, world: World) -> str:
        """The hardware address of a machine's main interface: the one it has, else one that follows from its uid."""
        domain = world.domain
        for hardware in (domain.running, domain.defined) if domain is not None else ():
            for nic in hardware.nics if hardware is not None else ():
                return nic.mac
        return addresses.mac_for(world.object.uid, "main")

    def _operation(self, world: World) -> World:
        """What is noted about the machine that an operation is for, and how it is, as long as that matters."""
        item = world.object
        machine = next((world.objects.get(key) for key in references(item.key, item.document)), None)
        if machine is None or item.phase in OVER:
            return world
        return replace(
            world, machine_notes=self.store.notes(machine.uid), machine_domain=self.driver.observe(machine.uid)
        )

    def _machine(self, world: World) -> World:
        item = world.object
        domain = self.driver.observe(item.uid)
        owner = self.driver.uid_of(domain_name(item.key)) if domain is None else None
        guest = self._guest(domain)
        said = _firmware_said(Path(self.place.console_log(item.uid))) if domain is not None and guest is None else ""
        return replace(
            world,
            domain=domain,
            foreign=owner or "",
            guest=guest,
            firmware_said=said,
            networks=self.networks(world.objects),
        )

    def _guest(self, domain: Domain | None) -> Guest | None:
        connected = domain is not None and domain.power == "running" and domain.agent_connected
        return self.driver.guest(domain.uid) if domain is not None and connected else None


def _seen(row: LayerRow, directory: str) -> LayerSeen:
    layer = Layer(row.id, row.owner or "", row.storage_class, directory, row.purpose, row.backing or "")
    place = Path(directory)
    if not directory or not layers.exists(place, row.id):
        return LayerSeen(layer, exists=False, size_bytes=row.size)
    found = layers.info(place, row.id)
    imported = copying.known(place, row.id)
    if imported is None:
        return LayerSeen(layer, exists=True, size_bytes=found.virtual_size, stored_bytes=found.actual_size)
    return LayerSeen(layer, True, found.virtual_size, found.actual_size, imported.format, imported.cdrom)


def _firmware_said(log: Path) -> str:
    """The last words of the firmware on the serial console, when it found nothing to boot."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TRANSCRIPT_TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    said = text.rpartition(STARTING)[2] if "EFI Internal Shell" not in text else text
    return " ".join(dict.fromkeys(GAVE_UP.findall(said)))
