"""Each rule has a document that it refuses, at the field it is about, and one beside it that it accepts."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from tests.resources.manifests import GROUP, MACHINE, documents, read, with_spec

Document = dict[str, Any]
SEED = {"type": "UserData", "userData": "#cloud-config"}
FILE: Document = {"url": "https://example.com/a.qcow2"}
FROM_WEB: Document = {"type": "HTTP", "http": FILE}
TERMS = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
MD5 = "0123456789abcdef" * 2


def of(kind: str, spec: Document | None = None, /, group: str = GROUP, name: str = "a") -> Document:
    document: Document = {"apiVersion": group, "kind": kind, "metadata": {"name": name}}
    return document if spec is None else {**document, "spec": spec}


def meta(**fields: object) -> Document:
    return {**deepcopy(MACHINE), "metadata": {"name": "linux-vm", **fields}}


def devices(count: int, **more: object) -> Document:
    return with_spec(blockDeviceRefs=[{"kind": "VirtualDisk", "name": f"d{n}"} for n in range(count)], **more)


def two(first: Document, second: Document) -> Document:
    return with_spec(
        blockDeviceRefs=[{"kind": "VirtualDisk", "name": "a", **first}, {"kind": "VirtualDisk", "name": "b", **second}]
    )


def disk(**spec: object) -> Document:
    return of("VirtualDisk", spec)


def image(source: Document, **more: object) -> Document:
    return of("VirtualImage", {"dataSource": source, **more})


def cluster_image(ref: Document) -> Document:
    return of("ClusterVirtualImage", {"dataSource": {"type": "ObjectRef", "objectRef": ref}})


def class_with(cpu: Any = None, *policies: Document, **annotations: Any) -> Document:
    spec: Document = {"cpu": cpu or {"type": "Host"}, "sizingPolicies": list(policies)}
    document = of("VirtualMachineClass", spec, group="virtualization.deckhouse.io/v1alpha3")
    document["metadata"]["annotations"] = annotations
    return document


def sized(low: int, high: int, **more: object) -> Document:
    return {"cores": {"min": low, "max": high}, **more}


def operation(**spec: object) -> Document:
    return of("VirtualMachineOperation", {"virtualMachineName": "a", **spec})


def secret(**more: object) -> Document:
    return {**of("Secret", group="v1"), **more}


def settings(**more: object) -> Document:
    return of("ModuleConfig", {"settings": more}, group="deckhouse.io/v1alpha1", name="virtualization")


def address(**spec: object) -> Document:
    return of("VirtualMachineIPAddress", spec)


def storage(**more: object) -> Document:
    whole: Document = {"provisioner": "vmctl.dev/directory", "parameters": {"path": "/srv/a"}, **more}
    return {**of("StorageClass", group="storage.k8s.io/v1"), **whole}


def service(*ports: Document, **more: object) -> Document:
    return of("Service", {"ports": list(ports), **more}, group="v1")


def pool(**changed: object) -> Document:
    found = next(document for name, document in documents("upstream") if document["kind"] == "VirtualMachinePool")
    found["spec"] |= changed
    return found


def affinity(*expressions: Document) -> Document:
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return with_spec(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}})


def expression(operator: str, *values: str) -> Document:
    return affinity({"key": "a", "operator": operator, "values": list(values)})


def template(**changed: object) -> Document:
    document = pool()
    document["spec"]["virtualMachineTemplate"]["spec"] |= changed
    return document


def network(**spec: object) -> Document:
    return of("Network", spec, group="network.deckhouse.io/v1alpha1")


CLONE = {"mode": "Strict", "customization": {"namePrefix": "copy-"}}
ROOT = {"name": "root", "spec": {"persistentVolumeClaim": {"size": "1Gi"}}}
CACHE = {"name": "cache", "spec": {"persistentVolumeClaim": {"size": "1Gi"}}}

# name of the rule: (refused, where, a part of what is said, accepted)
RULES: dict[str, tuple[Document, str, str, Document]] = {
    "a name is needed": ({**MACHINE, "metadata": {}}, "metadata.name", "needs a name", meta()),
    "names are lower case": (meta(name="Linux"), "metadata.name", "no legal name", meta(name="linux")),
    "a machine's name is short": (meta(name="a" * 64), "metadata.name", "at most 63", meta(name="a" * 63)),
    "a generated name has room": (
        {**MACHINE, "metadata": {"generateName": "a" * 59}},
        "metadata.generateName",
        "at most 58",
        {**MACHINE, "metadata": {"generateName": "a" * 58}},
    ),
    "a disk's name has no dot": (
        of("VirtualDisk", {"persistentVolumeClaim": {"size": "1Gi"}}, name="a.b"),
        "metadata.name",
        "use a dash",
        of("VirtualDisk", {"persistentVolumeClaim": {"size": "1Gi"}}, name="a-b"),
    ),
    "a pool's name leaves room": (
        {**pool(), "metadata": {"name": "a" * 58}},
        "metadata.name",
        "at most 57",
        {**pool(), "metadata": {"name": "a" * 57}},
    ),
    "cluster kinds are in no namespace": (
        {**class_with(), "metadata": {"name": "a", "namespace": "lab"}},
        "metadata.namespace",
        "no namespace",
        class_with(),
    ),
    "label values are strings": (meta(labels={"a": 1}), "metadata.labels.a", "in quotes", meta(labels={"a": "1"})),
    "label keys": (
        meta(labels={"-a": "b"}),
        "metadata.labels.-a.[key]",
        "no legal key",
        meta(labels={"example.com/a_b.c": ""}),
    ),
    "annotation values are strings": (
        meta(annotations={"a": True}),
        "metadata.annotations.a",
        "in quotes",
        meta(annotations={"a": "any text: at all"}),
    ),
    "our prefix is reserved on machines": (
        meta(annotations={f"{GROUP.partition('/')[0]}/a": "b"}),
        "metadata.annotations.virtualization.deckhouse.io/a",
        "reserved",
        meta(annotations={"vmctl.dev/deletion-policy": "Delete"}),
    ),
    "another version": ({**MACHINE, "apiVersion": "v1"}, "apiVersion", "Input should be", MACHINE),
    "cores fill sockets": (with_spec(cpu={"cores": 17}), "spec.cpu.cores", "16 or 18", with_spec(cpu={"cores": 18})),
    "cores fill four sockets": (
        with_spec(cpu={"cores": 34}),
        "spec.cpu.cores",
        "32 or 36",
        with_spec(cpu={"cores": 36}),
    ),
    "cores have a limit": (with_spec(cpu={"cores": 249}), "spec.cpu.cores", "248", with_spec(cpu={"cores": 248})),
    "no cores": (with_spec(cpu={"cores": 0}), "spec.cpu.cores", "nearest: 1", with_spec(cpu={"cores": 1})),
    "cores are a number": (
        with_spec(cpu={"cores": "2"}),
        "spec.cpu.cores",
        "valid integer",
        with_spec(cpu={"cores": 2}),
    ),
    "share of a core": (
        with_spec(cpu={"cores": 1, "coreFraction": "0%"}),
        "spec.cpu.coreFraction",
        "1% to 100%",
        with_spec(cpu={"cores": 1, "coreFraction": "Auto"}),
    ),
    "share is a percentage": (
        with_spec(cpu={"cores": 1, "coreFraction": 10}),
        "spec.cpu.coreFraction",
        "1% to 100%",
        with_spec(cpu={"cores": 1, "coreFraction": "10%"}),
    ),
    "memory has a unit": (
        with_spec(memory={"size": "1 GB"}),
        "spec.memory.size",
        "512Mi",
        with_spec(memory={"size": "1.5Gi"}),
    ),
    "memory in milli": (
        with_spec(memory={"size": "512m"}),
        "spec.memory.size",
        "512M or 512Mi",
        with_spec(memory={"size": 1073741824}),
    ),
    "Legacy starts from BIOS": (
        with_spec(osType="Legacy", bootloader="EFI"),
        "spec.bootloader",
        "use BIOS",
        with_spec(osType="Legacy", bootloader="BIOS"),
    ),
    "Legacy has no seed": (
        with_spec(osType="Legacy", provisioning=SEED),
        "spec.provisioning",
        "Legacy",
        with_spec(osType="Windows", provisioning=SEED),
    ),
    "IDE is narrow": (
        devices(5, osType="Legacy", enableParavirtualization=False),
        "spec.blockDeviceRefs",
        "room for 4",
        devices(4, osType="Legacy", enableParavirtualization=False),
    ),
    "virtio is wider": (
        devices(5, osType="Legacy", enableParavirtualization=False),
        "spec.blockDeviceRefs",
        "room for 4",
        devices(5, osType="Legacy"),
    ),
    "no devices": (devices(0), "spec.blockDeviceRefs", "at least 1", devices(1)),
    "too many devices": (devices(17), "spec.blockDeviceRefs", "at most 16", devices(16)),
    "a device once": (two({}, {"name": "a"}), "spec.blockDeviceRefs.1", "listed already", two({}, {})),
    "a name of another kind": (
        two({}, {"name": "a"}),
        "spec.blockDeviceRefs.1",
        "listed already",
        two({}, {"name": "a", "kind": "VirtualImage"}),
    ),
    "boot order is unique": (
        two({"bootOrder": 1}, {"bootOrder": 1}),
        "spec.blockDeviceRefs.0.bootOrder",
        "make them differ",
        two({"bootOrder": 2}, {"bootOrder": 1}),
    ),
    "boot order begins at one": (
        two({"bootOrder": 0}, {}),
        "spec.blockDeviceRefs.0.bootOrder",
        "greater than or equal to 1",
        two({"bootOrder": 1}, {}),
    ),
    "user data is short, in bytes": (
        with_spec(provisioning={"type": "UserData", "userData": "ü" * 1025}),
        "spec.provisioning.userData",
        "2050 bytes",
        with_spec(provisioning={"type": "UserData", "userData": "u" * 2048}),
    ),
    "seed without its payload": (
        with_spec(provisioning={"type": "UserDataRef"}),
        "spec.provisioning.userDataRef",
        "is missing",
        with_spec(provisioning={"type": "UserDataRef", "userDataRef": {"name": "a"}}),
    ),
    "seed with another payload": (
        with_spec(provisioning={**SEED, "sysprepRef": {"name": "a"}}),
        "spec.provisioning.sysprepRef",
        "set type to SysprepRef",
        with_spec(provisioning={"type": "SysprepRef", "sysprepRef": {"kind": "Secret", "name": "a"}}),
    ),
    "Main is first": (
        with_spec(networks=[{"type": "Network", "name": "a"}, {"type": "Main"}]),
        "spec.networks.1",
        "first",
        with_spec(networks=[{"type": "Main"}, {"type": "Network", "name": "a"}]),
    ),
    "Main has no name": (
        with_spec(networks=[{"type": "Main", "name": "a"}]),
        "spec.networks.0.name",
        "does not belong",
        with_spec(networks=[{"type": "Main", "id": 1}]),
    ),
    "Main is number one": (
        with_spec(networks=[{"type": "Main", "id": 2}]),
        "spec.networks.0.id",
        "must be 1",
        with_spec(networks=[{"type": "Main", "id": 1}]),
    ),
    "others have a name": (
        with_spec(networks=[{"type": "ClusterNetwork"}]),
        "spec.networks.0.name",
        "is missing",
        with_spec(networks=[{"type": "ClusterNetwork", "name": "a"}]),
    ),
    "others are not number one": (
        with_spec(networks=[{"type": "Network", "name": "a", "id": 1}]),
        "spec.networks.0.id",
        "use 2 or more",
        with_spec(networks=[{"type": "Network", "name": "a", "id": 2}]),
    ),
    "a network once": (
        with_spec(networks=[{"type": "Network", "name": "a"}, {"type": "Network", "name": "a"}]),
        "spec.networks.1",
        "listed already",
        with_spec(networks=[{"type": "Network", "name": "a"}, {"type": "ClusterNetwork", "name": "a"}]),
    ),
    "a number once": (
        with_spec(networks=[{"type": "Network", "name": "a", "id": 2}, {"type": "Network", "name": "b", "id": 2}]),
        "spec.networks.1.id",
        "another network",
        with_spec(networks=[{"type": "Network", "name": "a", "id": 2}, {"type": "Network", "name": "b", "id": 16383}]),
    ),
    "a named address is in Main": (
        with_spec(virtualMachineIPAddressName="a", networks=[{"type": "Network", "name": "a"}]),
        "spec.virtualMachineIPAddressName",
        "add Main",
        with_spec(virtualMachineIPAddressName="a"),
    ),
    "a USB device once": (
        with_spec(usbDevices=[{"name": "a"}, {"name": "a"}]),
        "spec.usbDevices.0.name",
        "more than once",
        with_spec(usbDevices=[{"name": "a"}, {"name": "b"}]),
    ),
    "grace is no negative time": (
        with_spec(terminationGracePeriodSeconds=-1),
        "spec.terminationGracePeriodSeconds",
        "greater than or equal to 0",
        with_spec(terminationGracePeriodSeconds=0),
    ),
    "In has values": (
        expression("In"),
        f"{TERMS}.0.matchExpressions.0.values",
        "is missing",
        expression("In", "a"),
    ),
    "Exists has none": (
        expression("Exists", "a"),
        f"{TERMS}.0.matchExpressions.0.values",
        "remove it",
        expression("Exists"),
    ),
    "Gt has a number": (
        expression("Gt", "many"),
        f"{TERMS}.0.matchExpressions.0.values",
        "one whole number",
        expression("Gt", "4"),
    ),
    "toleration has a key": (
        with_spec(tolerations=[{"value": "a"}]),
        "spec.tolerations.0.key",
        "only operator Exists",
        with_spec(tolerations=[{"operator": "Exists"}]),
    ),
    "the seeds' typing error": (
        with_spec(virtualMachineIPAdressName="a"),
        "spec.virtualMachineIPAdressName",
        "not permitted",
        with_spec(virtualMachineIPAddressName="a"),
    ),
    "an empty disk has a size": (
        disk(),
        "spec.persistentVolumeClaim.size",
        "needs a size",
        disk(persistentVolumeClaim={"size": "1Gi"}),
    ),
    "a disk is not empty of room": (
        disk(persistentVolumeClaim={"size": "0"}),
        "spec.persistentVolumeClaim.size",
        "more than zero",
        disk(persistentVolumeClaim={"size": "1"}),
    ),
    "a source has its block": (
        image({"type": "HTTP"}),
        "spec.dataSource.http",
        "type HTTP needs it",
        image(FROM_WEB),
    ),
    "a source has no other block": (
        image({**FROM_WEB, "upload": {}}),
        "spec.dataSource.upload",
        "set type to Upload",
        image({"type": "Upload"}),
    ),
    "an upload has no other block": (
        image({"type": "Upload", "http": FILE}),
        "spec.dataSource.http",
        "set type to HTTP",
        image({"type": "Upload", "upload": {"checksum": {"md5": MD5}}}),
    ),
    "a type is said by its block": (
        image({}),
        "spec.dataSource.type",
        "required",
        image({"http": FILE}),
    ),
    "web addresses only": (
        image({"type": "HTTP", "http": {"url": "ftp://example.com/a"}}),
        "spec.dataSource.http.url",
        "https://HOST/PATH",
        image(FROM_WEB),
    ),
    "a checksum has its length": (
        image({"type": "HTTP", "http": {**FILE, "checksum": {"sha256": MD5}}}),
        "spec.dataSource.http.checksum.sha256",
        "64 hexadecimal digits",
        image({"type": "HTTP", "http": {**FILE, "checksum": {"md5": MD5}}}),
    ),
    "certificates are encoded": (
        image({"type": "HTTP", "http": {**FILE, "caBundle": "-----BEGIN"}}),
        "spec.dataSource.http.caBundle",
        "base64",
        image({"type": "HTTP", "http": {**FILE, "caBundle": "LS0t"}}),
    ),
    "an image name": (
        image({"type": "ContainerImage", "containerImage": {"image": "Not An Image"}}),
        "spec.dataSource.containerImage.image",
        "REGISTRY/PATH:TAG",
        image({"type": "ContainerImage", "containerImage": {"image": "localhost:5000/a/b:1"}}),
    ),
    "a disk comes from no disk": (
        disk(dataSource={"type": "ObjectRef", "objectRef": {"kind": "VirtualDisk", "name": "a"}}),
        "spec.dataSource.objectRef.kind",
        "Input should be",
        disk(dataSource={"type": "ObjectRef", "objectRef": {"kind": "VirtualImage", "name": "a"}}),
    ),
    "a cluster image says where": (
        cluster_image({"kind": "VirtualImage", "name": "a"}),
        "spec.dataSource.objectRef.namespace",
        "is in a namespace",
        cluster_image({"kind": "VirtualImage", "name": "a", "namespace": "lab"}),
    ),
    "a cluster image is nowhere": (
        cluster_image({"kind": "ClusterVirtualImage", "name": "a", "namespace": "lab"}),
        "spec.dataSource.objectRef.namespace",
        "remove it",
        cluster_image({"kind": "ClusterVirtualImage", "name": "a"}),
    ),
    "Host has no model": (
        class_with({"type": "Host", "model": "Nehalem"}),
        "spec.cpu.model",
        "remove it",
        class_with({"type": "HostPassthrough"}),
    ),
    "Model has a model": (
        class_with({"type": "Model"}),
        "spec.cpu.model",
        "is missing",
        class_with({"type": "Model", "model": "Nehalem"}),
    ),
    "Features has features": (
        class_with({"type": "Features"}),
        "spec.cpu.features",
        "is missing",
        class_with({"type": "Features", "features": ["vmx"]}),
    ),
    "Discovery has no features": (
        class_with({"type": "Discovery", "features": ["vmx"]}),
        "spec.cpu.features",
        "remove it",
        class_with({"type": "Discovery"}),
    ),
    "ranges go up": (
        class_with(None, sized(4, 4)),
        "spec.sizingPolicies.0.cores.max",
        "more than min",
        class_with(None, sized(4, 5)),
    ),
    "steps fit": (
        class_with(None, {"cores": {"min": 1, "max": 4, "step": 4}}),
        "spec.sizingPolicies.0.cores.step",
        "less than max",
        class_with(None, {"cores": {"min": 1, "max": 4, "step": 3}}),
    ),
    "ranges have cores": (
        class_with(None, {"memory": {"min": "1Gi"}}),
        "spec.sizingPolicies.0.cores",
        "required",
        class_with(None, sized(1, 2, memory={"min": "1Gi"})),
    ),
    "ranges do not overlap": (
        class_with(None, sized(1, 4), sized(4, 8)),
        "spec.sizingPolicies.1.cores",
        "overlaps",
        class_with(None, sized(1, 4), sized(5, 8)),
    ),
    "the default is allowed": (
        class_with(None, sized(1, 4, coreFractions=["10%"], defaultCoreFraction="20%")),
        "spec.sizingPolicies.0.defaultCoreFraction",
        "10%",
        class_with(None, sized(1, 4, coreFractions=["10%"], defaultCoreFraction="Auto")),
    ),
    "memory goes up": (
        class_with(None, sized(1, 4, memory={"perCore": {"min": "2Gi", "max": "1Gi"}})),
        "spec.sizingPolicies.0.memory.perCore.max",
        "less than min",
        class_with(None, sized(1, 4, memory={"min": "1024Mi", "max": "1Gi"})),
    ),
    "the default class says true": (
        class_with(**{"virtualmachineclass.virtualization.deckhouse.io/is-default-class": "false"}),
        "metadata.annotations.virtualmachineclass.virtualization.deckhouse.io/is-default-class",
        "true",
        class_with(**{"virtualmachineclass.virtualization.deckhouse.io/is-default-class": "true"}),
    ),
    "a start has no force": (
        operation(type="Start", force=True),
        "spec.force",
        "remove it",
        operation(type="Stop", force=True),
    ),
    "a restore says what": (
        operation(type="Restore"),
        "spec.restore",
        "is missing",
        operation(type="Restore", restore={"mode": "DryRun", "virtualMachineSnapshotName": "a"}),
    ),
    "a clone says how": (operation(type="Clone"), "spec.clone", "is missing", operation(type="Clone", clone=CLONE)),
    "a clone has a name": (
        operation(type="Clone", clone={"mode": "Strict"}),
        "spec.clone.customization",
        "names no copy",
        operation(type="Clone", clone={"mode": "Strict", "nameReplacement": [{"from": {"name": "a"}, "to": "b"}]}),
    ),
    "an affix is short": (
        operation(type="Clone", clone={"mode": "Strict", "customization": {"nameSuffix": "a" * 60}}),
        "spec.clone.customization.nameSuffix",
        "59",
        operation(type="Clone", clone={"mode": "Strict", "customization": {"nameSuffix": "a" * 59}}),
    ),
    "only a migration migrates": (
        operation(type="Evict", migrate={"nodeSelector": {"a": "b"}}),
        "spec.migrate",
        "set type to Migrate",
        operation(type="Migrate"),
    ),
    "a machine from a snapshot is described": (
        of(
            "VirtualMachineSnapshotOperation",
            {"type": "CreateVirtualMachine", "virtualMachineSnapshotName": "a"},
        ),
        "spec.createVirtualMachine",
        "is missing",
        of(
            "VirtualMachineSnapshotOperation",
            {"type": "CreateVirtualMachine", "virtualMachineSnapshotName": "a", "createVirtualMachine": CLONE},
        ),
    ),
    "a secret is encoded": (
        secret(data={"a": "plain text"}),
        "data.a",
        "stringData",
        secret(stringData={"a": "plain text"}),
    ),
    "a secret's keys": (secret(data={"a/b": ""}), "data.a/b.[key]", "no legal key", secret(data={"a.b": ""})),
    "a secret is small": (
        secret(stringData={"a": "x" * (1 << 20) + "y"}),
        "data",
        "at most 1048576",
        secret(stringData={"a": "x" * (1 << 20)}),
    ),
    "Static has an address": (
        address(type="Static"),
        "spec.staticIP",
        "is missing",
        address(type="Static", staticIP="10.66.1.1"),
    ),
    "Auto has none": (
        address(type="Auto", staticIP="10.66.1.1"),
        "spec.staticIP",
        "set type to Static",
        address(type="Auto"),
    ),
    "an address is one": (
        address(type="Static", staticIP="10.66.1.256"),
        "spec.staticIP",
        "no IPv4 address",
        address(type="Static", staticIP="10.66.1.255"),
    ),
    "a lease is named after its address": (
        of("VirtualMachineIPAddressLease", name="ip-10-66-1"),
        "metadata.name",
        "ip-10-66-10-2",
        of("VirtualMachineIPAddressLease", name="ip-10-66-1-1"),
    ),
    "a lease's address exists": (
        of("VirtualMachineIPAddressLease", name="ip-10-66-1-999"),
        "metadata.name",
        "does not name an address",
        of("VirtualMachineIPAddressLease", name="ip-10-66-1-99"),
    ),
    "a MAC address": (
        of("VirtualMachineMACAddress", {"address": "52:54:00:12:34"}),
        "spec.address",
        "six pairs",
        of("VirtualMachineMACAddress", {"address": "52:54:00:12:34:56"}),
    ),
    "networks of addresses": (
        settings(virtualMachineCIDRs=["10.66.0.1/24"]),
        "spec.settings.virtualMachineCIDRs.0",
        "first address",
        settings(virtualMachineCIDRs=["10.66.0.0/24"]),
    ),
    "networks have room": (
        settings(virtualMachineCIDRs=["10.66.0.0/31"]),
        "spec.settings.virtualMachineCIDRs.0",
        "no room",
        settings(virtualMachineCIDRs=["10.66.0.0/30"]),
    ),
    "networks do not overlap": (
        settings(virtualMachineCIDRs=["10.66.0.0/16", "10.66.1.0/24"]),
        "spec.settings.virtualMachineCIDRs.1",
        "overlaps",
        settings(virtualMachineCIDRs=["10.66.0.0/24", "10.66.1.0/24"]),
    ),
    "one module": (
        of("ModuleConfig", {}, group="deckhouse.io/v1alpha1", name="other"),
        "metadata.name",
        "must be virtualization",
        settings(),
    ),
    "a directory is absolute": (
        storage(parameters={"path": "srv/a"}),
        "parameters.path",
        "absolute directory",
        storage(),
    ),
    "another provisioner": (
        storage(provisioner="nfs.csi.k8s.io"),
        "provisioner",
        "vmctl.dev/directory",
        storage(provisioner="vmctl.dev/directory"),
    ),
    "several ports have names": (
        service({"port": 80}, {"port": 81, "name": "b"}),
        "spec.ports.0.name",
        "needs a name",
        service({"port": 80, "name": "a"}, {"port": 81, "name": "b"}),
    ),
    "a port once": (
        service({"port": 80, "name": "a"}, {"port": 80, "name": "b"}),
        "spec.ports.0.port",
        "more than once",
        service({"port": 80, "name": "a"}, {"port": 80, "name": "b", "protocol": "UDP"}),
    ),
    "a target is a port": (
        service({"port": 80, "targetPort": 70000}),
        "spec.ports.0.targetPort",
        "1 to 65535",
        service({"port": 80, "targetPort": "web"}),
    ),
    "a node port needs its type": (
        service({"port": 80, "nodePort": 31880}),
        "spec.ports.0.nodePort",
        "set type to NodePort",
        service({"port": 80, "nodePort": 31880}, type="NodePort"),
    ),
    "an ingress leads somewhere": (
        of("Ingress", {}, group="networking.k8s.io/v1"),
        "spec.rules",
        "leads nowhere",
        of(
            "Ingress",
            {"defaultBackend": {"service": {"name": "a", "port": {"name": "web"}}}},
            group="networking.k8s.io/v1",
        ),
    ),
    "a backend has one port": (
        of(
            "Ingress",
            {"defaultBackend": {"service": {"name": "a", "port": {}}}},
            group="networking.k8s.io/v1",
        ),
        "spec.defaultBackend.service.port.number",
        "exactly one",
        of(
            "Ingress",
            {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}},
            group="networking.k8s.io/v1",
        ),
    ),
    "a VLAN has a number": (
        network(type="VLAN"),
        "spec.vlan",
        "is missing",
        network(type="VLAN", vlan={"id": 4094}),
    ),
    "Access has none": (
        network(type="Access", vlan={"id": 1}),
        "spec.vlan",
        "set type to VLAN",
        network(type="Access"),
    ),
    "templates are used": (
        pool(virtualDiskTemplates=[ROOT, CACHE, {**CACHE, "name": "spare"}]),
        "spec.virtualDiskTemplates.2",
        "exactly one",
        pool(virtualDiskTemplates=[ROOT, CACHE]),
    ),
    "refs name templates": (
        pool(virtualDiskTemplates=[ROOT]),
        "spec.virtualMachineTemplate.spec.blockDeviceRefs.1.name",
        "names no template",
        pool(virtualDiskTemplates=[CACHE, ROOT]),
    ),
    "templates differ": (
        pool(virtualDiskTemplates=[ROOT, CACHE, CACHE]),
        "spec.virtualDiskTemplates.2.name",
        "another template",
        pool(),
    ),
    "a pool is modern": (
        template(osType="Legacy"),
        "spec.virtualMachineTemplate.spec.osType",
        "does not go with a pool",
        template(osType="Windows"),
    ),
    "a pool's machines follow the rules": (
        template(cpu={"cores": 33}),
        "spec.virtualMachineTemplate.spec.cpu.cores",
        "32 or 36",
        template(liveMigrationPolicy="Manual"),
    ),
    "only what is retained is kept": (
        pool(virtualDiskTemplates=[ROOT, {**CACHE, "reclaim": {"ttl": "1h"}}]),
        "spec.virtualDiskTemplates.1.reclaim.ttl",
        "onScaleDown Retain",
        pool(virtualDiskTemplates=[ROOT, {**CACHE, "reclaim": {"onScaleDown": "Retain", "ttl": "1h"}}]),
    ),
    "what is kept needs a time": (
        pool(virtualDiskTemplates=[ROOT, {**CACHE, "reclaim": {"onScaleDown": "Retain", "keep": 1}}]),
        "spec.virtualDiskTemplates.1.reclaim.ttl",
        "is missing",
        pool(virtualDiskTemplates=[ROOT, {**CACHE, "reclaim": {"onScaleDown": "Retain", "keep": 1, "ttl": "1h"}}]),
    ),
}


def problems(document: Document) -> list[tuple[str, str]]:
    """Where and what is wrong with a document."""
    try:
        read(document)
    except ValidationError as error:
        return [(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]
    return []


@pytest.mark.parametrize(("refused", "where", "what", "accepted"), RULES.values(), ids=RULES)
def test_rule(refused: Document, where: str, what: str, accepted: Document) -> None:
    found = problems(refused)
    assert any(place == where and what in said for place, said in found), found
    assert problems(accepted) == []


def test_all_problems_of_an_object_are_told_at_once_and_each_once() -> None:
    broken = with_spec(
        osType="Legacy",
        bootloader="EFI",
        cpu={"cores": 17, "coreFraction": "200%"},
        memory={"size": "much"},
        blockDeviceRefs=[{"kind": "VirtualDisk", "name": "a"}] * 2,
        unknown=1,
    )
    broken["metadata"] = {"name": "A", "labels": {"a": 1}, "annotations": {"virtualization.deckhouse.io/b": "c"}}
    places = [place for place, _ in problems(broken)]
    assert sorted(places) == [
        "metadata.annotations.virtualization.deckhouse.io/b",
        "metadata.labels.a",
        "metadata.name",
        "spec.blockDeviceRefs.1",
        "spec.bootloader",
        "spec.cpu.coreFraction",
        "spec.cpu.cores",
        "spec.memory.size",
        "spec.unknown",
    ]


@pytest.mark.parametrize("junk", [None, 1, "text", [], {"spec": 1}, {"metadata": []}])
def test_junk_is_refused_without_failing(junk: object) -> None:
    document = {"kind": "VirtualMachine", "apiVersion": GROUP, "metadata": junk, "spec": junk}
    assert {place.partition(".")[0] for place, _ in problems(document)} >= {"metadata", "spec"}


def test_secrets_are_kept_and_never_shown() -> None:
    machine = read(with_spec(provisioning={"type": "UserData", "userData": "#cloud-config secret-word"}))
    hidden = read(secret(stringData={"password": "secret-word"}))
    for item in (machine, hidden):
        assert "secret-word" not in f"{item!r} {item}"
        assert "secret-word" in item.model_dump_json(by_alias=True)
