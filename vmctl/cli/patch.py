"""`vmctl patch`: change a part of an object, said in JSON or YAML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vmctl.cli import output, revising, working
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.options import namespace_option, pass_session, verb
from vmctl.errors import ChangeRefused, UsageError
from vmctl.resources import registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.cli.session import Session
    from vmctl.resources.registry import Kind
    from vmctl.state.stored import Stored

FORMS = ("merge", "json", "strategic")


@verb(
    "patch",
    examples="""
    vmctl patch vm linux-vm --type merge -p '{"spec":{"cpu":{"cores":2}}}'
    vmctl patch vd linux-disk -p '{"spec":{"persistentVolumeClaim":{"size":"11Gi"}}}'
    vmctl patch vm linux-vm --type=json -p '[{"op":"replace","path":"/spec/runPolicy","value":"Manual"}]'
    vmctl patch vm linux-vm --patch-file change.yaml --dry-run
    """,
)
@click.argument("what", nargs=-1, metavar="KIND NAME...|KIND/NAME...", shell_complete=kinds_and_names)
@click.option("-p", "--patch", "text", metavar="TEXT", help="The change, as JSON or YAML.")
@click.option("--patch-file", type=click.Path(dir_okay=False, allow_dash=True), help="A file that holds the change.")
@click.option(
    "--type", "form", type=click.Choice(FORMS), default="merge", show_default=True,
    help="How the change is said: merge (RFC 7386, lists as a whole) or json (RFC 6902, a list of operations).",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be changed, and change nothing.")
@namespace_option
@pass_session
def command(
    session: Session, what: tuple[str, ...], text: str | None, patch_file: str | None, form: str, dry_run: bool
) -> int:
    """Change a part of objects.

    An object that a file declares is changed in the file, where comments and layout stay as they are, and applied.
    """
    change = _change(_given(text, patch_file), form)
    with working.at_work(session) as engine:
        keys = revising.named(session, engine.store, what)
        for key in keys:
            if form == "strategic":
                _refuse_strategic(registry.BY_NAME[key.kind])
        done = revising.revise_all(engine, keys, lambda stored: _patched(stored, change, form), dry_run=dry_run)
        for key, changed, told in done:
            output.line(f"{key} patched{'' if changed else ' (no change)'}{' (dry run)' if dry_run else ''}")
            for text in told:
                output.line(text)
        output.flush()
        changed_keys = [each.key for each in done if each.changed]
        if dry_run or not changed_keys:
            return 0
        return working.report(working.converge(engine, changed_keys), changed_keys, engine, wait=False)


def _given(text: str | None, patch_file: str | None) -> str:
    if (text is None) == (patch_file is None):
        raise UsageError("say what to change, once", remedy="""for example  -p '{"spec":{"cpu":{"cores":2}}}'""")
    if text is not None:
        return text
    try:
        if patch_file == "-":
            return sys.stdin.read()
        return Path(patch_file or "").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{patch_file} cannot be read: {error}") from error


def _change(text: str, form: str) -> Any:
    """The change as a value. Raises UsageError; what the text says is not repeated, it may be secret."""
    from vmctl.manifests.reading import values

    read = values(text, is_json=False)
    if read is None or len(read[0]) != 1:
        raise UsageError(
            "the patch is neither JSON nor YAML", remedy="put it in single quotes, so that the shell leaves it alone"
        )
    (value,) = read[0]
    wanted: type = list if form == "json" else dict
    if not isinstance(value, wanted):
        what = "a list of operations" if form == "json" else "an object with the fields to change"
        raise UsageError(f"a patch of type {form} is {what}", remedy="`--type` says which form it has: merge or json")
    return value


def _patched(stored: Stored, change: Any, form: str) -> Mapping[str, Any]:
    document = {name: value for name, value in stored.manifest().items() if name != "status"}
    if form == "json":
        return _json_patched(document, change)
    merged: Mapping[str, Any] = _merged(document, change)
    return merged


def _merged(target: Any, change: Any) -> Any:
    """RFC 7386: null removes, objects are merged, everything else replaces."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _json_patched(document: Mapping[str, Any], change: list[Any]) -> Mapping[str, Any]:
    """RFC 6902. What an operation held or found is not repeated: it may be secret."""
    import jsonpatch

    patched: Any = document
    for number, operation in enumerate(change):
        where = f"operation {number}"
        if isinstance(operation, dict) and {"op", "path"} <= operation.keys():
            where = f"operation {number} ({operation['op']} {operation['path']})"
        try:
            patched = jsonpatch.apply_patch(patched, [operation])
        except jsonpatch.JsonPatchTestFailed:
            raise ChangeRefused(f"{where}: the value there is another one; nothing was changed") from None
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, AttributeError):
            remedy = "`vmctl get KIND NAME -o json` shows what is there; paths are like /spec/cpu/cores"
            raise UsageError(f"{where} cannot be carried out", remedy=remedy) from None
    if not isinstance(patched, dict):
        raise UsageError("the patch leaves no object", remedy="change fields of it, not all of it")
    return patched


def _refuse_strategic(kind: Kind) -> None:
    """kubectl's answer for kinds that no cluster is built with; a strategic merge of lists has no meaning for them."""
    raise UsageError(
        f"application/strategic-merge-patch+json is not supported by {kind.api_version}, Kind={kind.name}",
        remedy="use --type merge, where lists are replaced as a whole, or --type json",
    )
