"""The driver of real machines: libvirt, by any URI that leads to its QEMU driver.

What reads and writes documents is imported by the verbs that do, because an apply that finds nothing to do only lists.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import libvirt

from vmctl.errors import Exists, NotFound, Rejected, Unsupported
from vmctl.hypervisor import sweeping
from vmctl.hypervisor.connection import Connection
from vmctl.hypervisor.failures import translate, translated
from vmctl.hypervisor.ownership import owner_in
from vmctl.hypervisor.waiting import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from xml.etree import ElementTree as ET

    from vmctl.hypervisor.console import StreamConsole
    from vmctl.hypervisor.events import Events
    from vmctl.planning.hardware import Disk, Hardware
    from vmctl.planning.observed import Domain, Guest, Host, Listed, NatNetwork

_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
_AGENT_TIMEOUT_S = 4  # for an agent that hangs; then libvirt presses the power button


class LibvirtDriver:
    """One libvirt host and the machines of one installation on it; the contract is `driver.Driver`.

    With `events`, libvirt's event loop runs in a thread: needed by `watch`, and for noticing a peer that went silent.
    """

    def __init__(
        self,
        uri: str,
        installation: str,
        *,
        accelerator: Literal["auto", "kvm", "tcg"] = "auto",
        events: bool = True,
        pace: Pace | None = None,
    ) -> None:
        self.installation = installation
        self._accelerator: Literal["auto", "kvm", "tcg"] = accelerator
        self._connection = Connection(uri, events=events)
        self._pace = pace or Pace()
        self._host: Host | None = None
        self._events: Events | None = None
        self._host_lock = threading.Lock()
        self._network_lock = threading.Lock()  # many machines come and go on the same network at the same moment

    def host(self) -> Host:
        """Facts of the host; asked once and kept."""
        from vmctl.hypervisor import hosts

        with self._host_lock:
            if self._host is None:
                with translated("ask the host for", "what it can do"):
                    self._host = hosts.read_host(self._connection.get(), self._connection.uri, self._accelerator)
            return self._host

    def listing(self) -> Mapping[str, Listed]:
        """All our domains by uid."""
        with translated("list the machines of", self._connection.uri):
            return sweeping.sweep(self._connection.get(), self.installation)

    def observe(self, uid: str) -> Domain | None:
        """One domain, parsed; None where there is none with that uuid (or it is not ours)."""
        from vmctl.hypervisor import observing

        with translated("read", uid):
            domain = self._find(uid)
            found = None if domain is None else observing.observe(self._connection.get(), domain, self.installation)
        return found if found is None or self._events is None else self._events.explained(found)

    def uid_of(self, domain: str) -> str | None:
        """The uuid of whatever domain has that name, ours or not."""
        try:
            found: str = self._connection.get().lookupByName(domain).UUIDString()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise translate(error, "look up", domain) from error
        return found

    def define(self, hardware: Hardware) -> None:
        """Write the inactive definition over the present one. Idempotent; see the contract."""
        from vmctl.hypervisor import documents, hosts, merging
        from vmctl.hypervisor.explanations import explain
        from vmctl.hypervisor.trees import parse, serialise

        self._refuse_what_host_lacks(hardware)
        holder = self.uid_of(hardware.domain)
        if holder not in (None, hardware.uid):
            raise Exists(
                f"a domain named {hardware.domain} is there already (uuid {holder}) and is not this machine",
                remedy=f"rename or remove it (`virsh domrename {hardware.domain} NEW`), or rename the machine",
                operation="define",
                subject=hardware.domain,
            )
        present = self._own(hardware.uid, "define")
        if present is not None and present.name() != hardware.domain:
            hardware = replace(hardware, domain=self._named_back(present, hardware.domain))
        document = documents.render(hardware, hosts.platform_of(self.host()))
        with translated("read", hardware.domain):
            old = None if present is None else parse(present.XMLDesc(_INACTIVE))
        text = serialise(merging.merge(document, old, hardware.spare_ports))
        try:
            self._connection.get().defineXMLFlags(text, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        except libvirt.libvirtError as error:
            raise explain(error, "define", hardware.domain) from error

    def start(self, uid: str) -> None:
        """Boot what is defined; nothing when it runs already."""
        from vmctl.hypervisor import metadata
        from vmctl.hypervisor.explanations import explain
        from vmctl.hypervisor.trees import parse, serialise

        domain = self._must_own(uid, "start")
        with translated("start", uid):
            if domain.isActive():
                return
            document = parse(domain.XMLDesc(_INACTIVE))
        record = metadata.read(document)
        fresh = record is not None and record.fresh_nvram
        try:
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_RESET_NVRAM if fresh else 0)
        except libvirt.libvirtError as error:
            if self._runs(domain):  # somebody else was faster
                return
            raise explain(error, "start", domain.name()) from error
        if record is not None and fresh:
            metadata.replace(document, replace(record, fresh_nvram=False))
            with translated("record the start of", domain.name()):
                self._connection.get().defineXMLFlags(serialise(document), libvirt.VIR_DOMAIN_DEFINE_VALIDATE)

    def shutdown(self, uid: str) -> None:
        """Ask the guest to power off, through the agent when it is there, else by the power button."""
        from vmctl.hypervisor import agent

        domain = self._own(uid, "shut down")
        if domain is None:
            return
        try:
            if domain.isActive():
                agent.limit(domain, _AGENT_TIMEOUT_S)
                domain.shutdownFlags(0)
        except libvirt.libvirtError as error:
            # one that goes off in this very moment counts as active for a while and is refused as not running
            going = error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID
            if not going and self._runs(domain):
                raise translate(error, "shut down", domain.name()) from error

    def destroy(self, uid: str) -> None:
        """Cut the power; nothing when it is off."""
        domain = self._own(uid, "power off")
        if domain is None or not self._runs(domain):
            return
        try:
            domain.destroyFlags(0)
        except libvirt.libvirtError as error:
            if self._runs(domain):
                raise translate(error, "power off", domain.name()) from error

    def undefine(self, uid: str) -> None:
        """Remove the definition of a machine that is off, with what libvirt keeps for it; never its disks."""
        from vmctl.hypervisor.trees import parse

        domain = self._own(uid, "remove")
        if domain is None:
            return
        if self._runs(domain):
            raise Rejected(
                f"cannot remove {domain.name()}: it runs",
                remedy="stop it first",
                operation="remove",
                subject=domain.name(),
            )
        with translated("remove", domain.name()):
            domain.undefineFlags(_undefine_flags(parse(domain.XMLDesc(_INACTIVE))))

    def resize(self, uid: str, alias: str, size_bytes: int) -> None:
        """Grow a block device of a running machine; nothing when it has that size, Rejected when it would shrink."""
        from vmctl.hypervisor.trees import parse

        domain = self._must_own(uid, "resize a disk of")
        with translated("resize a disk of", domain.name()):
            target = _target_of(parse(domain.XMLDesc(0)), alias)
            if target is None:
                raise NotFound(f"{domain.name()} has no disk {alias}", operation="resize", subject=alias)
            present = int(domain.blockInfo(target)[0])
            if size_bytes < present:
                # libvirt itself would cut the guest's data off without a word.
                raise Rejected(
                    f"cannot shrink {alias} of {domain.name()} from {present} to {size_bytes} bytes",
                    remedy="ask for at least the present size",
                    operation="resize",
                    subject=alias,
                )
            if size_bytes > present:
                domain.blockResize(target, size_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

    def set_cores(self, uid: str, cores: int) -> None:
        """Raise the number of cores and bring them online in the guest."""
        from vmctl.hypervisor.cores import set_cores

        set_cores(self._must_own(uid, "add cores to"), cores, self._pace)

    def set_core_fraction(self, uid: str, percent: int) -> None:
        """Set the guaranteed share of each core."""
        from vmctl.hypervisor.cores import set_core_fraction

        set_core_fraction(self._must_own(uid, "set the CPU share of"), percent)

    def set_memory(self, uid: str, kib: int) -> None:
        """Give the guest memory or ask it to give some back, and wait until it has."""
        from vmctl.hypervisor.balloon import set_memory

        set_memory(self._must_own(uid, "change the memory of"), kib, self._pace)

    def plug_disk(self, uid: str, disk: Disk) -> None:
        """Attach a disk or CD-ROM; nothing when it is there."""
        from vmctl.hypervisor.plugging import plug

        plug(self._must_own(uid, "plug a disk into"), disk)

    def unplug_disk(self, uid: str, alias: str) -> None:
        """Detach a disk and return when it is gone; nothing when it is not there."""
        from vmctl.hypervisor.plugging import unplug

        unplug(self._must_own(uid, "unplug a disk from"), alias, self._pace)

    def guest(self, uid: str, *, timeout_s: int = 2) -> Guest | None:
        """What the agent says; None when no agent answers in time."""
        from vmctl.hypervisor import agent

        with translated("ask the guest agent of", uid):
            domain = self._find(uid)
            return None if domain is None else agent.ask(domain, timeout_s)

    def ensure_network(self, network: NatNetwork) -> None:
        """Define and start the network; nothing when it is there as described."""
        from vmctl.hypervisor import hosts, networks

        if not self.host().managed_networks:
            raise Unsupported(
                f"cannot make network {network.name}: libvirt makes networks for root only",
                remedy="use qemu:///system, or leave the machine on user-mode networking",
                operation="make",
                subject=network.name,
            )
        with self._network_lock, translated("make network", network.name):
            networks.ensure(self._connection.get(), network, local=hosts.is_local(self._connection.uri))

    def remove_network(self, uuid: str) -> None:
        """Stop and undefine our network; nothing when it is gone."""
        from vmctl.hypervisor import networks

        networks.remove(self._connection.get(), uuid)

    def forget_lease(self, network: NatNetwork, address: str, mac: str) -> None:
        """Make dnsmasq drop a lease so that the address can go to another MAC."""
        from vmctl.hypervisor import leases

        with self._network_lock:
            leases.forget(self._connection.get(), network, address, mac)

    def console(self, uid: str, *, force: bool = False) -> StreamConsole:
        """Open the serial console; Busy when somebody has it and `force` is not given."""
        from vmctl.hypervisor.console import open_console

        return open_console(self._connection.get(), self._must_own(uid, "open the console of"), force=force)

    def watch(self, changed: Callable[[str], None], rebooted: Callable[[str], None] | None = None) -> None:
        """Call `changed(uid)` on events of domains, `changed("")` when some may have been missed, from a thread;
        `rebooted(uid)` when a guest restarts itself.
        """
        from vmctl.hypervisor.events import Events

        with translated("listen for events of", self._connection.uri):
            self._events = Events(changed, rebooted)
            self._connection.on_open(self._events.register, self._events.unregister)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def _find(self, uid: str) -> Any:
        try:
            return self._connection.get().lookupByUUIDString(uid)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise

    def _own(self, uid: str, operation: str) -> Any:
        """Find a domain that is ours; None where there is none. Raises Exists when it is somebody else's."""
        with translated(operation, uid):
            domain = self._find(uid)
            if domain is None:
                return None
            owner = owner_in(domain.XMLDesc(0))
        if owner != (self.installation, uid):
            whose = f"belongs to installation {owner[0]}" if owner else "was not made by vmctl"
            raise Exists(
                f"cannot {operation} {domain.name()}: the domain with uuid {uid} {whose}",
                remedy="leave it to its owner, or remove it there first",
                operation=operation,
                subject=domain.name(),
            )
        return domain

    def _must_own(self, uid: str, operation: str) -> Any:
        domain = self._own(uid, operation)
        if domain is None:
            raise NotFound(f"cannot {operation} {uid}: there is no such domain", operation=operation, subject=uid)
        return domain

    def _named_back(self, domain: Any, name: str) -> str:
        """Undo a rename by somebody else; the name it has from then on, which stays the other one while it runs."""
        if self._runs(domain):
            return str(domain.name())
        with translated("rename", domain.name()):
            domain.rename(name, 0)
        return name

    def _runs(self, domain: Any) -> bool:
        try:
            return bool(domain.isActive())
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return False
            raise translate(error, "read the state of", domain.name()) from error

    def _refuse_what_host_lacks(self, hardware: Hardware) -> None:
        host = self.host()
        lacks: tuple[str, str] | None = None
        if hardware.firmware != "BIOS" and not host.efi:
            lacks = "UEFI firmware", "install it (package ovmf or edk2-ovmf)"
        elif hardware.firmware == "EFIWithSecureBoot" and not host.secure_boot:
            lacks = "UEFI firmware with Secure Boot", "install it (package ovmf or edk2-ovmf)"
        elif hardware.tpm and not host.tpm:
            lacks = "a software TPM", "install swtpm and swtpm-tools"
        if lacks is not None:
            raise Unsupported(
                f"cannot define {hardware.domain}: the host has no {lacks[0]}",
                remedy=lacks[1],
                operation="define",
                subject=hardware.domain,
            )


def _undefine_flags(root: ET.Element) -> int:
    flags: int = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if root.get("type") != "test":  # libvirt's test driver knows no more than these
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_TPM
    return flags


def _target_of(root: ET.Element, alias: str) -> str | None:
    from vmctl.hypervisor.trees import attribute_at

    for disk in root.iterfind("./devices/disk"):
        if attribute_at(disk, "./alias", "name") == alias:
            return attribute_at(disk, "./target", "dev")
    return None
