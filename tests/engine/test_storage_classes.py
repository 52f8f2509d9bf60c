"""What a storage class does with bytes when disks, images and the class itself go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.engine.manifests import disk, image
from vmctl.engine import deleting
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.lab import Lab

CLASS, DISK = Key("StorageClass", "", "fast"), Key("VirtualDisk", "default", "root")


def fast(directory: Path, reclaim: str = "Delete") -> str:
    return f"""
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: fast}}
provisioner: vmctl.dev/directory
reclaimPolicy: {reclaim}
parameters: {{path: {directory}}}
---"""


def on_fast(image_url: str) -> str:
    root = disk("root", "os").replace("spec:", "spec:\n  persistentVolumeClaim: {storageClassName: fast}")
    return image("os", image_url) + root


def files(directory: Path) -> int:
    return len(list(directory.iterdir()))


def test_a_class_that_retains_keeps_the_data_of_a_deleted_disk(lab: Lab, tmp_path: Path, image_url: str) -> None:
    home = tmp_path / "fast"
    lab.apply(fast(home, "Retain") + on_fast(image_url))
    with lab.session() as session:
        (row,) = session.store.layers([session.ledger.snapshot().by_key[DISK].uid])
        (deletion,) = deleting.delete(session.store, session.ledger, [DISK], by_name=True)
        session.converge([DISK])
    assert lab.phase("VirtualDisk", "root") == "gone"
    kept = home / f"{row.id}.qcow2"
    assert deletion.kept == (str(kept),)
    assert kept.exists()
    lab.delete(Key("VirtualImage", "default", "os"))
    lab.delete(CLASS)
    assert kept.exists()
    assert (home / f"{row.backing}.qcow2").exists()  # the data is worth nothing without what lies below it


def test_a_class_that_goes_leaves_no_copy_of_an_image_behind(lab: Lab, tmp_path: Path, image_url: str) -> None:
    home = tmp_path / "fast"
    lab.apply(image("os", image_url))
    lab.clock.sleep(1.0)
    lab.apply(fast(home) + on_fast(image_url))
    assert files(home)
    lab.delete(CLASS)
    assert lab.phase("StorageClass", "fast") == "Terminating"
    lab.delete(DISK)
    lab.resume()
    assert lab.phase("StorageClass", "fast") == "gone"
    assert files(home) == 0
    again = tmp_path / "again"
    assert not lab.apply(fast(again) + on_fast(image_url)).failed
    assert lab.phase("VirtualDisk", "root") == "Ready"
