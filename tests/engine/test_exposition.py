"""Metrics and health over a real loopback port and a real unix socket."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.engine import manifests as texts
from tests.engine.daemons import Daemon
from tests.waiting import until
from vmctl.engine.exposition import serving
from vmctl.errors import Unreachable, UsageError
from vmctl.planning.phases import OF_KIND
from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.lab import Lab


@pytest.fixture
def daemon(lab: Lab) -> Iterator[Daemon]:
    made = Daemon(lab)
    machine = texts.machine("web", "root").replace(
        "{name: web}", "{name: web, labels: {app: nginx, tier.io/x: one}}", 1
    )
    (made.directory / "web.yaml").write_text(texts.blank("root") + machine)
    with made:
        made.becomes("VirtualMachine", "web", "Running")
        made.rested()
        yield made


def get(address: str, path: str) -> tuple[int, str]:
    where = urlsplit(address)
    connection = HTTPConnection(where.hostname or "localhost", where.port or 80)
    if address.startswith("unix:"):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(address.removeprefix("unix:"))
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def series(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels, without the uid."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "uid"))
            found[sample.name, labels] = sample.value
    return found


def test_what_is_told_of_a_machine(daemon: Daemon) -> None:
    with serving("127.0.0.1:0", daemon.runner, daemon.session) as address:
        code, text = get(address, "/metrics")
    assert code == 200
    found = series(text)
    machine = (("name", "web"), ("namespace", "default"), ("node", "memory"))
    phases = {
        dict(labels)["phase"]: value
        for (name, labels), value in found.items()
        if name == "vmctl_virtualmachine_status_phase"
    }
    assert phases == {phase: float(phase == "Running") for phase in OF_KIND["VirtualMachine"]}
    assert found["vmctl_virtualmachine_cpu_cores", machine] == 1
    assert found["vmctl_virtualmachine_configuration_cpu_cores", machine] == 1
    assert found["vmctl_virtualmachine_cpu_core_fraction", machine] == 100
    assert found["vmctl_virtualmachine_configuration_memory_size_bytes", machine] == 64 << 20
    assert found["vmctl_virtualmachine_agent_ready", machine] == 0
    assert found["vmctl_virtualmachine_configuration_applied", machine] == 1
    info = tuple(sorted((*machine, ("virtualmachineclass", "host"))))
    assert found["vmctl_virtualmachine_info", info] == 1
    labels = tuple(sorted((*machine[:2], ("label_app", "nginx"), ("label_tier_io_x", "one"))))
    assert found["vmctl_virtualmachine_labels", labels] == 1
    disk = (("name", "root"), ("namespace", "default"))
    assert found["vmctl_virtualdisk_capacity_bytes", disk] == 1 << 20
    assert found["vmctl_virtualdisk_status_in_use", (*disk, ("virtualmachine", "web"))] == 1


def test_what_is_told_of_the_engine(daemon: Daemon) -> None:
    daemon.save("bad.yaml", "x: [")
    until(lambda: daemon.runner.bad)
    with serving("127.0.0.1:0", daemon.runner, daemon.session) as address:
        found = series(get(address, "/metrics")[1])
    passes = found["vmctl_engine_passes_total", ()]
    assert passes > 0
    assert found["vmctl_engine_pass_duration_seconds_count", ()] == passes
    assert found["vmctl_engine_bad_files", ()] == 1
    assert found["vmctl_engine_prune_refused_objects", ()] == 0
    assert found["vmctl_engine_looks_put_off_total", ()] == daemon.runner.tally.put_off
    assert found["vmctl_engine_host_reachable", ()] == 1
    assert found["vmctl_engine_last_resync_timestamp_seconds", ()] == pytest.approx(daemon.clock.now(), abs=3600)


def test_waiting_changes_are_told(daemon: Daemon) -> None:
    daemon.save("web.yaml", texts.blank("root") + texts.machine("web", "root", cores=2))
    waits = ("vmctl_virtualmachine_awaiting_restart_to_apply_configuration",)
    with serving("127.0.0.1:0", daemon.runner, daemon.session) as address:
        until(lambda: [v for (name, _), v in series(get(address, "/metrics")[1]).items() if name in waits] == [1.0])


def test_health_follows_host_and_loop(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serving(f"unix:{path}", daemon.runner, daemon.session) as address:
        assert path.stat().st_mode & 0o777 == 0o660
        assert get(address, "/healthz") == (200, "ok\n")
        assert get(address, "/readyz") == (200, "ok\n")
        assert get(address, "/")[0] == 404
        daemon.host.refuses = Unreachable("no connection")
        daemon.runner.domain_changed("")
        until(lambda: get(address, "/readyz") == (503, "libvirt does not answer\n"))
        assert get(address, "/healthz") == (200, "ok\n")
        daemon.stop()
        daemon.clock.leapt_s += 61
        code, why = get(address, "/healthz")
        assert code == 503
        assert "has not gone round" in why
    assert not path.exists()


@pytest.mark.parametrize("address", ["0.0.0.0:9177", "9177", "127.0.0.1:x", "example.org:80", "unix:relative"])
def test_addresses_that_are_refused(daemon: Daemon, address: str) -> None:
    with (
        pytest.raises(UsageError, match=r"loopback|absolute"),
        serving(address, daemon.runner, daemon.session),
    ):
        pass


def test_a_socket_that_is_taken_and_one_that_was_left_behind(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with (
        serving(f"unix:{path}", daemon.runner, daemon.session),
        pytest.raises(UsageError, match="in use"),
        serving(f"unix:{path}", daemon.runner, daemon.session),
    ):
        pass
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(f"unix:{path}", daemon.runner, daemon.session) as address:
        assert get(address, "/healthz")[0] == 200


def test_every_kind_with_metrics_is_one() -> None:
    assert set(OF_KIND) <= set(registry.BY_NAME)
