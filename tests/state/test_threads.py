"""One store shared by the threads of a process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.state.samples import document, machine

if TYPE_CHECKING:
    from vmctl.state.store import Store


def test_workers_write_and_read_at_the_same_time(store: Store) -> None:
    def work(name: str) -> int:
        for number in range(40):
            stored, _ = store.apply(machine(name), document(name, cores=number))
            step = store.begin(stored.uid, "resize", {"cores": number})
            assert store.set_status(stored.uid, {"cores": number})
            store.settle(stored.uid, str(number))
            store.finish(step)
            found = store.get(machine(name))
            assert found is not None
            assert found.status == {"cores": number}
        return stored.generation

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, "abcdefgh")) == [40] * 8
    assert set(store.settled().values()) == {"39"}
    assert store.unfinished() == []
    versions = {stored.resource_version for stored in store.list()}
    assert len(versions) == 8
    assert max(versions) == 8 * 40 * 2


def test_batches_of_several_threads_do_not_mix(store: Store) -> None:
    def work(name: str) -> list[int]:
        with store.batch():
            return [store.apply(machine(f"{name}-{number}"), document())[0].resource_version for number in range(50)]

    with ThreadPoolExecutor(4) as pool:
        for versions in pool.map(work, "abcd"):
            assert versions == list(range(versions[0], versions[0] + 50))
