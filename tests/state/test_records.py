"""Events, the journal, sources and layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.state.samples import document, machine
from vmctl.errors import Bug
from vmctl.state.events import KEPT
from vmctl.state.layers import Layer

if TYPE_CHECKING:
    from tests.state.conftest import Clock
    from vmctl.state.store import Store

VM = machine("linux-vm")


def test_a_repeated_event_is_counted(store: Store, clock: Clock) -> None:
    store.record_event(VM, "Normal", "Started", "Started by its policy", uid="u1")
    clock.now += 60
    store.record_event(VM, "Normal", "Started", "Started by its policy", uid="u1")
    store.record_event(VM, "Normal", "Started", "Started by its policy", uid="u2")
    first, second = store.events(VM)
    assert (first.uid, first.count, first.last - first.first) == ("u1", 2, 60)
    assert (second.uid, second.count) == ("u2", 1)


def test_events_are_listed_oldest_first_by_object_and_by_namespace(store: Store, clock: Clock) -> None:
    for name, namespace in (("a", "east"), ("b", "west"), ("a", "east")):
        clock.now += 1
        store.record_event(machine(name, namespace), "Warning", f"R{clock.now:.0f}", "text")
    assert [event.key.name for event in store.events()] == ["a", "b", "a"]
    assert [event.key.name for event in store.events(namespace="west")] == ["b"]
    assert [event.reason for event in store.events(machine("a", "east"))] == ["R1000000001", "R1000000003"]


def test_only_the_newest_events_are_kept(store: Store, clock: Clock) -> None:
    with store.batch(durable=False):
        for number in range(KEPT + 300):
            clock.now += 1
            store.record_event(VM, "Normal", "Counted", str(number))
            store.record_event(VM, "Normal", "Recurring", "an old event that goes on happening")
    messages = {event.message for event in store.events()}
    assert len(messages) == KEPT
    assert "an old event that goes on happening" in messages
    assert str(KEPT + 299) in messages
    assert "0" not in messages
    with store._database.reading() as connection:
        rows = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    assert KEPT <= rows < KEPT + 64  # those beyond are dropped in passing


def test_a_step_is_unfinished_until_it_is_struck_out(store: Store, clock: Clock) -> None:
    one = store.begin("u1", "create-layer", {"id": "x", "size": 1})
    clock.now += 1
    two = store.begin("u2", "start", {})
    assert [(entry.id, entry.uid, entry.step, entry.detail) for entry in store.unfinished()] == [
        (one, "u1", "create-layer", {"id": "x", "size": 1}),
        (two, "u2", "start", {}),
    ]
    assert store.unfinished()[1].begun == clock.now
    store.finish(one)
    store.finish(one)
    assert [entry.id for entry in store.unfinished()] == [two]


def test_a_number_of_a_step_is_never_given_again(store: Store) -> None:
    one = store.begin("u1", "start", {})
    store.finish(one)
    assert store.begin("u1", "start", {}) > one


def test_a_step_cannot_begin_where_nothing_is_durable_yet(store: Store) -> None:
    with store.batch(), pytest.raises(Bug, match="inside a batch"):
        store.begin("u1", "start", {})


def test_settled_marks_are_set_and_replaced(store: Store) -> None:
    store.settle("u1", "a")
    store.settle("u1", "b")
    store.settle("u2", "c")
    assert store.settled() == {"u1": "b", "u2": "c"}


def test_notes_are_replaced_by_name_and_go_with_the_object(store: Store) -> None:
    stored, _ = store.apply(VM, document())
    store.note(stored.uid, "power", "on")
    store.note(stored.uid, "power", "off")
    store.note("another", "power", "on")
    assert store.notes(stored.uid) == {"power": "off"}
    store.note(stored.uid, "power", "")
    assert store.notes(stored.uid) == {}, "an empty text is none"
    store.note(stored.uid, "power", "off")
    store.remove(stored.uid)
    assert store.notes(stored.uid) == {}
    assert store.notes("another") == {"power": "on"}


def test_a_source_is_seen_again_and_forgotten(store: Store, clock: Clock) -> None:
    store.record_source("one", "/srv/one", "c0ffee")
    clock.now += 1
    store.record_source("one", "/srv/renamed", "decade")
    store.record_source("two", "/srv/two")
    assert [(source.id, source.directory, source.revision) for source in store.sources()] == [
        ("one", "/srv/renamed", "decade"),
        ("two", "/srv/two", ""),
    ]
    assert store.sources()[0].seen == clock.now


def test_a_directory_that_moved_takes_the_places_of_its_objects_along(store: Store) -> None:
    store.record_source("one", "/srv/one")
    store.apply(VM, document(), source="one", file="/srv/one/below/vm.yaml", line=3)
    store.apply(machine("other"), document("other"), source="two", file="/srv/one/other.yaml", line=1)
    store.record_source("one", "/home/clone")
    assert store.owned("one") == {VM: ("/home/clone/below/vm.yaml", 3)}
    assert store.owned("two") == {machine("other"): ("/srv/one/other.yaml", 1)}


def test_a_source_under_another_id_keeps_what_it_owns_and_remembers(store: Store) -> None:
    store.record_source("path:/srv/one", "/srv/one")
    store.remember("path:/srv/one", VM, "digest")
    store.note("path:/srv/one", "unread", "[]")
    stored, _ = store.apply(VM, document(), source="path:/srv/one")
    store.rename_source("path:/srv/one", "git:c0ffee:.")
    store.rename_source("path:/srv/one", "git:c0ffee:.")
    assert store.get(VM) == replace(stored, source="git:c0ffee:.")
    assert [source.id for source in store.sources()] == ["git:c0ffee:."]
    assert store.orders() == [("git:c0ffee:.", VM, "digest")]
    assert store.notes("git:c0ffee:.") == {"unread": "[]"}


def test_what_was_asked_for_once_is_remembered_by_source_until_it_is_forgotten(store: Store) -> None:
    other = machine("other")
    store.remember("one", VM, "a")
    store.remember("one", VM, "b")
    store.remember("one", other, "c")
    store.remember("two", VM, "d")
    assert store.orders() == [("one", VM, "b"), ("one", other, "c"), ("two", VM, "d")]
    store.forget("one", [VM, machine("absent")])
    assert store.orders() == [("one", other, "c"), ("two", VM, "d")]


def test_layers_are_entered_changed_and_struck_out(store: Store) -> None:
    base = Layer("a", "local", None, "image-uid", "image", 1 << 30, 1.0)
    top = Layer("b", "local", "a", "disk-uid", "disk", 2 << 30, 2.0)
    store.add_layer(top)
    store.add_layer(base)
    assert store.layers() == [base, top]
    store.add_layer(base._replace(owner=None))
    assert store.layers()[0].owner is None
    store.remove_layer("b")
    store.remove_layer("b")
    assert [layer.id for layer in store.layers()] == ["a"]
