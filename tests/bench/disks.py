"""Disks from a small and from a large image: nothing is copied, so both take the same time."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.bench.measuring import Line, Sample, in_turns
from tests.http_images import ImageServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.stage import Stage

DATA_MIB_PER_GIB = 100  # random bytes in the images: enough to show if they were copied
DISKS = 10

IMAGE = """\
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualImage
metadata:
  name: {name}
spec:
  storage: ContainerRegistry
  dataSource:
    type: HTTP
    http:
      url: {url}
"""
DISK = """\
apiVersion: virtualization.deckhouse.io/v1alpha2
kind: VirtualDisk
metadata:
  name: {name}
spec:
  dataSource:
    type: ObjectRef
    objectRef:
      kind: VirtualImage
      name: {image}
"""


def lines(stage: Stage) -> Iterator[Line]:
    """One line: ten disks from an image of 10 GiB against ten from one of 1 GiB."""
    sources, manifests = stage.fresh("images"), stage.fresh("imported")
    with ImageServer(sources) as server:
        for gib in (1, 10):
            _image(stage, gib)
            name = f"image{gib}"
            (manifests / f"{name}.yaml").write_text(IMAGE.format(name=name, url=server.url(f"{name}.qcow2")))
        stage.vmctl("apply", "-q", "-f", str(manifests), "--wait")

    def disks(gib: int) -> Sample:
        directory = stage.fresh("disks")
        text = "---\n".join(DISK.format(name=f"disk-{number}", image=f"image{gib}") for number in range(DISKS))
        (directory / "disks.yaml").write_text(text)
        sample = stage.vmctl("apply", "-q", "-f", str(directory), "--wait")
        stage.clear()
        return sample

    taken = in_turns(stage.repetitions * 3, small=lambda: disks(1), large=lambda: disks(10))
    what = f"{DISKS} disks from a 10 GiB image"
    yield Line(what, "the same from a 1 GiB image", taken["large"].seconds, taken["small"].seconds, target=1.1)
    stage.vmctl("delete", "vi", "--all", "--wait")


def _image(stage: Stage, gib: int) -> None:
    """An image of that size, a part of it filled with what does not compress."""
    raw, image = stage.base / "raw", stage.base / "images" / f"image{gib}.qcow2"
    mib = gib * (1 if stage.quick else DATA_MIB_PER_GIB)
    with raw.open("wb") as file, open("/dev/urandom", "rb") as noise:  # noqa: PTH123  # a device, not a file of ours
        for _ in range(mib):
            file.write(noise.read(1 << 20))
        file.truncate(gib << 30)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(image)], check=True)
    raw.unlink()
