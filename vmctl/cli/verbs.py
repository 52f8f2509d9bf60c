"""The table of verbs: name, group and one line each, so that neither help nor completion imports what is not called.

A verb lives in the module of its name (`-` becomes `_`), in an attribute `command`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

import vmctl
from vmctl.cli import output
from vmctl.cli.options import HELP_NAMES, global_options, namespace_parameter
from vmctl.cli.spelling import spelled
from vmctl.resources.registry import closest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

GROUPS: dict[str, dict[str, str]] = {
    "Declaring": {
        "apply": "Make the host match the manifests.",
        "diff": "Show what apply would do, and what it would cost.",
        "run": "Keep the host as directories of manifests say, for as long as it runs.",
        "validate": "Check manifests without touching anything.",
        "create": "Create objects, with generated names where asked.",
        "delete": "Delete objects, by file or by name.",
        "edit": "Change an object in an editor.",
        "patch": "Change a part of an object, said in JSON or YAML.",
        "label": "Set or remove labels of objects.",
        "annotate": "Set or remove annotations of objects.",
    },
    "Looking": {
        "get": "List objects, or print them as documents.",
        "describe": "Tell everything about objects, with their conditions and events.",
        "events": "Tell what happened, newest last.",
        "wait": "Wait for a condition, a value or a deletion.",
        "explain": "Tell what a field means and what a change of it costs.",
        "api-resources": "List the kinds that manifests may use.",
        "schema": "Print the JSON Schema of a kind, or of all.",
    },
    "Machines": {
        "start": "Start machines.",
        "stop": "Stop machines.",
        "restart": "Restart machines, with the changes that wait for that.",
        "evict": "Move machines to another host, where there is one.",
        "console": "Connect to the serial console of a machine.",
    },
    "This host": {
        "doctor": "Examine the host and say what is wrong and what to do.",
        "completion": "Print the completion script of a shell.",
        "version": "Print the versions of vmctl, libvirt and QEMU.",
    },
}
SUMMARIES: dict[str, str] = {name: line for verbs in GROUPS.values() for name, line in verbs.items()}

ELSEWHERE = {  # what people type first, and what does it here
    "logs": "`vmctl console NAME --log` prints what a machine wrote",
    "list": "`vmctl get vm` lists machines",
    "rm": "`vmctl delete KIND NAME` deletes",
}

_INTRODUCTION = """vmctl makes the virtual machines of this host match a directory of manifests.

  vmctl apply -f DIR --wait    make it so
  vmctl get vm                 see it
"""


@click.pass_context
def _help_without_verb(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        output.data(context.get_help() + "\n")


def _version_option() -> click.Option:
    """--version, as most programs have it; `vmctl version` says more."""

    def show(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            output.line(f"vmctl {vmctl.__version__}")
            context.exit()

    return click.Option(
        ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="Print the version."
    )


class Verbs(click.Group):
    """The whole program: a group whose commands are imported when they are called."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            callback=_help_without_verb,
            invoke_without_command=True,
            context_settings={"help_option_names": HELP_NAMES, "max_content_width": 120},
            params=[*global_options(), namespace_parameter(), _version_option()],
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept kubectl's spellings of values in front of the verb as well."""
        return super().parse_args(ctx, spelled(self, args, until_verb=True))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb; None for what is not in the table."""
        if cmd_name not in SUMMARIES:
            return None
        command: click.Command = import_module(f"vmctl.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that was called; says which one was probably meant."""
        if args and args[0] not in SUMMARIES and not args[0].startswith("-"):
            if args[0] in ELSEWHERE:
                ctx.fail(f'there is no verb "{args[0]}"; {ELSEWHERE[args[0]]}')
            near = closest(args[0], list(SUMMARIES))
            ctx.fail(f'there is no verb "{args[0]}"' + (f'; did you mean "{near}"?' if near else ""))
        return super().resolve_command(ctx, args)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The introduction as it stands, not refilled."""
        formatter.write(_INTRODUCTION)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Verbs by group."""
        for group, verbs in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(list(verbs.items()), col_max=16)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs from the table."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=line) for name, line in SUMMARIES.items() if name.startswith(incomplete)]
