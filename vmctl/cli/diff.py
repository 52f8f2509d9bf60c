"""`vmctl diff`: show what apply would do and what it would cost, before anything happens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from vmctl.cli import output
from vmctl.cli.apply import foresee, load
from vmctl.cli.options import files_options, pass_session, verb
from vmctl.cli.pruning import asked, prune_options
from vmctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.cli.session import Session
    from vmctl.engine.previewing import Preview
    from vmctl.planning.plans import Waiting

DIFFERENCES = 1
SHORT = 60  # values longer than this are cut in the middle


@verb(
    "diff",
    examples="""
    vmctl diff -f machines/
    vmctl diff -f machines/ --prune
    vmctl diff -f machines/ -o jsonpatch
    """,
)
@files_options
@click.option(
    "-o", "--output", "form", type=click.Choice(["text", "jsonpatch"]), default="text", help="How to print it."
)
@prune_options
@pass_session
def command(
    session: Session, filename: tuple[str, ...], recursive: bool, form: str, prune: bool, prune_max: str | None
) -> int:
    """Show what apply would do and what it would cost.

    Exit code 0: nothing; 1: differences; 2 and more: an error. What is printed here is what apply does: the same plan.
    A change that was applied and waits for a restart is a difference until it has had one.
    """
    from vmctl.engine.applying import judge
    from vmctl.engine.previewing import look

    if not filename:
        raise UsageError("say what to compare", remedy="for example  vmctl diff -f machines/")
    loaded, sources = load(session, filename, recursive=recursive)
    pruning = asked(filename, loaded, sources, recursive=recursive, prune=prune, prune_max=prune_max)
    manifests = judge(loaded)
    with look(session.settings) as host:
        found, rest = foresee(host, manifests, sources, pruning, take_over=False)
    previews = [preview for preview in found if preview.differs]
    for item in rest:
        if item.why:
            output.remark(str(item))
    if form == "jsonpatch":
        output.line(json.dumps(_patches(previews), indent=2, sort_keys=True))
    else:
        for preview in previews:
            for line in lines(preview):
                output.line(line)
    return DIFFERENCES if previews else 0


def lines(preview: Preview) -> Iterator[str]:
    """What would become of one object, as `diff` prints it."""
    left = {"prune": "pruned", "retain": "retained"}.get(preview.verb)
    sign = "+" if preview.verb == "create" else "~"
    yield f"{preview.key} {left}" if left else f"{sign} {preview.key}"
    for change in preview.changes:
        yield f"    {_change(change)}"
    for step in preview.steps:
        yield f"    {step}"
    for step in preview.later:
        yield f"    {preview.waits}: {step}"
    if preview.lacks:
        yield f"    lacks: {preview.lacks}"
    if preview.fails:
        yield f"    fails: {preview.fails}"
    if preview.waits and not preview.later:
        yield f"    waits: {preview.waits}"
    elif preview.verb == "change" and not (preview.changes or preview.steps or preview.later):
        yield "    written differently, means the same"


def _change(change: Waiting) -> str:
    sides = {
        (True, False): f"+ {change.path}: {_short(change.new)}",
        (False, True): f"- {change.path}: {_short(change.old)}",
    }
    text = sides.get(
        (change.old is None, change.new is None), f"~ {change.path}: {_short(change.old)} → {_short(change.new)}"
    )
    return f"{text}    {change.effect}" + (f": {change.reason}" if change.reason else "")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    text = output.printable(text)
    return text if len(text) <= SHORT else f"{text[: SHORT // 2]} … {text[-SHORT // 3 :]}"


def _patches(previews: list[Preview]) -> list[dict[str, Any]]:
    import jsonpatch

    from vmctl.resources.secrecy import masked

    return [
        {
            "object": str(preview.key),
            "namespace": preview.key.namespace,
            "patch": [{"op": "remove", "path": ""}]
            if preview.verb == "prune"
            else jsonpatch.make_patch(masked(preview.old), masked(preview.new)).patch,
        }
        for preview in previews
    ]
