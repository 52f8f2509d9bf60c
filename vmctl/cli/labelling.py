"""What `label` and `annotate` share: KEY=VALUE sets, KEY- removes, --overwrite replaces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from vmctl.cli import output, revising, working
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.options import namespace_option, pass_session, selector_option
from vmctl.errors import ChangeRefused, UsageError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping, Sequence

    from vmctl.cli.session import Session
    from vmctl.state.stored import Stored


@dataclass(frozen=True, slots=True)
class Sort:
    """What is assigned: `part` of metadata, what one is called, how keys and values look (`rule` in words), and the
    words for an object where something was set, where all was removed, and where nothing changed.
    """

    part: str
    one: str
    key: re.Pattern[str]
    value: re.Pattern[str]
    rule: str
    example: str
    done: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Options:
    """How a verb was called."""

    selector: str = ""
    everything: bool = False
    overwrite: bool = False
    dry_run: bool = False


def assigning(part: str) -> Callable[[Callable[[Session, tuple[str, ...], Options], None]], Callable[..., None]]:
    """Give a verb the words and options of assigning; the options arrive as one."""

    def give(function: Callable[[Session, tuple[str, ...], Options], None]) -> Callable[..., None]:
        @wraps(function)
        def gathered(
            session: Session, what: tuple[str, ...], overwrite: bool, everything: bool, dry_run: bool, selector: str
        ) -> None:
            function(session, what, Options(selector, everything, overwrite, dry_run))

        form = "KIND NAME... KEY=VALUE... KEY-..."
        taken = pass_session(gathered)
        for option in (
            namespace_option,
            selector_option,
            click.option("--dry-run", is_flag=True, help="Say what would be changed, and change nothing."),
            click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace."),
            click.option("--overwrite", is_flag=True, help=f"Change {part} that have another value."),
            click.argument("what", nargs=-1, metavar=form, shell_complete=kinds_and_names),
        ):
            taken = option(taken)
        return taken

    return give


def assign(session: Session, sort: Sort, words: Sequence[str], options: Options) -> None:
    """Set and remove what the words say, tell of each object what became of it, and carry out what follows."""
    objects = [word for word in words if "=" not in word and not word.endswith("-")]
    wanted = _wanted(sort, [word for word in words if word not in objects])
    was_set, was_removed, was_nothing = sort.done
    what = was_removed if all(value is None for value in wanted.values()) else was_set

    def change(stored: Stored) -> Mapping[str, Any]:
        return _with(stored, sort, wanted, overwrite=options.overwrite)

    with working.at_work(session) as engine:
        keys = revising.named(session, engine.store, objects, selector=options.selector, everything=options.everything)
        if not keys:
            output.remark("No resources found")
        done = revising.revise_all(engine, keys, change, dry_run=options.dry_run)
        for key, changed, told in done:
            output.line(f"{key} {what if changed else was_nothing}{' (dry run)' if options.dry_run else ''}")
            for text in told:
                output.line(text)
        output.flush()
        changed_keys = [each.key for each in done if each.changed]
        if changed_keys and not options.dry_run:
            revising.settle(engine, changed_keys)


def _wanted(sort: Sort, words: Sequence[str]) -> dict[str, str | None]:
    """What to set, and what to remove (None). Raises UsageError for what can be none of it."""
    wanted: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            key, value = word.removesuffix("-"), ""
        if not sort.key.fullmatch(key) or not sort.value.fullmatch(value):
            raise UsageError(f"{word!r} is no {sort.one}", remedy=sort.rule)
        wanted[key] = value if equals else None
    if not wanted:
        raise UsageError(f"say which {sort.part}", remedy=f"for example  {sort.example}")
    return wanted


def _with(stored: Stored, sort: Sort, wanted: Mapping[str, str | None], *, overwrite: bool) -> dict[str, Any]:
    """The document with the part of its metadata changed. Raises ChangeRefused rather than replace a value unasked."""
    metadata = stored.document["metadata"]
    there: Mapping[str, str] = metadata.get(sort.part) or {}
    for key, value in wanted.items():
        if value is not None and there.get(key) not in (None, value) and not overwrite:
            raise ChangeRefused(
                f"{stored.key.short} already has the {sort.one} {key}={there[key]}", remedy="add --overwrite"
            )
    after = {key: value for key, value in {**there, **wanted}.items() if value is not None}
    rest = {name: value for name, value in metadata.items() if name != sort.part}
    return {**stored.document, "metadata": {**rest, **({sort.part: after} if after else {})}}
