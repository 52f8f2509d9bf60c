"""Work while waiting: who waits does what there is to do, or asks the engine that is at work."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vmctl.cli import output
from vmctl.errors import VmctlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmctl.engine.session import Session
    from vmctl.engine.settings import Settings
    from vmctl.resources.keys import Key

AGAIN_S = 2.0  # until the next try of somebody who could not even begin: there is no host, or no right


@contextmanager
def helping(settings: Settings, keys: Sequence[Key]) -> Iterator[None]:
    """Converge in a thread until the block ends."""
    stop = threading.Event()
    engines: list[Session] = []
    thread = threading.Thread(target=_work, args=(settings, keys, stop, engines), name="engine")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        for engine in engines:
            engine.cancel()
        thread.join()


def _work(settings: Settings, keys: Sequence[Key], stop: threading.Event, engines: list[Session]) -> None:
    from vmctl.engine import logs
    from vmctl.engine.session import session

    logs.keep_quiet()
    told = ""
    while not stop.is_set():
        try:
            with session(settings, look=False) as engine:
                engines.append(engine)
                engine.converge(keys, goal=keys, until=stop.is_set)
        except VmctlError as error:
            if error.message != told:
                output.warning(f"what is waited for may not come by itself: {error.message}")
            told = error.message
            stop.wait(AGAIN_S)
