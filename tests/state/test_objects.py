"""What apply, replace and the other verbs do to one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.state.samples import document, machine
from vmctl.errors import Bug, ChangeRefused, NotFoundError
from vmctl.resources.keys import Key
from vmctl.state.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.state.conftest import Clock

VM = machine("linux-vm")


def test_an_object_is_created_then_unchanged_then_configured(store: Store) -> None:
    created, how = store.apply(VM, document())
    assert (how, created.generation, created.resource_version) == ("created", 1, 1)
    again, how = store.apply(VM, document())
    assert (how, again) == ("unchanged", created)
    changed, how = store.apply(VM, document(cores=2))
    assert (how, changed.generation, changed.resource_version) == ("configured", 2, 2)
    assert changed.uid == created.uid
    assert store.get(VM) == changed


def test_labels_move_the_version_and_not_the_generation(store: Store) -> None:
    store.apply(VM, document())
    labelled, how = store.apply(VM, document(labels={"app": "nginx"}))
    assert (how, labelled.generation, labelled.resource_version) == ("configured", 1, 2)


def test_a_number_and_a_truth_value_are_different_intents(store: Store) -> None:
    store.apply(VM, {**document(), "spec": {"enabled": 1}})
    changed, how = store.apply(VM, {**document(), "spec": {"enabled": True}})
    assert (how, changed.generation) == ("configured", 2)


def test_what_a_user_labelled_survives_an_apply(store: Store) -> None:
    first, _ = store.apply(VM, document(labels={"app": "nginx", "tier": "web"}))
    labels = {**first.document["metadata"]["labels"], "owner": "ada"}
    store.replace(VM, document(labels=labels))
    merged, _ = store.apply(VM, document(labels={"app": "caddy"}))
    assert merged.document["metadata"]["labels"] == {"app": "caddy", "owner": "ada"}


def test_finalizers_and_owners_set_by_the_engine_survive_an_apply(store: Store) -> None:
    store.apply(VM, document(finalizers=["mine"]))
    store.replace(VM, document(finalizers=["mine", "vmctl.dev/in-use"]))
    both, how = store.apply(VM, document(finalizers=["mine"]))
    assert (how, both.document["metadata"]["finalizers"]) == ("unchanged", ["mine", "vmctl.dev/in-use"])
    one, _ = store.apply(VM, document())
    assert one.document["metadata"]["finalizers"] == ["vmctl.dev/in-use"]


def test_an_owner_reference_is_known_by_its_uid(store: Store) -> None:
    old = {"kind": "VirtualMachine", "name": "a", "uid": "1", "controller": False}
    store.apply(VM, document(ownerReferences=[old]))
    merged, _ = store.apply(VM, document(ownerReferences=[{**old, "controller": True}]))
    assert merged.document["metadata"]["ownerReferences"] == [{**old, "controller": True}]


def test_a_document_copied_from_a_listing_is_stored_without_what_the_store_gives(store: Store) -> None:
    stored, _ = store.apply(VM, document())
    store.set_status(stored.uid, {"phase": "Running"})
    shown = store.get(VM)
    assert shown is not None
    again, how = store.apply(VM, shown.manifest())
    assert how == "unchanged"
    assert again.document == stored.document


def test_the_manifest_is_what_kubectl_would_show(store: Store, clock: Clock) -> None:
    stored, _ = store.apply(VM, document(labels={"app": "nginx"}))
    store.set_status(stored.uid, {"phase": "Running"})
    clock.now += 61
    marked = store.mark_deleted(VM)
    assert marked is not None
    assert marked.manifest() == {
        "apiVersion": "virtualization.deckhouse.io/v1alpha2",
        "kind": "VirtualMachine",
        "metadata": {
            "name": "linux-vm",
            "namespace": "default",
            "uid": stored.uid,
            "generation": 1,
            "resourceVersion": "3",
            "creationTimestamp": "2001-09-09T01:46:40Z",
            "deletionTimestamp": "2001-09-09T01:47:41Z",
            "labels": {"app": "nginx"},
        },
        "spec": {"cpu": {"cores": 1}},
        "status": {"phase": "Running"},
    }


def test_an_object_of_the_whole_cluster_has_no_namespace(store: Store) -> None:
    image = Key("ClusterVirtualImage", "", "debian")
    stored, _ = store.apply(image, {"apiVersion": "v", "kind": "ClusterVirtualImage", "metadata": {"name": "debian"}})
    assert "namespace" not in stored.manifest()["metadata"]


def test_deletion_is_marked_once(store: Store, clock: Clock) -> None:
    store.apply(VM, document())
    marked = store.mark_deleted(VM)
    clock.now += 5
    assert store.mark_deleted(VM) == marked == store.get(VM)
    assert store.mark_deleted(machine("absent")) is None


def test_removing_forgets_mark_and_steps_and_keeps_events(store: Store) -> None:
    stored, _ = store.apply(VM, document())
    store.settle(stored.uid, "digest")
    store.begin(stored.uid, "start", {})
    store.record_event(VM, "Normal", "Started", "The machine was started", uid=stored.uid)
    store.remove(stored.uid)
    store.remove(stored.uid)
    assert (store.get(VM), store.settled(), store.unfinished()) == (None, {}, [])
    assert [event.reason for event in store.events(VM)] == ["Started"]


def test_an_object_made_again_has_another_uid_and_a_later_version(store: Store) -> None:
    first, _ = store.apply(VM, document())
    store.remove(first.uid)
    second, how = store.apply(VM, document())
    assert how == "created"
    assert second.uid != first.uid
    assert second.resource_version > first.resource_version


def test_create_refuses_a_name_that_is_taken(store: Store) -> None:
    assert store.create(VM, document(), uid="11111111-1111-4111-8111-111111111111").uid.startswith("1111")
    with pytest.raises(ChangeRefused, match="VirtualMachine linux-vm already exists"):
        store.create(VM, document())


def test_replace_with_an_old_version_is_refused(store: Store) -> None:
    old, _ = store.apply(VM, document())
    store.replace(VM, document(cores=2), resource_version=old.resource_version)
    with pytest.raises(ChangeRefused, match="changed while it was being edited"):
        store.replace(VM, document(cores=3), resource_version=old.resource_version)
    with pytest.raises(ChangeRefused):
        store.replace(machine("absent"), document(), resource_version=1)


def test_status_moves_the_version_only_when_it_differs(store: Store) -> None:
    stored, _ = store.apply(VM, document())
    assert store.set_status(stored.uid, {"phase": "Running", "observedGeneration": 1})
    assert not store.set_status(stored.uid, {"observedGeneration": 1, "phase": "Running"})
    assert not store.set_status("absent", {"phase": "Running"})
    found = store.get(VM)
    assert found is not None
    assert (found.status["phase"], found.generation, found.resource_version) == ("Running", 1, 2)


def test_a_listing_goes_by_priority_then_by_name(store: Store) -> None:
    keys = [
        machine("b", "west"),
        machine("b", "east"),
        machine("a", "west"),
        Key("VirtualDisk", "west", "z"),
        Key("Node", "", "host"),
    ]
    for key in keys:
        store.apply(key, {"apiVersion": "v", "kind": key.kind, "metadata": {"name": key.name}})
    assert [stored.key for stored in store.list()] == [keys[4], keys[3], keys[1], keys[2], keys[0]]
    assert [stored.key for stored in store.list("VirtualMachine", "west")] == [keys[2], keys[0]]
    assert [stored.key for stored in store.list(namespace="east")] == [keys[1]]
    assert store.list("VirtualMachineClass") == []


def test_another_directory_cannot_take_what_one_owns(store: Store) -> None:
    store.record_source("one", "/srv/one")
    store.apply(VM, document(), source="one", file="/srv/one/vm.yaml", line=3)
    with pytest.raises(ChangeRefused, match=r"belongs to /srv/one \(/srv/one/vm.yaml:3\)") as refused:
        store.apply(VM, document(cores=2), source="two", file="/srv/two/vm.yaml", line=1)
    assert "--take-over" in refused.value.remedy
    moved, how = store.apply(VM, document(), source="two", file="/srv/two/vm.yaml", line=1, take_over=True)
    assert (how, moved.source, moved.resource_version) == ("unchanged", "two", 1)
    assert store.inventory("one") == []
    assert store.inventory("two") == [moved] == [store.get(VM)]
    assert (store.owned("one"), store.owned("two")) == ({}, {VM: ("/srv/two/vm.yaml", 1)})


def test_a_directory_under_its_old_and_its_new_id_is_no_other_owner(store: Store) -> None:
    store.record_source("path:/srv/one", "/srv/one")
    store.apply(VM, document(), source="path:/srv/one", file="/srv/one/vm.yaml", line=3)
    store.refuse_other_owners([VM, machine("absent")], "git:c0ffee:.", "path:/srv/one")
    store.refuse_other_owners([VM], "")
    with pytest.raises(ChangeRefused, match="belongs to /srv/one"):
        store.refuse_other_owners([VM], "git:c0ffee:.")


def test_a_single_file_changes_what_a_directory_owns_and_owns_nothing(store: Store) -> None:
    store.apply(VM, document(), source="one", file="/srv/one/vm.yaml", line=3)
    changed, how = store.apply(VM, document(cores=2), file="/elsewhere/vm.yaml", line=1)
    assert (how, changed.source, changed.file, changed.line) == ("configured", "one", "/srv/one/vm.yaml", 3)
    free, _ = store.apply(machine("free"), document("free"), file="/elsewhere/vm.yaml", line=9)
    assert (free.source, free.line) == ("", 9)
    assert store.inventory("") == []
    assert store.owned("") == {}


def test_adopting_changes_the_owner_and_nothing_else(store: Store) -> None:
    before, _ = store.apply(VM, document())
    store.adopt(VM, "one", "/srv/one/vm.yaml", 3)
    after = store.get(VM)
    assert after is not None
    assert (after.source, after.file, after.line) == ("one", "/srv/one/vm.yaml", 3)
    assert (after.resource_version, after.document) == (before.resource_version, before.document)
    with pytest.raises(NotFoundError, match="VirtualMachine absent does not exist"):
        store.adopt(machine("absent"), "one", "", 0)


def test_replace_keeps_the_owner_and_the_place(store: Store) -> None:
    store.apply(VM, document(), source="one", file="/srv/one/vm.yaml", line=3)
    replaced, how = store.replace(VM, document(annotations={"note": "x"}))
    assert (how, replaced.source, replaced.line, replaced.generation) == ("configured", "one", 3, 1)


def test_text_of_any_language_comes_back_as_it_was(store: Store) -> None:
    text = {"note": "виртуальная машина \U0001f5a5 \ud800 \x00"}
    store.apply(VM, document(annotations=text))
    found = store.get(VM)
    assert found is not None
    assert found.document["metadata"]["annotations"] == text


def test_a_store_opened_for_reading_refuses_to_write(store: Store, directory: Path, clock: Clock) -> None:
    store.apply(VM, document())
    with Store.open(directory, clock=clock, readonly=True) as reading:
        assert [stored.key for stored in reading.list()] == [VM]
        with pytest.raises(Bug):
            reading.apply(VM, document(cores=2))
