"""Fixtures for every part's tests."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.http_images import ImageServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# no law fails because the machine was slow
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


# A shell without job control has what it starts in the background ignore Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """No test leaves its log to the next one: `vmctl run` writes to the stderr of its own test."""
    logger = logging.getLogger("vmctl")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate, logger.level = before


@pytest.fixture
def image_server(tmp_path: Path) -> Iterator[ImageServer]:
    """An HTTP server for a directory of the test's own."""
    directory = tmp_path / "served"
    directory.mkdir()
    with ImageServer(directory) as server:
        yield server
