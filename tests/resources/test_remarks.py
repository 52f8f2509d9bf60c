"""What is legal and still said: fields that do not act yet, and fields that have no meaning on one host."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.manifests import read, with_spec
from tests.resources.test_rules import FROM_WEB, cluster_image, disk, image, of, settings, two
from vmctl.resources.remarks import not_acting, warnings

Document = dict[str, Any]


def reference(kind: str) -> Document:
    return {"type": "ObjectRef", "objectRef": {"kind": kind, "name": "a"}}


def anti_affinity(field: str, term: Document) -> Document:
    return with_spec(affinity={"virtualMachineAndPodAntiAffinity": {field: [term]}})


TERM = {"topologyKey": "kubernetes.io/hostname"}
LATER = {
    "container image": (
        image({"type": "ContainerImage", "containerImage": {"image": "a/b"}}),
        ["spec.dataSource.type"],
    ),
    "upload": (disk(dataSource={"type": "Upload"}), ["spec.dataSource.type"]),
    "from a disk": (image(reference("VirtualDisk")), ["spec.dataSource.objectRef.kind"]),
    "from a snapshot": (disk(dataSource=reference("VirtualDiskSnapshot")), ["spec.dataSource.objectRef.kind"]),
    "cluster image from a disk": (
        cluster_image({"kind": "VirtualDisk", "name": "a", "namespace": "b"}),
        ["spec.dataSource.objectRef.kind"],
    ),
    "network": (with_spec(networks=[{"type": "Network", "name": "a"}]), ["spec.networks"]),
    "network beside Main": (
        with_spec(networks=[{"type": "Main"}, {"type": "Network", "name": "a"}]),
        ["spec.networks"],
    ),
    "address in Main": (with_spec(networks=[{"type": "Main", "ipAddressName": "a"}]), ["spec.networks"]),
    "automatic share": (with_spec(cpu={"cores": 1, "coreFraction": "Auto"}), ["spec.cpu.coreFraction"]),
    "address": (with_spec(virtualMachineIPAddressName="a"), ["spec.virtualMachineIPAddressName"]),
    "devices of the host": (
        with_spec(usbDevices=[{"name": "a"}], gpus=[{"gpuClassName": "a"}]),
        ["spec.usbDevices", "spec.gpus"],
    ),
}
ACTING = {
    "gates": settings(featureGates=["HotplugBlockDevices"]),
    "from the web": image(FROM_WEB),
    "from an image": disk(dataSource=reference("VirtualImage")),
    "from a cluster image": cluster_image({"kind": "ClusterVirtualImage", "name": "a"}),
    "Main": with_spec(networks=[{"type": "Main", "id": 1}]),
    "boot order": two({"bootOrder": 1}, {}),
    "share": with_spec(cpu={"cores": 1, "coreFraction": "50%"}),
    "networks of addresses": settings(virtualMachineCIDRs=["10.1.0.0/16"], featureGates=[]),
}
MEANINGLESS = {
    "storage Kubernetes": (image(FROM_WEB, storage="Kubernetes"), ["spec.storage"]),
    "preference": (
        anti_affinity(
            "preferredDuringSchedulingIgnoredDuringExecution",
            {"weight": 1, "virtualMachineAndPodAffinityTerm": TERM},
        ),
        ["spec.affinity"],
    ),
    "priority": (with_spec(priorityClassName="a"), ["spec.priorityClassName"]),
    "migration": (with_spec(liveMigrationPolicy="AlwaysForced"), ["spec.liveMigrationPolicy"]),
    "Legacy with virtio": (with_spec(osType="Legacy"), ["spec.enableParavirtualization"]),
    "gates that migrate": (
        settings(featureGates=["HotplugCPUWithLiveMigration"]),
        ["spec.settings.featureGates"],
    ),
    "class of a snapshot": (
        of("VirtualDiskSnapshot", {"virtualDiskName": "a", "volumeSnapshotClassName": "b"}),
        ["spec.volumeSnapshotClassName"],
    ),
    "registry": (settings(dvcr={"storage": {}}), ["spec.settings.dvcr"]),
}
PLAIN = {
    "storage": image(FROM_WEB, storage="PersistentVolumeClaim"),
    "requirement": anti_affinity("requiredDuringSchedulingIgnoredDuringExecution", TERM),
    "default migration": with_spec(liveMigrationPolicy="PreferSafe"),
    "Legacy without virtio": with_spec(osType="Legacy", enableParavirtualization=False),
    "no audit": settings(audit={"enabled": False}),
}


@pytest.mark.parametrize(("document", "places"), LATER.values(), ids=LATER)
def test_what_is_carried_out_later_is_named(document: Document, places: list[str]) -> None:
    noted = not_acting(read(document))
    assert [place for place, _ in noted] == places
    assert all("this version" in text and "{value}" not in text for _, text in noted)


@pytest.mark.parametrize("document", ACTING.values(), ids=ACTING)
def test_what_acts_is_not_named(document: Document) -> None:
    assert not_acting(read(document)) == []


@pytest.mark.parametrize(("document", "places"), MEANINGLESS.values(), ids=MEANINGLESS)
def test_what_means_nothing_here_is_a_warning(document: Document, places: list[str]) -> None:
    assert [place for place, _ in warnings(read(document))] == places


@pytest.mark.parametrize("document", PLAIN.values(), ids=PLAIN)
def test_what_means_something_is_none(document: Document) -> None:
    assert warnings(read(document)) == []


def test_remark_names_the_value() -> None:
    (noted,) = not_acting(read(disk(dataSource={"type": "Upload"})))
    assert noted == ("spec.dataSource.type", "dataSource type Upload is not carried out by this version")
