"""Work while waiting: where no engine is alive, the one who waits does what there is to do."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vmctl.cli import output
from vmctl.errors import Locked, TimedOut, VmctlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmctl.engine.session import Session
    from vmctl.engine.settings import Settings
    from vmctl.resources.keys import Key


@contextmanager
def helping(settings: Settings, keys: Sequence[Key]) -> Iterator[None]:
    """Converge in a thread until the block ends; nothing where another engine is at work, which will do it."""
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
    from vmctl.engine.session import session

    try:
        with session(settings, timeout_s=0) as engine:
            engines.append(engine)
            engine.converge(keys, goal=keys, until=stop.is_set)
    except (Locked, TimedOut):
        return
    except VmctlError as error:
        output.warning(f"what is waited for may not come by itself: {error.message}")
