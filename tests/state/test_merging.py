"""The three-way merge against a model that follows every label by hand."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.state.samples import document, machine
from vmctl.state.store import Store

LABELS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"), max_size=4)
CORES = st.sampled_from([1, 2])
VM = machine("linux-vm")


class Merging(RuleBasedStateMachine):
    """A manifest is applied while a user labels by hand and the engine sets finalizers and statuses."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.store = Store.open(Path(self.directory.name) / "state", clock=lambda: 0.0)
        self.forget()

    def forget(self) -> None:
        self.exists = False
        self.labels: dict[str, str] = {}
        self.applied: dict[str, str] = {}
        self.finalizers: list[str] = []
        self.cores = self.generation = 0
        self.status: dict[str, Any] = {}

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    def current(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {"labels": self.labels, "finalizers": self.finalizers}
        return document(cores=self.cores, **{name: value for name, value in metadata.items() if value})

    @rule(labels=LABELS, cores=CORES)
    def apply(self, labels: dict[str, str], cores: int) -> None:
        before = (self.exists, self.labels.copy(), self.cores)
        for name in "abcd":
            if name in labels:
                self.labels[name] = labels[name]
            elif name in self.applied:
                self.labels.pop(name, None)
        self.applied = dict(labels)
        self.generation += cores != self.cores
        self.cores, self.exists = cores, True
        unchanged = before == (True, self.labels, self.cores)
        expected = "created" if not before[0] else "unchanged" if unchanged else "configured"
        assert self.store.apply(VM, document(cores=cores, labels=labels))[1] == expected

    @precondition(lambda self: self.exists)
    @rule(labels=LABELS, cores=CORES)
    def edit(self, labels: dict[str, str], cores: int) -> None:
        self.generation += cores != self.cores
        self.labels, self.cores = dict(labels), cores
        self.store.replace(VM, self.current())

    @precondition(lambda self: self.exists)
    @rule(finalizers=st.lists(st.sampled_from(["x", "y"]), unique=True))
    def protect(self, finalizers: list[str]) -> None:
        self.finalizers = finalizers
        self.store.replace(VM, self.current())

    @precondition(lambda self: self.exists)
    @rule(phase=st.sampled_from(["Pending", "Running"]))
    def observe(self, phase: str) -> None:
        assert self.store.set_status(self.uid(), {"phase": phase}) == (self.status != {"phase": phase})
        self.status = {"phase": phase}

    @precondition(lambda self: self.exists)
    @rule()
    def remove(self) -> None:
        self.store.remove(self.uid())
        self.forget()

    def uid(self) -> str:
        found = self.store.get(VM)
        assert found is not None
        return found.uid

    @invariant()
    def agrees(self) -> None:
        found = self.store.get(VM)
        assert (found is not None) == self.exists
        if found is None:
            return
        metadata = found.document["metadata"]
        assert metadata.get("labels", {}) == self.labels
        assert metadata.get("finalizers", []) == self.finalizers
        assert found.document["spec"]["cpu"]["cores"] == self.cores
        assert (found.generation, found.status) == (self.generation, self.status)


TestMerging = Merging.TestCase
TestMerging.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
