"""Log lines carry the pass they were written in."""

from __future__ import annotations

import json
import logging

import pytest

from vmctl.engine import logs
from vmctl.resources.keys import Key

VM = Key("VirtualMachine", "default", "web")
log = logging.getLogger("vmctl.engine.somewhere")


@pytest.fixture(autouse=True)
def outside_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text")
    log.info("outside")
    with logs.bound("2a", VM):
        log.warning("inside %d", 1)
        log.debug("not asked for")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("Z INFO    outside")
    assert second.endswith("Z WARNING [2a] inside 1")


def test_the_journal_gets_priorities(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logs.configure("text", verbose=True)
    log.debug("one")
    try:
        int("two")
    except ValueError:
        log.exception("lines")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "<7>one"
    assert all(line.startswith("<3>") for line in lines[1:])
    assert lines[-1] == "<3>ValueError: invalid literal for int() with base 10: 'two'"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    log.info("outside")
    with logs.bound("2a", VM):
        log.info("inside\nwith a second line")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert "pass" not in first
    assert second["pass"] == "2a"
    assert (second["kind"], second["namespace"], second["name"]) == VM
    assert second["message"] == "inside\nwith a second line"
    assert second["level"] == "info"
    assert second["logger"] == "vmctl.engine.somewhere"


def test_a_verb_without_a_log_writes_none(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("vmctl").propagate = False  # away from what listens to tests
    log.warning("Python writes what nobody listens to")
    assert capsys.readouterr().err == "Python writes what nobody listens to\n"
    for _ in range(2):
        logs.keep_quiet()
    log.warning("told as an event")
    assert capsys.readouterr().err == ""
    assert len(logging.getLogger("vmctl").handlers) == 1
