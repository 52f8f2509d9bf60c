"""`vmctl run` as a process, on real libvirt: saved files, other verbs beside it, its end, libvirtd's end, a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt
import pytest

from tests.e2e.product import Document, Product, as_stream, disk, machine
from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

SMALL: Document = {"memory": {"size": "64Mi"}, "terminationGracePeriodSeconds": 1}


def documents(name: str, **spec: object) -> str:
    """A machine with a blank disk: its firmware finds nothing to boot, which is life enough here."""
    return as_stream(disk(name, size="16Mi"), machine(name, f"vd/{name}", **{**SMALL, **spec}))


@pytest.fixture
def directory(host_directory: Path) -> Iterator[Path]:
    """A directory with one machine."""
    with tempfile.TemporaryDirectory(dir=host_directory) as made:
        (Path(made) / "web.yaml").write_text(documents("web"))
        yield Path(made)


@contextmanager
def daemon(product: Product, directory: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A daemon that systemd would call ready."""
    with tempfile.TemporaryDirectory() as where, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{where}/notify")
        systemd.settimeout(PATIENCE_S)
        product.environment["NOTIFY_SOCKET"] = f"{where}/notify"
        try:
            with product.running("run", "-f", str(directory), *options) as process:
                while not systemd.recv(4096).startswith(b"READY=1"):
                    assert process.poll() is None
                yield process
        finally:
            del product.environment["NOTIFY_SOCKET"]


@pytest.fixture(autouse=True)
def all_gone(product: Product) -> Iterator[None]:
    yield
    product.run("delete", "vm", "--all", "--force", "--yes", "--wait")
    product.run("delete", "vd", "--all", "--yes", "--wait")
    assert product.domains() == {}


def runs(product: Product, name: str = "web") -> bool:
    return name in product.domains() and bool(product.domains()[name].isActive())


def save(directory: Path, name: str, text: str) -> None:
    (directory / f".{name}").write_text(text)
    (directory / f".{name}").rename(directory / name)


def test_saved_files_other_verbs_and_the_end(product: Product, directory: Path) -> None:
    with daemon(product, directory, "--listen", f"unix:{product.state}/metrics") as process:
        until(lambda: runs(product), "web runs")
        save(directory, "web.yaml", documents("web", cpu={"cores": 2, "coreFraction": "5%"}))
        until(lambda: cores(product, libvirt.VIR_DOMAIN_AFFECT_CONFIG) == 2, "two cores in the definition")
        assert cores(product, libvirt.VIR_DOMAIN_AFFECT_LIVE) == 1
        save(directory, "bad.yaml", "x: [")
        applied = product.apply(disk("more", size="16Mi"), machine("more", "vd/more", **SMALL))
        assert [line.split()[-1] for line in applied.lines] == ["created", "created"]
        assert runs(product, "more")
        product.run("wait", "vm/more", "--for=condition=Running")
        left = as_stream(disk("left", size="16Mi"), machine("left", "vd/left", **SMALL))
        assert len(product.run("apply", "-f", "-", "--no-wait", stdin=left).lines) == 2
        until(lambda: runs(product, "left"), "what was left to the daemon")
        until(lambda: b"vmctl_engine_bad_files 1.0" in scrape(product), "the bad file in the metrics")
        assert b'vmctl_virtualmachine_status_phase{name="web"' in scrape(product)
        refused = product.run("run", "-f", str(directory), code=5)
        assert "at work" in refused.err
        before = {name: domain.ID() for name, domain in product.domains().items()}
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert {name: domain.ID() for name, domain in product.domains().items()} == before
    assert not (product.state / "engine.bell").exists()


def cores(product: Product, flags: int) -> int:
    found: int = product.domains()["web"].vcpusFlags(flags)
    return found


def scrape(product: Product) -> bytes:
    """What /metrics says on the unix socket."""
    connection = HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(f"{product.state}/metrics")
    connection.request("GET", "/metrics")
    answer = connection.getresponse().read()
    connection.close()
    return answer


def test_libvirtd_is_restarted_under_it(product: Product, directory: Path) -> None:
    with daemon(product, directory) as process:
        product.run("wait", "vm/web", "--for=condition=Running", "--timeout=60s")
        first = product.domains()["web"].ID()
        product.close()
        product.host.stop_libvirtd(signal.SIGKILL)
        save(directory, "web.yaml", documents("web", cpu={"cores": 2, "coreFraction": "5%"}))
        product.host.start_libvirtd()
        until(lambda: cores(product, libvirt.VIR_DOMAIN_AFFECT_CONFIG) == 2, "the change of the meantime")
        assert product.domains()["web"].ID() == first
        product.domains()["web"].destroy()  # and its events are heard again
        until(lambda: runs(product), "web is started again")
        assert process.poll() is None


def test_killed_in_the_middle_the_next_apply_goes_on(product: Product, directory: Path) -> None:
    for number in range(4):
        save(directory, f"m{number}.yaml", documents(f"m{number}"))
    with daemon(product, directory) as process:
        until(lambda: any(domain.isActive() for domain in product.domains().values()), "the first start")
        process.kill()
        process.wait()
    applied = product.run("apply", "-f", str(directory), "--wait", "--timeout=180s")
    assert {line.split()[-1] for line in applied.lines} == {"unchanged"}
    assert all(runs(product, name) for name in ("web", "m0", "m1", "m2", "m3"))
    assert len(product.domains()) == 5


def test_one_convergence(product: Product, directory: Path) -> None:
    save(directory, "bad.yaml", "x: [")
    once = product.run("run", "-f", str(directory), "--once", code=3)
    assert "bad.yaml:1:5" in once.err
    assert [line.split()[-1] for line in once.lines] == ["created", "created"]
    assert runs(product)
    (directory / "bad.yaml").unlink()
    again = product.run("run", "-f", str(directory), "--once")
    assert [line.split()[-1] for line in again.lines] == ["unchanged", "unchanged"]


def test_a_verb_takes_over_from_a_daemon_that_dies(product: Product, directory: Path) -> None:
    with daemon(product, directory) as process:
        until(lambda: runs(product), "web runs")
        os.kill(process.pid, signal.SIGSTOP)  # it has the lock, and answers nobody
        text = as_stream(disk("more", size="16Mi"), machine("more", "vd/more", **SMALL))
        with product.running("apply", "-f", "-", stdin=text) as apply:
            until(lambda: "more" in known(product), "the apply has written what it wants")
            assert apply.poll() is None
            process.kill()
            assert apply.wait(PATIENCE_S) == 0
    assert runs(product, "more")


def known(product: Product) -> set[str]:
    items = json.loads(product.run("get", "vm", "-o", "json").out)["items"]
    return {item["metadata"]["name"] for item in items}
