"""What `vmctl get` prints, against the tables that the documentation of the platform shows."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from tests.cli.conftest import add_machine, condition

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import World


def table(text: str) -> str:
    return dedent(text).lstrip("\n")


def test_three_kinds_at_once_as_the_quick_start_shows(quickstart: World) -> None:
    assert quickstart.run("get", "vi,vd,vm").out == table("""
        NAME                                              PHASE   CDROM   PROGRESS   AGE
        virtualimage.virtualization.deckhouse.io/ubuntu   Ready   false   100%       8h

        NAME                                                 PHASE   CAPACITY   AGE
        virtualdisk.virtualization.deckhouse.io/linux-disk   Ready   300Mi      7h40m

        NAME                                                  PHASE     NODE           IPADDRESS    AGE
        virtualmachine.virtualization.deckhouse.io/linux-vm   Running   virtlab-pt-2   10.66.10.2   7h46m
        """)


def test_wide_machines(quickstart: World) -> None:
    assert quickstart.run("get", "vm", "-o", "wide").out == table("""
        NAME       PHASE     CORES   COREFRACTION   MEMORY   NEED RESTART   AGENT   MIGRATABLE   NODE           IPADDRESS    AGE
        linux-vm   Running   2       100%           1Gi      True           True    False        virtlab-pt-2   10.66.10.2   7h46m
        """)  # noqa: E501


def test_wide_images_put_their_sizes_before_the_age(quickstart: World) -> None:
    heading, row = quickstart.run("get", "vi", "-owide").lines
    assert heading.split("   ")[0] == "NAME"
    assert " ".join(heading.split()) == "NAME PHASE CDROM PROGRESS STOREDSIZE UNPACKEDSIZE REGISTRY URL AGE"
    assert " ".join(row.split()) == "ubuntu Ready false 100% 285.9Mi 2.5Gi 8h"


def test_an_image_that_has_not_begun_shows_no_progress(world: World) -> None:
    world.add("VirtualImage", "ubuntu", age=4, status={"phase": "Provisioning", "cdrom": False})
    assert world.run("get", "vi").out == table("""
        NAME     PHASE          CDROM   PROGRESS   AGE
        ubuntu   Provisioning   false              4s
        """)


def test_the_default_storage_class_carries_a_mark(world: World) -> None:
    rest: dict[str, Any] = {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", "allowVolumeExpansion": True}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    world.add("StorageClass", "local", age=48 * 86400, provisioner="vmctl.dev/directory", annotations=default, **rest)
    world.add("StorageClass", "slow", age=48 * 86400, provisioner="vmctl.dev/directory", **rest)
    assert world.run("get", "storageclass").out == table("""
        NAME              PROVISIONER           RECLAIMPOLICY   VOLUMEBINDINGMODE   ALLOWVOLUMEEXPANSION   AGE
        local (default)   vmctl.dev/directory   Delete          Immediate           true                   48d
        slow              vmctl.dev/directory   Delete          Immediate           true                   48d
        """)
    assert world.run("get", "sc", "-o", "name").lines[0] == "storageclass.storage.k8s.io/local"


def test_leases_and_addresses(world: World) -> None:
    reference = {"virtualMachineIPAddressRef": {"namespace": "default", "name": "linux-vm-7prpx"}}
    world.add(
        "VirtualMachineIPAddressLease", "ip-10-66-10-14", age=12 * 3600, spec=reference, status={"phase": "Bound"}
    )
    world.add("VirtualMachineIPAddress", "linux-vm-7prpx", age=12 * 3600, status={
        "phase": "Attached", "address": "10.66.10.14", "virtualMachineName": "linux-vm"})  # fmt: skip
    assert world.run("get", "vmipl").out == table("""
        NAME             VIRTUALMACHINEIPADDRESS                           STATUS   AGE
        ip-10-66-10-14   {"name":"linux-vm-7prpx","namespace":"default"}   Bound    12h
        """)
    assert world.run("get", "vmip").out == table("""
        NAME             ADDRESS       STATUS     VM         AGE
        linux-vm-7prpx   10.66.10.14   Attached   linux-vm   12h
        """)


def test_names_with_slashes_and_names_behind_a_kind(quickstart: World) -> None:
    add_machine(quickstart, "other")
    assert quickstart.run("get", "vm", "other", "linux-vm", "-oname").lines == [
        "virtualmachine.virtualization.deckhouse.io/other",
        "virtualmachine.virtualization.deckhouse.io/linux-vm",
    ]
    mixed = quickstart.run("get", "vm/linux-vm", "vd/linux-disk")
    assert [line.split()[0].rpartition("/")[2] for line in mixed.lines if "/" in line] == ["linux-vm", "linux-disk"]
    one_kind = quickstart.run("get", "vm/linux-vm", "vm/other", "--no-headers")
    assert [line.split()[0] for line in one_kind.lines] == ["linux-vm", "other"]


def test_what_is_missing_is_named_and_the_rest_is_printed(quickstart: World) -> None:
    ran = quickstart.run("get", "vm", "linux-vm", "gone", "away")
    assert ran.code == 4
    assert ran.lines[1].startswith("linux-vm ")
    assert ran.err.splitlines() == [
        'error: virtualmachines.virtualization.deckhouse.io "gone" not found in namespace default',
        'error: virtualmachines.virtualization.deckhouse.io "away" not found in namespace default',
    ]
    quiet = quickstart.run("get", "vm", "gone", "--ignore-not-found")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_nothing_to_show(world: World) -> None:
    ran = world.run("get", "vm")
    assert (ran.code, ran.out, ran.err) == (0, "", "No resources found in default namespace.\n")
    assert world.run("get", "vm", "-n", "web").err == "No resources found in web namespace.\n"
    assert world.run("get", "vm", "-A").err == "No resources found\n"
    assert world.run("get", "cvi").err == "No resources found\n"
    assert world.run("get", "vm", "--ignore-not-found").err == ""
    assert json.loads(world.run("get", "vm", "-o", "json").out)["items"] == []
    assert not world.directory.exists()  # reading makes nothing


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["virtualmachin"], 'did you mean "VirtualMachine"?'),
        (["vm,vdd"], "did you mean"),
        ([], "say which kind"),
        (["vm/web", "db"], "KIND/NAME"),
        (["vm", "-o", "yml"], 'did you mean "yaml"?'),
        (["vm", "-o", "jsonpath="], "needs a template"),
        (["vm", "-o", "jsonpath={.a"], "not closed"),
        (["vm", "-o", "custom-columns=NAME"], "HEADING:path"),
        (["vm", "-l", "a in b"], "cannot be read"),
        (["vm", "--field-selector", "phase"], "cannot be read"),
        (["vm", "--no-such"], "--no-such"),
    ],
)
def test_bad_questions_are_usage_errors(world: World, words: list[str], said: str) -> None:
    ran = world.run("get", *words)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert said in ran.err


def test_all_namespaces(quickstart: World) -> None:
    add_machine(quickstart, "linux-vm", namespace="web", age=59)
    assert quickstart.run("get", "vm", "-A").out == table("""
        NAMESPACE   NAME       PHASE     NODE           IPADDRESS    AGE
        default     linux-vm   Running   virtlab-pt-2   10.66.10.2   7h46m
        web         linux-vm   Running   virtlab-pt-2   10.66.10.2   59s
        """)
    assert (
        quickstart.run("get", "vm", "-A", "linux-vm", "-oname").lines
        == ["virtualmachine.virtualization.deckhouse.io/linux-vm"] * 2
    )
    assert [line.split()[0] for line in quickstart.run("get", "vm", "-nweb", "--no-headers").lines] == ["linux-vm"]


def test_cluster_wide_kinds_have_no_namespace_column(world: World) -> None:
    world.add("ClusterVirtualImage", "ubuntu", status={"phase": "Ready"})
    assert world.run("get", "cvi", "-A").lines[0].split()[0] == "NAME"
    assert world.run("get", "cvi", "-n", "elsewhere").lines[1].split()[0] == "ubuntu"


def test_labels_and_selectors(world: World) -> None:
    add_machine(world, "web", labels={"tier": "front", "app": "shop"})
    add_machine(world, "db", labels={"app": "shop"}, phase="Stopped")
    add_machine(world, "bare")

    def chosen(*arguments: str) -> list[str]:
        return [line.rpartition("/")[2] for line in world.run("get", "vm", "-o", "name", *arguments).lines]

    assert chosen("-l", "app=shop") == ["db", "web"]
    assert chosen("-lapp=shop,tier!=front") == ["db"]
    assert chosen("--selector=!app") == ["bare"]
    assert chosen("-l", "tier in (front, back)") == ["web"]
    assert chosen("-l", "tier notin (front)") == ["bare", "db"]
    assert chosen("--field-selector", "status.phase!=Running") == ["db"]
    assert chosen("--field-selector=metadata.name=bare,status.phase=Running") == ["bare"]
    labelled = world.run("get", "vm", "--show-labels", "-L", "app,tier", "--no-headers").lines
    assert [line.split()[5:] for line in labelled] == [
        ["<none>"],
        ["shop", "app=shop"],
        ["shop", "front", "app=shop,tier=front"],
    ]


def test_documents(quickstart: World) -> None:
    one = json.loads(quickstart.run("get", "vm", "linux-vm", "-o=json").out)
    assert list(one) == sorted(one)
    assert one["kind"] == "VirtualMachine"
    assert one["metadata"]["generation"] == 1
    assert one["metadata"]["creationTimestamp"] == "2023-11-14T14:27:20Z"
    assert one["status"]["phase"] == "Running"
    many = json.loads(quickstart.run("get", "vi,vd,vm", "--output=json").out)
    assert [item["kind"] for item in many["items"]] == ["VirtualImage", "VirtualDisk", "VirtualMachine"]
    text = quickstart.run("get", "vm/linux-vm", "-oyaml").out
    assert YAML(typ="safe").load(text) == one
    assert text.startswith("apiVersion: virtualization.deckhouse.io/v1alpha2\nkind: VirtualMachine\nmetadata:\n")


def test_yaml_keeps_scripts_readable_and_texts_texts(world: World) -> None:
    spec = {"userData": "#cloud-config\nusers:\n  - a\n", "mac": "52:54:00:12:34:56", "no": "no", "version": "1.10"}
    world.add("VirtualMachine", "web", spec=spec)
    out = world.run("get", "vm", "web", "-o", "yaml").out
    assert "  userData: |\n    #cloud-config\n    users:\n      - a\n" in out
    assert '  "no": "no"\n' in out
    assert '  version: "1.10"\n' in out
    assert YAML(typ="safe").load(out)["spec"] == spec


def test_templates_and_own_columns(quickstart: World, tmp_path: Path) -> None:
    add_machine(quickstart, "other", phase="Stopped")
    assert quickstart.run("get", "vm", "linux-vm", "-o", "jsonpath={.status.ipAddress}").out == "10.66.10.2"
    every = '{range .items[*]}{.metadata.name}{"\\t"}{.status.phase}{"\\n"}{end}'
    assert quickstart.run("get", "vm", f"-o=jsonpath={every}").out == "linux-vm\tRunning\nother\tStopped\n"
    own = quickstart.run("get", "vm", "-o", "custom-columns=NAME:.metadata.name,CORES:.spec.cpu.cores,X:.spec.x")
    assert own.out == table("""
        NAME       CORES   X
        linux-vm   2       <none>
        other      2       <none>
        """)
    template = tmp_path / "columns"
    template.write_text("N  PHASE\nmetadata.name  status.phase\n")
    assert quickstart.run("get", "vm", "-o", f"custom-columns-file={template}").lines[2].split() == ["other", "Stopped"]
    template.write_text("{.items[*].metadata.name}")
    assert quickstart.run("get", "vm", "-o", f"jsonpath-file={template}").out == "linux-vm other"
    assert quickstart.run("get", "vm", "-o", "jsonpath-file=/no/such").code == 2


@pytest.mark.parametrize(
    ("path", "order"),
    [
        (".status.capacity", ["nothing", "small", "medium", "large"]),
        ("{.metadata.name}", ["large", "medium", "nothing", "small"]),
        ("metadata.creationTimestamp", ["small", "nothing", "medium", "large"]),
        (".status.progress", ["nothing", "large", "medium", "small"]),
    ],
)
def test_sorting_knows_sizes_numbers_and_times(world: World, path: str, order: list[str]) -> None:
    for age, (name, status) in enumerate([
        ("large", {"capacity": "1.5Gi", "progress": "9%"}),
        ("medium", {"capacity": "900Mi", "progress": "10%"}),
        ("nothing", {}),
        ("small", {"capacity": "1k", "progress": "100.0%"}),
    ]):  # fmt: skip
        world.add("VirtualDisk", name, age=age * 1000, status=status)
    assert [line.split()[0] for line in world.run("get", "vd", "--no-headers", f"--sort-by={path}").lines] == order


def test_categories(quickstart: World) -> None:
    quickstart.add("ClusterVirtualImage", "base", status={"phase": "Ready"})
    quickstart.add("Secret", "hidden", data={})
    kinds = [line.partition(".")[0] for line in quickstart.run("get", "all", "-o", "name").lines]
    assert kinds == ["virtualimage", "virtualdisk", "virtualmachine"]
    cluster = quickstart.run("get", "virtualization-cluster", "-o", "name").lines
    assert cluster == ["clustervirtualimage.virtualization.deckhouse.io/base"]


def test_events_are_listed_by_time(quickstart: World) -> None:
    quickstart.event("VirtualMachine", "linux-vm", "Stopped", "powered off", age=300, type="Warning")
    quickstart.event("VirtualDisk", "linux-disk", "Ready", "disk made\nsecond line", age=21)
    quickstart.event("VirtualDisk", "far", "Ready", "elsewhere", age=5, namespace="web")
    assert quickstart.run("get", "events").out == table("""
        LAST SEEN   TYPE      REASON    OBJECT                    MESSAGE
        5m          Warning   Stopped   virtualmachine/linux-vm   powered off
        21s         Normal    Ready     virtualdisk/linux-disk    disk made...
        """)
    assert len(quickstart.run("get", "ev", "-A").lines) == 4


def test_guests_cannot_steer_the_terminal(world: World) -> None:
    add_machine(world, "web", status={"ipAddress": "\x1b[2J\x1b]0;owned\x07"})
    out = world.run("get", "vm").out
    assert "\x1b" not in out
    assert "^[[2J" in out


def test_a_condition_without_a_listing_counts_as_false(world: World) -> None:
    add_machine(world, "web", status={"conditions": [condition("AgentReady", "Unknown")]})
    row = world.run("get", "vm", "-owide", "--no-headers").lines[0].split()
    assert row[5:8] == ["False", "False", "False"]


def test_a_thousand_objects(world: World) -> None:
    with world.store.batch():
        for number in range(1000):
            add_machine(world, f"vm-{number:04}")
    assert len(world.run("get", "vm", "--no-headers").lines) == 1000


def test_the_objects_of_manifests(quickstart: World, tmp_path: Path) -> None:
    add_machine(quickstart, "other")
    add_machine(quickstart, "far", namespace="web")
    manifest = (
        "apiVersion: virtualization.deckhouse.io/v1alpha2\nkind: VirtualMachine\nmetadata: {{name: {name}}}\n"
        "spec: {{virtualMachineClassName: host, cpu: {{cores: 1}}, memory: {{size: 1Gi}},"
        " blockDeviceRefs: [{{kind: VirtualDisk, name: d}}]}}\n"
    )
    (tmp_path / "a.yaml").write_text(manifest.format(name="linux-vm"))
    (tmp_path / "b.yaml").write_text(manifest.format(name="far, namespace: web"))
    found = quickstart.run("get", "-f", str(tmp_path), "--no-headers")
    assert [line.split()[0] for line in found.lines] == ["linux-vm", "far"]
    assert quickstart.run("describe", "-f", str(tmp_path / "a.yaml")).lines[0].split() == ["Name:", "linux-vm"]
    assert quickstart.run("wait", "-f", str(tmp_path), "--for=condition=AgentReady").code == 0
    assert quickstart.run("get", "vm", "-f", str(tmp_path)).code == 2
    (tmp_path / "c.yaml").write_text(manifest.format(name="gone"))
    assert quickstart.run("get", "-f", str(tmp_path)).code == 4
    (tmp_path / "d.yaml").write_text("kind: [")
    assert quickstart.run("get", "-f", str(tmp_path)).code == 2


def test_without_an_engine_and_without_libvirt_the_age_of_what_is_shown_is_told(quickstart: World) -> None:
    quickstart.rest()
    ran = quickstart.run("get", "vm", "--libvirt-uri", "qemu+unix:///system?socket=/nonexistent/socket")
    assert ran.code == 0
    assert ran.lines[1].split()[:2] == ["linux-vm", "Running"]
    assert "no apply is running" in ran.err
