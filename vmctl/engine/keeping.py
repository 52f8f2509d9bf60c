"""All that `vmctl run` consists of, put together and taken apart: lock, watches, bell, metrics, signals, loop."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmctl.engine import gathering, running
from vmctl.engine.clock import SystemClock
from vmctl.engine.ledger import Ledger
from vmctl.engine.rebooting import Reboots
from vmctl.engine.session import Session, connect, place_of, taken
from vmctl.engine.supervision import Supervisor
from vmctl.errors import ChangeRefused
from vmctl.manifests import watching
from vmctl.manifests.cache import ParseCache
from vmctl.state.bell import Bell
from vmctl.state.lock import EngineLock, holder
from vmctl.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vmctl.engine.clock import Clock
    from vmctl.engine.gathering import Gathering, Pruning
    from vmctl.engine.running import Runner
    from vmctl.engine.settings import Settings

LOCK_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Order:
    """What one `vmctl run` was asked for; times in seconds, `listen` as `host:port` or `unix:path`, empty for none."""

    directories: tuple[str, ...]
    recursive: bool = False
    pruning: Pruning | None = None
    resync_s: float = running.RESYNC_S
    listen: str = ""


def keep(settings: Settings, order: Order, *, waiting: Callable[[str], None]) -> bool:
    """Be the engine of this host until SIGTERM or SIGINT; false when passes were still busy then.

    A verb that is at work is waited for, `waiting` is told which. Raises ChangeRefused when a daemon is at work.
    """
    clock = SystemClock()
    with ExitStack() as opened:
        session = opened.enter_context(at_work(settings, clock, waiting))
        gathered = opened.enter_context(gatherer(settings, session, order))
        reboots = opened.enter_context(Reboots(session.store, session.ledger, session.driver, clock))
        runner = running.Runner(
            session, gathered, Supervisor(clock), resync_s=order.resync_s, rebooted=reboots.happened
        )
        opened.enter_context(_ears(runner, settings.state_dir))
        for directory in gathered.directories:
            watch = watching.Watch(directory, runner.directory_changed, recursive=order.recursive)
            opened.callback(watch.close)
        if order.listen:
            from vmctl.engine.exposition import serving

            opened.enter_context(serving(order.listen, runner, session))
        return runner.run()


@contextmanager
def at_work(settings: Settings, clock: Clock, waiting: Callable[[str], None]) -> Iterator[Session]:
    """A session that has the lock from its start; a host that does not answer yet is no obstacle."""
    directory = settings.state_dir
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(directory, clock=clock.now))
        lock = opened.enter_context(EngineLock(directory))
        _acquire(lock, directory, clock, waiting)
        driver = connect(settings, store.installation)
        opened.callback(driver.close)
        place = place_of(settings, store, store.installation)
        yield Session(store, driver, Ledger(store), place, clock)


@contextmanager
def gatherer(settings: Settings, session: Session, order: Order) -> Iterator[Gathering]:
    """The watched directories, read through the memory of what files came to."""
    watching.quiet_leases()
    directories = gathering.watched(order.directories)
    with ParseCache(settings.state_dir / "manifests.cache") as cache:
        yield gathering.Gathering(
            directories, order.recursive, session.store, session.ledger, session.clock, cache, order.pruning
        )


def _acquire(lock: EngineLock, directory: Path, clock: Clock, waiting: Callable[[str], None]) -> None:
    told, name = "", " ".join(["vmctl", "run", *(word for word in sys.argv[1:] if word != "run")])
    while not taken(lock, name):
        other = holder(directory)
        if other is not None and other.stays:
            raise ChangeRefused(
                f"{other} is at work in {directory} already",
                remedy="give it the other directory too (-f may be repeated), or name another --state-dir",
            )
        if other is not None and str(other) != told:
            told = str(other)
            waiting(f"waiting until {told} has done what there is to do")
        clock.sleep(LOCK_POLL_S)


@contextmanager
def _ears(runner: Runner, state_dir: Path) -> Iterator[None]:
    """Hear the bell, and signals: SIGTERM and SIGINT end the run, SIGHUP reads everything anew."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signals = {signal.SIGTERM: runner.stop, signal.SIGINT: runner.stop, signal.SIGHUP: runner.reload}
    with Bell(state_dir) as bell:
        before = {number: signal.signal(number, _handler(act)) for number, act in signals.items()}
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        ended = threading.Event()
        thread = threading.Thread(target=_listen, args=(bell, reading, runner.rang, ended), name="bell", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            os.write(writing, b"\0")
            thread.join()
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)


def _handler(act: Callable[[], None]) -> Callable[[int, object], None]:
    return lambda _number, _frame: act()


def _listen(bell: Bell, signalled: int, rang: Callable[[], None], ended: threading.Event) -> None:
    while True:
        ready, _, _ = select.select([bell.fileno(), signalled], [], [])
        if ended.is_set():
            return
        if signalled in ready:
            os.read(signalled, 64)
        bell.wait(0)
        rang()
