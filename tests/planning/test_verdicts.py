"""What a change of each field costs, as one table: every place of the kinds that act, and every verdict it comes to."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vmctl.planning.changes import as_yaml, judge
from vmctl.planning.diff import diff, walk
from vmctl.resources import registry
from vmctl.resources.policies import FEATURE_GATES, Change, Effect, Facts, Verdict, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]
GOLDEN = Path(__file__).parent / "verdicts.golden"
CLOSED = Facts(hash_key=b"k", agent=True, most_cores=4, most_memory_bytes=4 << 30)
OPEN = replace(CLOSED, gates=frozenset(FEATURE_GATES))
MACHINE = {
    "gates closed": CLOSED,
    "gates open": OPEN,
    "  and started before they were": replace(OPEN, most_cores=0, most_memory_bytes=0),
    "  and no agent": replace(OPEN, agent=False),
    "  and osType Legacy": replace(OPEN, os_type="Legacy"),
    "  and no paravirtualization": replace(OPEN, paravirtualized=False),
    "  and refused by the host": replace(OPEN, host_refused={"": "the host's words"}),
}
CONTENT = {"before Ready": replace(CLOSED, settled=False), "once Ready": CLOSED}
NOW = {"": CLOSED}


@dataclass(frozen=True)
class Edits:
    """A manifest and edits of it: of each the place, what stands there before (None: nothing) and after."""

    manifest: Json
    edits: list[tuple[str, Any, Any]]
    facts: Mapping[str, Facts]


ROOT, DATA, TOOLS = (
    {"kind": kind, "name": name}
    for kind, name in (("VirtualDisk", "root"), ("VirtualDisk", "data"), ("VirtualImage", "tools"))
)
NEVER_BY_AN_EDIT = {
    # places that have a policy, because what is observed may be anything, and that no edit of a manifest reaches
    r"\.\*\.(kind|type|name)$": "it names an item of the list: another one is another item",
    r"\.(provisioning|dataSource)\.type$": "another type is told as a change of the whole",
    r"\.(userDataRef|sysprepRef|http|containerImage|objectRef)$": "its type demands it, so it comes and goes with that",
    r"(userDataRef|sysprepRef)\.kind$": "there is one value",
    r"\.disruptions$": "it is never absent",
    r"^metadata\.(?!name|labels|annotations)": "the store sets it, or keeps what it has",
}


def source(**fields: Any) -> Json:
    """A data source of the type that its one field belongs to."""
    (name,) = fields
    return {"type": "HTTP" if name == "http" else name[0].upper() + name[1:], **fields}


def http(**fields: Any) -> Json:
    return source(http={"url": "https://example.org/a", **fields})


def sums(digit: str) -> Json:
    lengths = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128, "streebog256": 64, "streebog512": 128}
    return {name: digit * length for name, length in lengths.items()}


def sources(*, cluster: bool = False) -> list[tuple[str, Any, Any]]:
    """Edits of a data source, which images and disks share."""
    where = {"namespace": "team"} if cluster else {}
    elsewhere = {"namespace": "other"} if cluster else {}
    return [
        ("dataSource", http(), http(url="https://example.org/b")),
        ("dataSource", http(), http(checksum=sums("0"))),
        ("dataSource", http(checksum=sums("0")), http(checksum=sums("1"))),
        ("dataSource", http(caBundle="AAAA"), http(caBundle="BBBB")),
        ("dataSource", http(), source(containerImage={"image": "example.org/a:1"})),
        (
            "dataSource",
            source(containerImage={"image": "example.org/a:1"}),
            source(containerImage={"image": "example.org/a:2", "imagePullSecret": {"name": "a"}, "caBundle": "AAAA"}),
        ),
        (
            "dataSource",
            source(containerImage={"image": "example.org/a:1", "imagePullSecret": {"name": "a", **where}}),
            source(containerImage={"image": "example.org/a:1", "imagePullSecret": {"name": "b", **elsewhere}}),
        ),
        (
            "dataSource",
            source(objectRef={"kind": "VirtualImage", "name": "a", **where}),
            source(objectRef={"kind": "ClusterVirtualImage", "name": "b"}),
        ),
        ("dataSource", {"type": "Upload"}, source(upload={"checksum": sums("0")})),
        ("dataSource", source(upload={}), source(upload={"checksum": sums("0")})),
        ("dataSource", source(upload={"checksum": sums("0")}), source(upload={"checksum": sums("1")})),
    ]


KINDS: dict[str, Edits] = {
    "VirtualMachine": Edits(
        {
            "virtualMachineClassName": "generic",
            "cpu": {"cores": 2},
            "memory": {"size": "2Gi"},
            "blockDeviceRefs": [ROOT, DATA],
        },
        [
            ("metadata.labels", None, {"tier": "front"}),
            ("metadata.annotations", None, {"example.org/a": "b"}),
            ("metadata.namespace", "default", "other"),
            ("metadata.name", "it", "other"),
            ("runPolicy", None, "AlwaysOff"),
            ("liveMigrationPolicy", None, "AlwaysSafe"),
            ("disruptions", None, {"restartApprovalMode": "Automatic"}),
            ("affinity", None, {"nodeAffinity": {}}),
            ("nodeSelector", None, {"zone": "a"}),
            ("tolerations", None, [{"operator": "Exists"}]),
            (
                "topologySpreadConstraints",
                None,
                [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            ),
            ("priorityClassName", None, "high"),
            ("terminationGracePeriodSeconds", None, 5),
            ("virtualMachineClassName", "generic", "host"),
            ("osType", None, "Windows"),
            ("bootloader", None, "EFI"),
            ("enableParavirtualization", None, False),
            ("cpu.cores", 2, 3),
            ("cpu.cores", 2, 1),
            ("cpu.cores", 2, 5),
            ("cpu.coreFraction", "100%", "50%"),
            ("memory.size", "2Gi", "3Gi"),
            ("memory.size", "2Gi", "1Gi"),
            ("memory.size", "2Gi", "5Gi"),
            ("blockDeviceRefs", [ROOT], [ROOT, DATA]),
            ("blockDeviceRefs", [ROOT, DATA], [ROOT]),
            ("blockDeviceRefs", [ROOT, DATA], [ROOT, TOOLS]),
            ("blockDeviceRefs", [ROOT, DATA], [DATA, ROOT]),
            ("blockDeviceRefs", [ROOT, DATA], [ROOT, {**DATA, "bootOrder": 1}]),
            ("provisioning", None, {"type": "UserData", "userData": "#cloud-config"}),
            ("provisioning", {"type": "UserData", "userData": "a"}, {"type": "UserData", "userData": "b"}),
            (
                "provisioning",
                {"type": "UserDataRef", "userDataRef": {"name": "a"}},
                {"type": "UserDataRef", "userDataRef": {"name": "b"}},
            ),
            (
                "provisioning",
                {"type": "SysprepRef", "sysprepRef": {"name": "a"}},
                {"type": "SysprepRef", "sysprepRef": {"name": "b"}},
            ),
            (
                "provisioning",
                {"type": "UserDataRef", "userDataRef": {"name": "a"}},
                {"type": "SysprepRef", "sysprepRef": {"name": "a"}},
            ),
            ("provisioning", {"type": "UserDataRef", "userDataRef": {"name": "a"}}, None),
            ("provisioning", {"type": "SysprepRef", "sysprepRef": {"name": "a"}}, None),
            ("networks", [{"type": "Main"}], [{"type": "Main"}, {"type": "Network", "name": "lab"}]),
            (
                "networks",
                [{"type": "Main"}, {"type": "Network", "name": "lab"}],
                [
                    {"type": "Main"},
                    {
                        "type": "Network",
                        "name": "lab",
                        "id": 2,
                        "virtualMachineMACAddressName": "a",
                        "ipAddressName": "a",
                    },
                ],
            ),
            ("virtualMachineIPAddressName", "a", "b"),
            ("virtualMachineIPAddressName", "a", None),
            ("usbDevices", None, [{"name": "key"}]),
            ("gpus", None, [{"gpuClassName": "small"}]),
        ],
        MACHINE,
    ),
    "VirtualDisk": Edits(
        {"persistentVolumeClaim": {"size": "2Gi"}, "dataSource": http()},
        [
            ("persistentVolumeClaim.size", "2Gi", "3Gi"),
            ("persistentVolumeClaim.size", "2Gi", "1Gi"),
            ("persistentVolumeClaim.size", "2Gi", None),
            ("persistentVolumeClaim.storageClassName", "slow", "fast"),
            ("persistentVolumeClaim", None, {"storageClassName": "fast"}),
            ("dataSource", http(), None),
            *sources(),
        ],
        CONTENT,
    ),
    "VirtualImage": Edits(
        {
            "storage": "PersistentVolumeClaim",
            "persistentVolumeClaim": {"storageClassName": "slow"},
            "dataSource": http(),
        },
        [
            ("storage", "PersistentVolumeClaim", "Kubernetes"),
            ("persistentVolumeClaim", None, {"storageClassName": "fast"}),
            ("persistentVolumeClaim.storageClassName", "slow", "fast"),
            *sources(),
        ],
        CONTENT,
    ),
    "ClusterVirtualImage": Edits({"dataSource": http()}, sources(cluster=True), CONTENT),
    "VirtualMachineClass": Edits(
        {"cpu": {"type": "Host"}},
        [
            ("cpu", {"type": "Host"}, {"type": "Model", "model": "Nehalem"}),
            ("cpu", {"type": "Model", "model": "Nehalem"}, {"type": "Model", "model": "IvyBridge"}),
            ("cpu", {"type": "Features", "features": ["aes"]}, {"type": "Features", "features": ["avx"]}),
            ("cpu", {"type": "Discovery"}, {"type": "Discovery", "discovery": {}}),
            (
                "cpu",
                {"type": "Discovery", "discovery": {}},
                {"type": "Discovery", "discovery": {"nodeSelector": {"matchLabels": {"zone": "a"}}}},
            ),
            ("nodeSelector", None, {"matchLabels": {"zone": "a"}}),
            ("tolerations", None, [{"operator": "Exists"}]),
            ("sizingPolicies", None, [{"cores": {"min": 1, "max": 4}}]),
        ],
        NOW,
    ),
    "VirtualMachineBlockDeviceAttachment": Edits(
        {"virtualMachineName": "web", "blockDeviceRef": DATA},
        [
            ("virtualMachineName", "web", "db"),
            ("blockDeviceRef", DATA, {**TOOLS, "name": "data"}),
            ("blockDeviceRef", DATA, {**DATA, "name": "other"}),
        ],
        NOW,
    ),
}


def with_value(manifest: Json, place: str, value: Any) -> Json:
    """The manifest with another value at a place of its spec, or of its metadata."""
    result = deepcopy(manifest)
    *groups, name = place.split(".") if place.startswith("metadata.") else f"spec.{place}".split(".")
    group = result
    for part in groups:
        group = group.setdefault(part, {})
    group.pop(name, None)
    return result if value is None else _put(result, groups, name, value)


def _put(result: Json, groups: list[str], name: str, value: Any) -> Json:
    group = result
    for part in groups:
        group = group[part]
    group[name] = value
    return result


def sets(kind: str) -> Iterator[tuple[str, list[Change]]]:
    """What each edit of a kind comes to, and how it is shown where it comes to nothing."""
    known, edits = registry.BY_NAME[kind], KINDS[kind]
    whole = {"apiVersion": known.api_version, "kind": kind, "metadata": {"name": "it"}, "spec": edits.manifest}
    for place, old, new in edits.edits:
        before, after = (known.model().model_validate(with_value(whole, place, value)) for value in (old, new))
        yield _shown(f"spec.{place}", old, new), list(diff(before, after))


def changes(kind: str) -> Iterator[tuple[str, Change]]:
    """Every change that the edits of a kind come to, and how it is shown."""
    for _, found in sets(kind):
        for change in found:
            yield _shown(dotted(change.path), change.old, change.new), change


def _shown(place: str, old: object, new: object) -> str:
    return f"{place}: {_short(old)} → {_short(new)}"


def _short(value: object) -> str:
    text = json.dumps(as_yaml(value), sort_keys=True) if value is not None else "nothing"
    return text if len(text) <= 60 else f"{text[:40]} … {text[-12:]}"


def verdicts(kind: str, change: Change) -> Iterator[tuple[str, Verdict]]:
    """What each state of things makes of a change; of those that differ in a detail, what is not as with open gates."""
    usual = None
    for name, facts in KINDS[kind].facts.items():
        refused = {dotted(change.path): facts.host_refused[""]} if facts.host_refused else {}
        verdict = judge(change, replace(facts, host_refused=refused)).verdict
        if not name.startswith(" ") or verdict != usual:
            yield name, verdict
        usual = usual if name.startswith(" ") else verdict


def table(kind: str) -> str:
    """The changes of a kind with their verdicts; what is the same whatever the state of things is said once."""
    lines = [f"==== {kind}", ""]
    for shown, found in sets(kind):
        lines += [] if found else [shown, "    no change: it stays as it is"]
        for change in found:
            lines.append(_shown(dotted(change.path), change.old, change.new))
            known = list(verdicts(kind, change))
            if len({verdict for _, verdict in known}) == 1:
                known = [("", known[0][1])]
            lines += [f"    {name}{': ' if name else ''}{_told(verdict)}" for name, verdict in known]
    return "\n".join(lines) + "\n"


def _told(verdict: Verdict) -> str:
    effect = {Effect.NONE: "at once", Effect.LIVE: "live", Effect.RESTART: "at next start", Effect.REFUSE: "refused"}
    verb = f" by {verdict.verb}" if verdict.verb else ""
    return f"{effect[verdict.effect]}{verb}{f' ({verdict.reason})' if verdict.reason else ''}"


def test_the_table(request: pytest.FixtureRequest) -> None:
    found = "\n".join(table(kind) for kind in KINDS)
    if request.config.getoption("--regenerate", default=False):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def places(kind: str) -> Mapping[str, Change]:
    """The places of a kind that edits reach; the envelope is one for all, and shown with the machine."""
    found = walk(registry.BY_NAME[kind].model())
    return {
        place: declared
        for place, declared in found.items()
        if (kind == "VirtualMachine" or not place.startswith("metadata."))
        and not any(re.search(never, place) for never in NEVER_BY_AN_EDIT)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_is_in_it(kind: str) -> None:
    reached = {re.sub(r"\.\d+(?=\.|$)", ".*", dotted(change.path)).removesuffix(".*") for _, change in changes(kind)}
    assert not {*places(kind)} - reached


@pytest.mark.parametrize("never", NEVER_BY_AN_EDIT)
def test_what_is_said_to_be_out_of_reach_is(never: str) -> None:
    every = {place for kind in KINDS for place in walk(registry.BY_NAME[kind].model()) if re.search(never, place)}
    assert every
    assert not every & {
        re.sub(r"\.\d+(?=\.|$)", ".*", dotted(change.path)) for kind in KINDS for _, change in changes(kind)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_reason_and_every_need_is_met_in_it(kind: str) -> None:
    """What a rule's own sentence can answer, some change is answered."""
    said = "\n".join(verdict.reason for _, change in changes(kind) for _, verdict in verdicts(kind, change))
    for place, declared in places(kind).items():
        doc = declared.policy.change.doc
        for reason in re.findall(r"(?:start|never) \(([^()]*)\)", doc):
            assert reason in said, f"{place}: {reason}"
        for needs in re.findall(r"needs ([^()]*)\)", doc):
            for need in needs.split(" and "):
                assert need in said, f"{place}: {need}"


AT_ONCE = {  # the table of the guide; all else of a spec waits for a restart
    "metadata.labels",
    "metadata.annotations",
    "spec.liveMigrationPolicy",
    "spec.runPolicy",
    "spec.disruptions.restartApprovalMode",
    "spec.affinity",
    "spec.nodeSelector",
}
MEANINGLESS = {"spec.tolerations", "spec.topologySpreadConstraints", "spec.priorityClassName"}  # on one host


def test_with_gates_closed_a_machine_changes_as_the_guide_says() -> None:
    for shown, change in changes("VirtualMachine"):
        effect = judge(change, CLOSED).verdict.effect
        path = dotted(change.path)
        if path in AT_ONCE | MEANINGLESS:
            assert effect is Effect.NONE, shown
        elif path.startswith("spec."):
            assert effect is Effect.RESTART, shown
        else:
            assert effect is Effect.REFUSE, shown
