"""`vmctl wait`: returns when objects have got somewhere, or says what each of the others waits for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from vmctl.cli import asking, output
from vmctl.cli.awaiting import goal, lacks
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.durations import DURATION
from vmctl.cli.following import ticks
from vmctl.cli.options import (
    all_namespaces_option,
    files_options,
    namespace_option,
    pass_session,
    selector_option,
    verb,
)
from vmctl.cli.selectors import by_labels
from vmctl.errors import NotFoundError, TimedOut, UsageError
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmctl.cli.asking import Asked, Document
    from vmctl.cli.awaiting import Goal
    from vmctl.cli.session import Session
    from vmctl.state.store import Store
    from vmctl.state.stored import Stored

_WEEK_S = 7 * 86400.0  # what kubectl makes of a negative time-out


@verb(
    "wait",
    examples="""
    vmctl wait vm/linux-vm --for=condition=Running --timeout=2m
    vmctl wait vm/linux-vm --for=jsonpath='{.status.phase}'=Running
    vmctl wait vd --all --for=condition=Ready
    vmctl wait vm linux-vm --for=delete
    vmctl wait -f disks/ --for=condition=Ready
    """,
)
@click.argument("what", nargs=-1, metavar="KIND NAME...|KIND/NAME...", shell_complete=kinds_and_names)
@click.option("--for", "wanted", required=True, metavar="GOAL",
              help="condition=TYPE[=STATUS], delete, create, jsonpath='{.path}'[=VALUE].")  # fmt: skip
@click.option("--timeout", type=DURATION, default="30s", show_default=True, help="How long to wait; 0 looks once.")
@click.option("--all", "every", is_flag=True, help="All objects of the kind.")
@files_options
@namespace_option
@all_namespaces_option
@selector_option
@pass_session
def command(
    session: Session,
    what: tuple[str, ...],
    filename: tuple[str, ...],
    recursive: bool,
    wanted: str,
    timeout: float,
    every: bool,
    all_namespaces: bool,
    selector: str,
) -> int:
    """Wait until objects have a condition, have a value, exist or are gone.

    After the time-out the exit code is 6, and each object that is not there says what it waits for.
    """
    target = goal(wanted)
    asked = asking.wanted(what, filename, recursive=recursive)
    namespace = None if all_namespaces else session.namespace
    keys = _keys(session.store, asked, namespace, by_labels(selector) if selector else None, every=every)
    missing = [key for key in keys if session.store.get(key) is None]
    if missing and not (target.absent_is_met or target.may_appear):
        for key in missing:
            output.error(asking.not_found(key))
        return NotFoundError.exit_code
    late = _wait(session, keys, target, timeout if timeout >= 0 else _WEEK_S)
    for key in late:
        found = session.store.get(key)
        output.error(
            f"{key.short} is still waiting: {lacks(found.manifest(), target) if found else 'it does not exist'}"
        )
    return TimedOut.exit_code if late else 0


def _keys(
    store: Store,
    asked: Sequence[Asked],
    namespace: str | None,
    chosen: Callable[[Document], bool] | None,
    *,
    every: bool,
) -> list[Key]:
    """The objects meant, fixed at the start: one that is made later is not waited for."""
    found: list[Key] = []
    for each in asked:
        if not each.names and not every and chosen is None:
            raise UsageError("say which objects to wait for", remedy="names, -l, or --all")
        where = (each.namespace or namespace) if each.kind.namespaced else ""
        if each.names and where is not None:
            found += [Key(each.kind.name, where, name) for name in each.names]
            continue
        listed = [one for one in store.list(each.kind.name, where) if not each.names or one.key.name in each.names]
        found += [one.key for one in listed if chosen is None or chosen(one.manifest())]
    return found


def _wait(session: Session, keys: Sequence[Key], target: Goal, timeout_s: float) -> list[Key]:
    """Print objects as they arrive; what is left when the time is over. Does the work itself while nobody else does."""
    left = _follow(session.store, keys, target, 0.0)
    if not left or timeout_s == 0:
        return left
    if not any(session.store.get(key) for key in left):  # somebody else makes them: there is nothing to work on
        return _follow(session.store, left, target, timeout_s)
    from vmctl.cli.helping import helping

    with helping(session.settings, left):
        return _follow(session.store, left, target, timeout_s)


def _follow(store: Store, keys: Sequence[Key], target: Goal, timeout_s: float) -> list[Key]:
    uids = {key: found.uid for key in keys if (found := store.get(key))}
    left = list(keys)
    end = time.monotonic() + timeout_s
    for written in ticks(store):
        if written:
            for key in [key for key in left if _there(store.get(key), target, uids.get(key))]:
                output.line(f"{key} {target.met}")
                output.flush()
                left.remove(key)
        if not left or time.monotonic() >= end:
            break
    return left


def _there(found: Stored | None, target: Goal, uid: str | None) -> bool:
    if found is None or (uid is not None and found.uid != uid):
        return target.absent_is_met  # one of the same name that was made since is another object
    return target.reached(found.manifest())
