"""What start, stop, restart and evict share: they make an operation for each machine, and tell what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vmctl.cli import asking, output, working
from vmctl.cli.completing import machines
from vmctl.cli.create import generated
from vmctl.cli.options import namespace_option
from vmctl.errors import ChangeRefused, NotFoundError, TimedOut, UsageError
from vmctl.resources import registry
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmctl.cli.session import Session
    from vmctl.engine.pursuing import Result
    from vmctl.engine.session import Session as Engine
    from vmctl.planning.applicability import Act

PATIENCE = "5m"
MACHINE = "VirtualMachine"


class Words(NamedTuple):
    """How a verb is called: the type of its operation, what is said of a machine when it is done, and what it is."""

    type: str
    done: str
    noun: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The machines that a command line means, and how it wants them treated."""

    names: tuple[str, ...]
    selector: str
    everything: bool
    wait: bool
    timeout: str
    create_only: bool
    yes: bool
    force: bool = False


@dataclass(slots=True)
class Course:
    """What has become of the machines of a command line so far."""

    made: dict[Key, Key] = field(default_factory=dict[Key, Key])  # machine -> operation
    refused: int = 0
    failed: int = 0
    waiting: list[str] = field(default_factory=list[str])

    @property
    def code(self) -> int:
        """5 when all were refused, 3 when some were or some failed."""
        if self.refused and not self.made:
            return ChangeRefused.exit_code
        return working.SOME_FAILED if self.refused or self.failed else 0


def operation_options(*, force: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a verb what all of them take; `force` is the help of --force where that means something."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        options = [
            click.argument("names", nargs=-1, metavar="[NAME...]", shell_complete=machines),
            namespace_option,
            click.option(
                "-l", "--selector", "--label-selector", metavar="QUERY", default="",
                help="The machines with these labels, instead of names.",
            ),
            click.option("--all", "everything", is_flag=True, help="All machines of the namespace."),
            click.option("-w", "--wait", is_flag=True, help="Go on until it is done, whatever it has to wait for."),
            click.option(
                "-t", "--timeout", metavar="TIME", default=PATIENCE, show_default=True,
                help="With --wait: give up after this time, exit code 6.",
            ),
            click.option("-c", "--create-only", is_flag=True, help="Make the operations, and do not follow them."),
            click.option(
                "-y", "--yes", is_flag=True,
                help="Allow --force for machines that are not named; nothing else is asked.",
            ),
        ]  # fmt: skip
        if force:
            options.append(click.option("-f", "--force", is_flag=True, help=force))
        for option in reversed(options):
            function = option(function)
        return function

    return add


def operate(session: Session, words: Words, wanted: Wanted) -> int:
    """Make the operations, carry them out or have them carried out, and tell of each machine what came of it.

    Raises UsageError and NotFoundError before anything is made, TimedOut.
    """
    from vmctl.planning.applicability import Act

    if wanted.force and not (wanted.names or wanted.yes):
        raise UsageError(
            "--force may cost what guests have not written, and no machine is named",
            remedy="name the machines, or add --yes",
        )
    patience_s = working.seconds(wanted.timeout)
    with working.at_work(session) as engine:
        keys = _machines(session, engine, wanted)
        course = _begin(engine, keys, words, Act(words.type, wanted.force))
        if not course.made:
            return course.code
        if wanted.create_only:
            return _hand_over(session, engine, course)
        operations = list(course.made.values())
        result = working.converge(
            engine,
            [*operations, *course.made],
            wait=wanted.wait,
            timeout_s=patience_s if wanted.wait else None,
            goal=operations,
        )
        return _report(engine, words, course, result)


def _machines(session: Session, engine: Engine, wanted: Wanted) -> list[Key]:
    if bool(wanted.names) + bool(wanted.selector) + wanted.everything != 1:
        raise UsageError("say which machines", remedy="give names, -l or --all: one of them")
    if not wanted.names:
        from vmctl.cli.selectors import by_labels

        chosen = by_labels(wanted.selector) if wanted.selector else None
        known = engine.store.list(MACHINE, session.namespace)
        found = [item.key for item in known if chosen is None or chosen(item.manifest())]
        if not found:
            where = f"namespace {session.namespace}"
            output.remark(f"no machine in {where} matches {wanted.selector}" if chosen else f"no machine in {where}")
        return found
    keys = list(dict.fromkeys(_named(session, engine, name) for name in _names(session, engine, wanted.names)))
    absent = [asking.not_found(key) for key in keys if engine.ledger.get(key) is None]
    if absent:
        raise NotFoundError("; ".join(absent))
    return keys


def _names(session: Session, engine: Engine, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words without the kind in front, as in `stop vm web`, unless a machine has that name. Raises UsageError for
    another kind.
    """
    first = words[0]
    kind = registry.find(first) if len(words) > 1 and not any("/" in word for word in words) else None
    if kind is None or engine.ledger.get(Key(MACHINE, session.namespace, first)) is not None:
        return words
    if kind.name != MACHINE:
        raise UsageError(f'"{first}" is no machine', remedy="give names of virtual machines")
    return words[1:]


def _named(session: Session, engine: Engine, text: str) -> Key:
    """`name`, `name.namespace`, or with the kind in front. Raises UsageError for another kind."""
    kind, slash, name = text.rpartition("/")
    if slash and asking.kind_of(kind).name != MACHINE:
        raise UsageError(f'"{text}" is no machine', remedy="give names of virtual machines")
    plain = Key(MACHINE, session.namespace, name)
    first, dot, namespace = name.rpartition(".")
    return Key(MACHINE, namespace, first) if dot and engine.ledger.get(plain) is None else plain


def _begin(engine: Engine, keys: Sequence[Key], words: Words, act: Act) -> Course:
    """Make an operation for each machine that one can be made for, and tell of the others why not."""
    from vmctl.engine import operating

    course, objects = Course(), engine.ledger.snapshot()
    for key in keys:
        machine = objects.get(key)
        if machine is None:
            raise AssertionError("who is not there was found out before")
        if operating.needless(engine.driver, machine, act):
            output.line(f"{key} already {operating.THERE[act.type].lower()}")
        elif why := operating.refusal(engine.driver, objects, machine, act) or operating.keeps_off(
            engine, machine, act
        ):
            output.error(f"{key} not {words.done}: {why}")
            course.refused += 1
        else:
            stored = operating.create(engine.store, key, act, generated(f"{words.noun}-{key.name}-"))
            engine.ledger.learn(stored)
            course.made[key] = stored.key
    output.flush()
    return course


def _hand_over(session: Session, engine: Engine, course: Course) -> int:
    """Leave the operations to the engine at work, if there is one."""
    from vmctl.state import bell
    from vmctl.state.lock import holder

    for operation in course.made.values():
        output.line(f"{operation} created")
    directory = Path(session.settings.state_dir)
    if holder(directory) is None:
        output.remark("no engine is at work here: the next `vmctl apply` or `vmctl run` carries it out")
    else:
        engine.store.ask(course.made.values(), anew=True, waits=False)
        bell.ring(directory)
    return course.code


def _report(engine: Engine, words: Words, course: Course, result: Result) -> int:
    """Tell of each machine what came of it, and return the exit code. Raises TimedOut."""
    for key, operation in course.made.items():
        item = engine.ledger.get(operation)
        phase = item.phase if item is not None else "Failed"
        if phase == "Completed":
            output.line(f"{key} {words.done}")
        elif phase in ("Failed", "Superseded"):
            output.error(f"{key} not {words.done}: {_said(engine, operation)}")
            course.failed += 1
        elif key in result.failed:
            output.error(f"{key} not {words.done} yet: {result.failed[key]}")
            course.failed += 1
        else:
            output.line(f"{key} {words.noun} pending: {_lacks(engine, key) or _said(engine, operation)}")
            course.waiting.append(key.name)
    if result.timed_out and course.waiting and not course.failed:
        raise TimedOut(
            f"{words.noun} of {', '.join(course.waiting)} is not done yet; it goes on when it can",
            remedy="`vmctl get vmop` lists what is under way; deleting an operation takes it back",
        )
    return course.code


def _said(engine: Engine, operation: Key) -> str:
    """What an operation says of itself."""
    from vmctl.planning.conditions import find

    item = engine.ledger.get(operation)
    if item is None:
        return "its operation was deleted"
    condition = find(item.status, "Completed")
    return str(condition["message"]) if condition is not None else "nobody has looked at it yet"


def _lacks(engine: Engine, machine: Key) -> str:
    """What a machine waits for, in a sentence; empty when it is where it should be."""
    from vmctl.planning import goals

    item = engine.ledger.get(machine)
    return goals.missing(item) if item is not None else ""
