"""What verbs that change the host share: a hold on the engine, working until nothing is left, telling how it ended."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.cli import output
from vmctl.cli.progress import Progress, tell_waiting
from vmctl.engine import logs
from vmctl.engine import session as engine
from vmctl.errors import TimedOut
from vmctl.state.lock import holder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmctl.cli.session import Session
    from vmctl.engine.pursuing import Result
    from vmctl.planning.objects import Object
    from vmctl.resources.keys import Key

SOME_FAILED = 3


@contextmanager
def at_work(session: Session) -> Iterator[engine.Session]:
    """A hold on the engine of this host, be it in this process or in another."""
    logs.keep_quiet()
    with engine.session(session.settings) as working:
        yield working


def require_daemon(session: Session, *, wait: bool) -> None:
    """Raise unless there is somebody to leave the work to: ChangeRefused without a daemon, UsageError with --wait."""
    from vmctl.errors import ChangeRefused, UsageError

    if wait:
        raise UsageError("--wait and --no-wait exclude each other", remedy="leave one of them out")
    engine = holder(session.settings.state_dir)
    if engine is None or not engine.stays:
        raise ChangeRefused(
            "no daemon is at work that the rest could be left to; nothing was changed",
            remedy="leave --no-wait out, or start one:  vmctl run -f DIR",
        )


def converge(
    working: engine.Session,
    keys: Iterable[Key],
    *,
    wait: bool = False,
    timeout_s: float | None = None,
    goal: Iterable[Key] = (),
    quiet: bool = False,
) -> Result:
    """Work until nothing is left to do now (with `wait` until the goal is reached), telling what happens, and what is
    waited for.
    """
    progress = Progress(quiet=quiet)
    goal = list(goal) if wait else []

    def waited_for() -> list[Object]:
        return [item for key in goal if (item := working.ledger.get(key)) is not None]

    try:
        with progress.waiting(waited_for):
            return working.converge(keys, goal=goal, timeout_s=timeout_s, seen=progress.seen)
    except KeyboardInterrupt:
        progress.close()
        tell_waiting(waited_for())
        output.remark(f"stopping; {_goes_on(Path(working.place.state_dir))}")
        raise
    finally:
        progress.close()


def _goes_on(state_dir: Path) -> str:
    daemon = holder(state_dir)
    if daemon is not None and daemon.stays:
        return "the daemon goes on with what was begun"
    return "what was begun goes on with the next apply"


def report(result: Result, goal: Iterable[Key], working: engine.Session, *, wait: bool) -> int:
    """Tell what is not where its spec asks, and return the exit code. Raises TimedOut.

    What failed beside the goal, left over from before, is told as a remark and does not count.
    """
    from vmctl.planning import goals
    from vmctl.resources import registry

    goal = list(goal)
    for key, why in result.failed.items():
        if key not in goal and not registry.BY_NAME[key.kind].once:  # what is over was told when it ended
            output.remark(f"{key} failed: {why}")
    some_failed = False
    for key in goal:
        item = working.ledger.get(key)
        if item is None:
            continue
        failed = key in result.failed or goals.failed(item)
        some_failed |= failed
        why = result.failed.get(key) or goals.missing(item)
        if why:
            output.line(f"{key} {'failed' if failed else 'pending'}: {why}")
        waits = ", ".join(str(entry["path"]) for entry in item.status.get("restartAwaitingChanges") or ())
        if waits:
            output.remark(f"{key.short}: waits for a restart: {waits}")
    if some_failed and not result.timed_out:
        return SOME_FAILED
    if wait and result.timed_out and result.unreached:
        count = "1 object is" if len(result.unreached) == 1 else f"{len(result.unreached)} objects are"
        raise TimedOut(
            f"{count} not where the manifests ask yet",
            remedy="run the command again to go on waiting",
        )
    return 0


def unreached(working: engine.Session, goal: Iterable[Key]) -> list[Key]:
    """The objects that are not where their spec asks, as last recorded."""
    from vmctl.planning import goals

    return [key for key in goal if (item := working.ledger.get(key)) is not None and goals.missing(item)]


def seconds(text: str | None) -> float | None:
    """A duration as a user writes it (`30s`, `5m`, `90`), in seconds. Raises UsageError."""
    from vmctl.errors import UsageError

    if text is None:
        return None
    from vmctl.resources.units import duration_s

    try:
        return duration_s(text if not text.isdigit() else f"{text}s")
    except ValueError as error:
        raise UsageError(f"{text!r} is not a duration", remedy="write for example 30s, 5m or 1h30m") from error
