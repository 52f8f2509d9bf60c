"""Carry steps out: a journal entry before each effect, its record after it. Every step may be done twice without
harm.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from vmctl.engine import live, tidying
from vmctl.engine.powering import Powering, make_directory
from vmctl.errors import ChangeRefused, NotFound, NotReady, Unsupported
from vmctl.network import reservations
from vmctl.planning import plans, steps, storage_classes
from vmctl.planning.observed import SAVED
from vmctl.state.layers import Layer as LayerRow
from vmctl.storage import copying, importing, layers, seed
from vmctl.storage.sources import HttpSource
from vmctl.storage.sources import Progress as Transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.engine.clock import Clock
    from vmctl.engine.ledger import Ledger
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.objects import Object
    from vmctl.state.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Executor:
    """What effects need. `cancelled` ends transfers and waits; they can go on later."""

    store: Store
    driver: Driver
    ledger: Ledger
    place: plans.Place
    clock: Clock
    cancelled: Callable[[], bool]
    powering: Powering = field(init=False)

    def __post_init__(self) -> None:
        powering = Powering(self.store, self.driver, self.place, self.clock, self.cancelled)
        object.__setattr__(self, "powering", powering)

    def execute(self, item: Object, step: steps.Step, progress: Callable[[plans.Progress], None]) -> None:
        """Do one step of an object. Raises the VmctlError that the effect raises; the journal entry stays then."""
        name = type(step).__name__
        entry = self.store.begin(item.uid, name, _detail(step))
        log.info("%s: %s", item.key.short, step.describe())
        self._perform(item, step, progress)
        self.store.finish(entry)

    def _perform(self, item: Object, step: steps.Step, progress: Callable[[plans.Progress], None]) -> None:
        if isinstance(step, steps.Live):
            if not live.perform(self.store, self.driver, item, step):
                self.ledger.changed(item.key, ())  # an attachment tells why
            return
        match step:
            case steps.ImportLayer() | steps.CreateBlank() | steps.CreateOverlay() | steps.CopyLayer():
                self._make(step, progress)
            case steps.GrowLayer():
                self._grow(step)
            case steps.RemoveLayer():
                self._remove(step)
            case steps.EnsureNetwork():
                reservations.prepare(Path(step.network.directory))
                self.driver.ensure_network(step.network)
            case steps.ReserveAddress() | steps.ReleaseAddress():
                self._address(step)
            case steps.WriteSeed():
                self._seed(step)
            case steps.RemoveFile():
                Path(step.path).unlink(missing_ok=True)
            case steps.CreateObject():
                self._create(step)
            case steps.DeleteObject():
                self.ledger.mark_deleted(step.key, f"it goes with {item.key.short}")
            case steps.ForgetObject():
                if item.key.kind == "StorageClass":  # what its copies of images are called is known as long as it is
                    tidying.leave_class(self.store, item.key.name, storage_classes.home(item).directory)
                self.ledger.forget(item)
            case steps.Define() | steps.Start() | steps.ShutDown() | steps.CutPower() | steps.Undefine():
                self.powering.perform(item, step)
            case steps.Remember():
                self.store.note(step.uid, step.name, step.text, unsettles=True)
                self.ledger.changed(step.key, ())
            case _:
                assert_never(step)

    def _make(
        self,
        step: steps.ImportLayer | steps.CreateBlank | steps.CreateOverlay | steps.CopyLayer,
        progress: Callable[[plans.Progress], None],
    ) -> None:
        layer, directory = step.layer, Path(step.layer.directory)
        layers.prepare(directory)
        match step:
            case steps.ImportLayer():
                source = HttpSource(step.url, step.checksums, step.ca_bundle)
                importing.import_image(
                    directory,
                    layer.id,
                    source,
                    readonly=layer.purpose == "image",
                    progress=lambda seen: progress(_progress(seen)),
                    cancelled=self.cancelled,
                )
                if step.size_bytes is not None:
                    layers.grow(directory, layer.id, step.size_bytes)
            case steps.CreateBlank():
                layers.create_blank(directory, layer.id, step.size_bytes)
            case steps.CreateOverlay():
                layers.create_overlay(directory, layer.id, layer.backing, step.size_bytes)
            case steps.CopyLayer():
                copying.copy_image(
                    Path(step.source_directory), step.source, directory, layer.id, cancelled=self.cancelled
                )
        self._record(layer)

    def _record(self, layer: steps.Layer) -> None:
        size = layers.info(Path(layer.directory), layer.id).virtual_size
        self.store.add_layer(
            LayerRow(
                layer.id, layer.storage_class, layer.backing or None, layer.owner, layer.purpose, size, self.clock.now()
            )
        )

    def _remove(self, step: steps.RemoveLayer) -> None:
        """Delete bytes, after asking QEMU's own lock once more whether a machine has them open, whoever started it."""
        directory = Path(step.layer.directory)
        if step.layer.purpose == "disk" and layers.open_elsewhere(directory, step.layer.id):
            raise NotReady(f"a running machine has the file of {step.what} open", remedy="stop that machine first")
        layers.remove(directory, step.layer.id)
        self.store.remove_layer(step.layer.id)

    def _grow(self, step: steps.GrowLayer) -> None:
        """Through the machine that has the disk, whoever started it, unless it went off behind our back; QEMU's lock
        settles a race.
        """
        for uid, alias in filter(None, (step.running, *step.off)):
            if self._has(uid, alias):
                self.driver.resize(uid, alias, step.size_bytes)
                break
        else:
            layers.grow(Path(step.layer.directory), step.layer.id, step.size_bytes)
        self._record(step.layer)

    def _has(self, uid: str, alias: str) -> bool:
        """Whether a machine runs with a disk. Raises NotReady where its memory is saved, with the disk as it was."""
        domain = self.driver.observe(uid)
        if domain is None or not any(disk.alias == alias for disk in (domain.holds.disks if domain.holds else ())):
            return False
        if domain.power_reason == SAVED:
            raise NotReady(
                f"the memory of {domain.domain} is saved, and its guest knows the disk as it was",
                remedy=f"start that machine, or drop what was saved with `virsh managedsave-remove {domain.domain}`",
            )
        return True

    def _address(self, step: steps.ReserveAddress | steps.ReleaseAddress) -> None:
        network, directory = step.network, Path(step.network.directory)

        def forget(address: str, mac: str) -> None:
            try:
                self.driver.forget_lease(network, address, mac)
            except (NotFound, Unsupported) as error:
                # the network went with its last machine, or there is no way to it from here: a lease ends by itself
                # before its address goes to another machine
                log.debug("%s", error.message)

        if isinstance(step, steps.ReserveAddress):
            reservations.reserve(
                directory, step.mac, step.address, step.name, step.namespace, network.dns_domain, forget=forget
            )
        else:
            reservations.release(directory, step.mac, forget=forget)

    def _seed(self, step: steps.WriteSeed) -> None:
        path = Path(step.path)
        make_directory(path.parent)
        if step.form == "nocloud":
            seed.nocloud(path, step.files["userData"], instance_id=step.instance_id, hostname=step.hostname)
        else:
            seed.sysprep(path, step.files)

    def _create(self, step: steps.CreateObject) -> None:
        if self.ledger.get(step.key) is None:
            try:
                self.ledger.create(step.key, step.document)
            except ChangeRefused as error:  # somebody else was quicker: look again
                self.ledger.refresh()
                raise NotReady(f"{step.key.short} was made by somebody else in this moment") from error


def _progress(seen: Transfer) -> plans.Progress:
    return plans.Progress(
        seen.received_bytes,
        seen.total_bytes,
        seen.current_bytes_per_s,
        seen.average_bytes_per_s,
        "downloading" if seen.stage == "download" else "converting",
    )


def _detail(step: steps.Step) -> dict[str, Any]:
    """What the journal keeps of a step: names and places, never a payload."""
    layer = getattr(step, "layer", None)
    detail = {"what": step.describe()}
    if isinstance(layer, steps.Layer):
        detail |= {"layer": layer.id, "directory": layer.directory}
    return detail
