"""What a monitoring system may know: the objects as they are now, and what the engine has counted.

Nothing is kept up to date: every scrape looks at the ledger. The names are those of the platform whose manifests these
are, under a prefix of our own; what only a cluster has (pods) is left out.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from vmctl.engine.tally import BOUNDS_S
from vmctl.planning import conditions
from vmctl.planning.phases import OF_KIND
from vmctl.resources.units import measured_bytes, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from vmctl.engine.ledger import Ledger
    from vmctl.engine.running import Runner
    from vmctl.planning.objects import Object

PREFIX = "vmctl_"
MEASURED = (
    "VirtualMachine", "VirtualDisk", "VirtualImage", "ClusterVirtualImage", "VirtualMachineClass",
    "VirtualMachineBlockDeviceAttachment", "VirtualMachineOperation", "VirtualMachineSnapshot", "VirtualDiskSnapshot",
    "VirtualMachineSnapshotOperation",
)  # fmt: skip
LABELLED = ("VirtualMachine", "VirtualDisk", "VirtualMachineBlockDeviceAttachment")
_IDENTITY = ("name", "namespace", "uid")
_NODE = (*_IDENTITY, "node")


class Objects(Collector):
    """The objects of the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """Every series of every object, as of now."""
        objects = self._ledger.snapshot()
        for kind in MEASURED:
            items = list(objects.of_kind(kind))
            yield _phases(kind, OF_KIND[kind], items)
            if kind in LABELLED:
                yield from _texts(kind, items)
        yield from _machines(list(objects.of_kind("VirtualMachine")))
        yield from _disks(list(objects.of_kind("VirtualDisk")))
        yield from _classes(list(objects.of_kind("VirtualMachineClass")))
        yield from _operations(list(objects.of_kind("VirtualMachineOperation")))


class Engine(Collector):
    """What the engine has counted, and how much it has before it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def collect(self) -> Iterator[Metric]:
        """Every series, as of now."""
        tally = self._runner.tally
        yield CounterMetricFamily(f"{PREFIX}engine_passes", "Passes over objects.", tally.passes)
        yield CounterMetricFamily(f"{PREFIX}engine_pass_failures", "Passes that ended in a failure.", tally.failures)
        yield CounterMetricFamily(f"{PREFIX}engine_looks", "Looks at the watched directories.", tally.looks)
        text = "Looks that were put off because somebody was writing."
        yield CounterMetricFamily(f"{PREFIX}engine_looks_put_off", text, tally.put_off)
        yield CounterMetricFamily(f"{PREFIX}engine_resyncs", "Comparisons of everything.", tally.resyncs)
        yield _gauge("engine_queue_length", "Names that wait for their pass or are in it.", self._runner.waiting)
        yield _gauge("engine_failing_objects", "Objects whose last pass failed.", self._runner.failing)
        yield _gauge("engine_manifest_problems", "Problems in the watched directories.", len(self._runner.bad))
        bad = len({problem.file for problem in self._runner.bad})
        yield _gauge("engine_bad_files", "Files in the watched directories that are not taken.", bad)
        text = "Objects that have left their directory and stay, because too many would go at once."
        yield _gauge("engine_prune_refused_objects", text, self._runner.withheld)
        yield _gauge("engine_host_reachable", "Whether libvirt answered last.", self._runner.last_resync is not None)
        if self._runner.last_resync is not None:
            text = "When everything was compared last, epoch seconds."
            yield _gauge("engine_last_resync_timestamp_seconds", text, self._runner.last_resync)
        yield self._durations()

    def _durations(self) -> HistogramMetricFamily:
        tally = self._runner.tally
        total, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip((*BOUNDS_S, "+Inf"), tally.buckets, strict=True):
            total += count
            buckets.append((str(bound), float(total)))
        name, text = f"{PREFIX}engine_pass_duration_seconds", "How long passes took."
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=tally.seconds)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value)


def _family(name: str, text: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=list(labels))


def _identity(item: Object) -> list[str]:
    return [item.key.name, item.key.namespace, item.uid]


def _node(item: Object) -> list[str]:
    return [*_identity(item), str(item.status.get("nodeName") or "")]


def _phases(kind: str, phases: Iterable[str], items: Iterable[Object]) -> GaugeMetricFamily:
    """One series for each phase, 1 for the one it is in."""
    machine, operation = kind == "VirtualMachine", kind == "VirtualMachineOperation"
    labels = (*(_NODE if machine else _IDENTITY), *(("type", "virtualmachine") if operation else ()), "phase")
    family = _family(f"{kind.lower()}_status_phase", f"The phase of each {kind}.", labels)
    for item in items:
        known = _node(item) if machine else _identity(item)
        known += _operation(item) if operation else []
        for phase in phases:
            family.add_metric([*known, phase], float(item.phase == phase))
    return family


def _texts(kind: str, items: Iterable[Object]) -> Iterator[GaugeMetricFamily]:
    """Labels and annotations as labels of series, their names made fit as kube-state-metrics does."""
    for what, prefix in (("labels", "label_"), ("annotations", "annotation_")):
        rows = [(_identity(item), getattr(item, what)) for item in items]
        names = sorted({name for _, texts in rows for name in texts})
        family = _family(
            f"{kind.lower()}_{what}", f"The {what} of each {kind}.",
            (*_IDENTITY, *dict.fromkeys(prefix + re.sub(r"\W", "_", name, flags=re.ASCII) for name in names)),
        )  # fmt: skip
        for identity, texts in rows:
            found: dict[str, str] = {}
            for name in names:  # two names that become one: the later wins
                fit = re.sub(r"\W", "_", name, flags=re.ASCII)
                found[fit] = texts.get(name) or found.get(fit, "")
            family.add_metric([*identity, *found.values()], 1.0)
        yield family


FIGURES: dict[str, tuple[str, Callable[[Object], Any]]] = {
    "cpu_cores": ("Cores the machine runs with.", lambda item: _resource(item, "cpu", "cores")),
    "configuration_cpu_cores": ("Cores that are asked for.", lambda item: _spec(item, "cpu").get("cores")),
    "cpu_core_fraction": (
        "Guaranteed share of each core, percent.", lambda item: _percent(_resource(item, "cpu", "coreFraction")),
    ),
    "configuration_cpu_core_fraction": (
        "Guaranteed share that is asked for, percent.",
        lambda item: _percent(_spec(item, "cpu").get("coreFraction")),
    ),
    "configuration_cpu_runtime_overhead": (
        "Cores taken beside those of the guest.", lambda item: _resource(item, "cpu", "runtimeOverhead"),
    ),
    "configuration_memory_size_bytes": (
        "Memory that is asked for.", lambda item: measured_bytes(_spec(item, "memory").get("size")),
    ),
    "configuration_memory_runtime_overhead_bytes": (
        "Memory taken beside that of the guest.",
        lambda item: measured_bytes(_resource(item, "memory", "runtimeOverhead")),
    ),
    "awaiting_restart_to_apply_configuration": (
        "Whether changes wait for a restart.",
        lambda item: conditions.holds(item.status, "AwaitingRestartToApplyConfiguration"),
    ),
    "configuration_applied": (
        "Whether the machine runs as it is configured.",
        lambda item: conditions.find(item.status, "ConfigurationApplied") is None
        or conditions.holds(item.status, "ConfigurationApplied"),
    ),
    "agent_ready": ("Whether the guest's agent answers.", lambda item: conditions.holds(item.status, "AgentReady")),
    "firmware_up_to_date": (
        "Whether QEMU is the installed one.", lambda item: conditions.holds(item.status, "FirmwareUpToDate"),
    ),
    "migratable": (
        "Whether it could move to another host.", lambda item: conditions.holds(item.status, "Migratable"),
    ),
}  # fmt: skip


def _machines(items: list[Object]) -> Iterator[GaugeMetricFamily]:
    for name, (text, figure) in FIGURES.items():
        family = _family(f"virtualmachine_{name}", text, _NODE)
        for item in items:
            with suppress(TypeError, ValueError):  # a figure that is not known yet has no series
                family.add_metric(_node(item), float(figure(item)))
        yield family
    for name, label, field in (
        ("configuration_run_policy", "runPolicy", "runPolicy"),
        ("info", "virtualmachineclass", "virtualMachineClassName"),
    ):
        family = _family(f"virtualmachine_{name}", f"Its {field}.", (*_NODE, label))
        for item in items:
            family.add_metric([*_node(item), str(_body(item).get(field) or "")], 1.0)
        yield family


def _disks(items: list[Object]) -> Iterator[GaugeMetricFamily]:
    capacity = _family("virtualdisk_capacity_bytes", "The size the guest sees.", _IDENTITY)
    info = _family("virtualdisk_info", "Where its data is.", (*_IDENTITY, "storageclass", "persistentvolumeclaim"))
    used = _family("virtualdisk_status_in_use", "Which machine has it.", (*_IDENTITY, "virtualmachine"))
    for item in items:
        size = measured_bytes(item.status.get("capacity"))
        if isinstance(size, int):
            capacity.add_metric(_identity(item), float(size))
        target = item.status.get("target") or {}
        layer = str(target.get("persistentVolumeClaimName") or "")
        info.add_metric([*_identity(item), str(item.status.get("storageClassName") or ""), layer], 1.0)
        for user in item.status.get("attachedToVirtualMachines") or ():
            used.add_metric([*_identity(item), str(user["name"])], float(bool(user.get("mounted", True))))
    yield from (capacity, info, used)


def _classes(items: list[Object]) -> Iterator[GaugeMetricFamily]:
    info = _family("virtualmachineclass_info", "How it makes processors.", ("name", "uid", "type"))
    nodes = _family("virtualmachineclass_available_node", "Which hosts fit it.", ("name", "uid", "node"))
    for item in items:
        info.add_metric([item.key.name, item.uid, str(_spec(item, "cpu").get("type") or "")], 1.0)
        for node in item.status.get("availableNodes") or ():
            nodes.add_metric([item.key.name, item.uid, str(node)], 1.0)
    yield from (info, nodes)


def _operations(items: list[Object]) -> Iterator[GaugeMetricFamily]:
    labels = (*_IDENTITY, "type", "virtualmachine")
    for moment, condition in (("created", ""), ("started", "SignalSent"), ("finished", "Completed")):
        family = _family(f"virtualmachineoperation_{moment}_timestamp_seconds", f"When it was {moment}.", labels)
        for item in items:
            at = _since(item, condition) if condition else item.created
            if at is not None:
                family.add_metric([*_identity(item), *_operation(item)], at)
        yield family


def _operation(item: Object) -> list[str]:
    return [str(_body(item).get("type") or ""), str(_body(item).get("virtualMachineName") or "")]


def _since(item: Object, condition: str) -> float | None:
    """Since when a condition is as it is, epoch seconds; None while it has not been met."""
    found = conditions.find(item.status, condition)
    over = condition == "Completed" and item.phase in ("Completed", "Failed", "Superseded")
    if found is None or (found["status"] != "True" and not over):
        return None
    return conditions.seconds(str(found["lastTransitionTime"]))


def _body(item: Object) -> Mapping[str, Any]:
    return item.document.get("spec") or {}


def _spec(item: Object, part: str) -> Mapping[str, Any]:
    return _body(item).get(part) or {}


def _resource(item: Object, part: str, name: str) -> Any:
    return ((item.status.get("resources") or {}).get(part) or {}).get(name)


def _percent(text: Any) -> float:
    """`25%` as 25; TypeError for what is not there."""
    return float(percent(text)) if isinstance(text, str) else float(text)
