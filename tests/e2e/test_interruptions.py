"""`vmctl apply` ends in the middle of everything; the next one goes on, and nothing is left over."""

from __future__ import annotations

import json
import re
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import BOOT_S, Document, Product, as_stream, disk, image, machine
from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.http_images import ImageServer

APPLY = ("apply", "-f", "-", "--wait", f"--timeout={BOOT_S}")


@pytest.fixture
def documents(images: ImageServer) -> tuple[Document, ...]:
    spec: Document = {"terminationGracePeriodSeconds": 1}
    return (image("guest", images.url("guest.qcow2")), disk("root", "guest"), machine("cut", "vd/root", **spec))


@pytest.fixture(autouse=True)
def all_gone(product: Product) -> Iterator[None]:
    """Each test starts from nothing, and must leave nothing when all is deleted."""
    yield
    product.run("delete", "vm", "--all", "--force", "--yes", "--wait")
    product.run("delete", "vd", "--all", "--yes", "--wait")
    product.run("delete", "vi", "--all", "--wait")
    assert product.domains() == {}
    assert product.files() == set()


@pytest.fixture
def stalled(images: ImageServer) -> Iterator[threading.Event]:
    """The server stops in the middle of a file; the event tells that it has. It goes on when the test is over."""
    halfway, over = threading.Event(), threading.Event()
    size = (images.directory / "guest.qcow2").stat().st_size

    def before_chunk(sent: int) -> None:
        if sent >= size // 2:
            halfway.set()
            over.wait(PATIENCE_S)

    images.behaviour.before_chunk = before_chunk
    yield halfway
    images.behaviour.before_chunk = None
    over.set()


def converges(product: Product, documents: tuple[Document, ...]) -> None:
    """Apply again and look at everything: one machine that boots, two layers, and nothing beside them."""
    product.apply(*documents)
    product.booted("cut")
    uid = product.document("vm", "cut")["metadata"]["uid"]
    assert set(product.domains()) == {"cut"}
    assert product.domains()["cut"].UUIDString() == uid
    names = [product.layer("root").stem, product.status("vi", "guest")["target"]["registryURL"].rpartition("/")[2]]
    storage = {path for path in product.files() if path.startswith("storage/")}
    assert {path for path in storage if path.endswith(".qcow2")} == {f"storage/local/{name}.qcow2" for name in names}
    assert not [path for path in storage if not re.search(rf"/({'|'.join(names)})\.(qcow2|json)$", path)]
    assert len(json.loads(product.run("get", "vmip", "-o", "json").out)["items"]) == 1
    assert [line.split()[-1] for line in product.apply(*documents).lines] == ["unchanged"] * 3


def cut_when(product: Product, documents: tuple[Document, ...], moment: Callable[[], object]) -> None:
    """Kill an apply as soon as the moment has come."""
    with product.running(*APPLY, stdin=as_stream(*documents)) as apply:
        until(lambda: moment() or apply.poll() is not None, "the moment", every_s=0.002)
        apply.kill()


def test_killed_during_the_download(
    product: Product, documents: tuple[Document, ...], images: ImageServer, stalled: threading.Event
) -> None:
    with product.running(*APPLY, stdin=as_stream(*documents)) as apply:
        assert stalled.wait(PATIENCE_S)
        until(lambda: [path for path in product.files() if path.startswith("storage/")], "bytes on the disk")
        apply.kill()
    images.behaviour.before_chunk = None
    converges(product, documents)


def test_interrupted_during_the_download_and_resumed(
    product: Product, documents: tuple[Document, ...], images: ImageServer, stalled: threading.Event
) -> None:
    with product.running(*APPLY, stdin=as_stream(*documents)) as apply:
        assert stalled.wait(PATIENCE_S)
        until(lambda: [path for path in product.files() if path.startswith("storage/")], "bytes on the disk")
        code, err = interrupted(apply)
    assert code == 130
    assert "goes on with the next apply" in err
    assert "Traceback" not in err
    images.behaviour.before_chunk = None
    asked = len(images.behaviour.requests)
    converges(product, documents)
    resumed = [request.start for request in images.behaviour.requests[asked:]]
    assert [start for start in resumed if start], f"the rest was asked for with a range, not {resumed}"


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Press Ctrl-C and see how it ends."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err


def test_killed_right_after_the_definition(product: Product, documents: tuple[Document, ...]) -> None:
    cut_when(product, documents, product.domains)
    converges(product, documents)


def test_killed_during_the_start(product: Product, documents: tuple[Document, ...]) -> None:
    cut_when(product, documents, lambda: [domain for domain in product.domains().values() if domain.isActive()])
    converges(product, documents)


def test_killed_when_the_disk_appears(product: Product, documents: tuple[Document, ...]) -> None:
    product.apply(documents[0])
    known = product.files()
    cut_when(product, documents, lambda: {path for path in product.files() - known if path.startswith("storage/")})
    converges(product, documents)


def test_killed_during_a_deletion(product: Product, documents: tuple[Document, ...]) -> None:
    product.apply(*documents)
    with product.running("delete", "vm/cut", "vd/root", "--wait") as delete:
        until(lambda: not product.domains() or delete.poll() is not None, "the end of the domain", every_s=0.002)
        delete.kill()
    product.apply(documents[0])
    assert product.domains() == {}
    assert product.run("get", "vm,vd,vmip", "-o", "name").out == ""
    assert not [path for path in product.files() if not path.startswith("storage/")]
