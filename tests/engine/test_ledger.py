"""What the ledger records beside the objects themselves, and in which order it locks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.engine.manifests import blank, machine
from vmctl.engine import deleting
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from tests.engine.lab import Lab
    from vmctl.engine.session import Session

WEB = Key("VirtualMachine", "default", "web")
ROOT, OTHER = (Key("VirtualDisk", "default", name) for name in ("root", "other"))


def deletions(session: Session, key: Key) -> list[str]:
    """What the events `Deleted` of an object say, with how often they were told."""
    return [f"{event.message} x{event.count}" for event in session.store.events(key) if event.reason == "Deleted"]


def test_a_deletion_is_told_once_with_who_asked_for_it(lab: Lab) -> None:
    lab.apply(blank("root") + machine("web", "root") + blank("other"))
    address = next(key for key in lab_keys(lab) if key.kind == "VirtualMachineIPAddress")
    lab.delete(WEB)
    with lab.session() as session:
        deleting.delete(session.store, session.ledger, [ROOT], by_name=True, force=True)
        deleting.delete(session.store, session.ledger, [ROOT], by_name=True)
        deleting.let_go(session.store, session.ledger, [OTHER], {}, "/home")
        assert deletions(session, WEB) == ["asked for with vmctl delete x1"]
        assert deletions(session, address) == ["it goes with VirtualMachine web x1"]
        assert deletions(session, ROOT) == ["asked for with vmctl delete --force x1"]
        assert deletions(session, OTHER) == ["pruned: its manifest has left /home x1"]


def test_what_is_kept_was_not_deleted(lab: Lab) -> None:
    lab.apply(blank("root"))
    lab.delete(ROOT, by_name=False)
    with lab.session() as session:
        assert deletions(session, ROOT) == []


def test_a_pass_that_records_a_status_while_a_directory_is_pruned_holds_nothing_up(lab: Lab) -> None:
    lab.apply(blank("root") + blank("other") + blank("third"))
    with lab.session() as session:
        third = session.ledger.get(Key("VirtualDisk", "default", "third"))
        assert third is not None
        recording = threading.Thread(target=session.ledger.set_status, args=(third, {"phase": "Ready"}), daemon=True)

        def changed(key: Key, also: tuple[Key, ...]) -> None:
            if key == ROOT:
                recording.start()
                recording.join(0.2)  # by then it has all locks that it can get

        session.ledger.changed = changed
        pruning = threading.Thread(
            target=deleting.let_go, args=(session.store, session.ledger, [ROOT, OTHER], {}, "/home"), daemon=True
        )
        pruning.start()
        pruning.join(60)
        recording.join(60)
        assert not pruning.is_alive()
        assert not recording.is_alive()
        assert deletions(session, OTHER) == ["pruned: its manifest has left /home x1"]


def lab_keys(lab: Lab) -> list[Key]:
    """All objects."""
    with lab.session() as session:
        return list(session.ledger.snapshot().by_key)
