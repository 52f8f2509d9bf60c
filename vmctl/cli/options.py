"""What verbs share: the decorator that makes one, the global options, and the options that several have.

    @verb("get", examples="vmctl get vm -o wide")
    @namespace_option
    @click.argument("what", nargs=-1)
    @pass_session
    def command(session: Session, what: tuple[str, ...]) -> int | None: ...

Settings given as options land in `session.flags`, in front of the verb or behind it; a verb returns its exit code or
None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from vmctl.cli.session import Session
from vmctl.cli.spelling import spelled

if TYPE_CHECKING:
    from collections.abc import Callable

Decorated = TypeVar("Decorated", bound="Callable[..., Any] | click.Command")
HELP_NAMES = ["-h", "--help"]

pass_session = click.make_pass_decorator(Session)


class Verb(click.Command):
    """A verb: the global options behind it too, kubectl's spellings, and examples in its help."""

    def __init__(self, *arguments: Any, examples: str = "", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.examples = examples
        self._global = global_options()
        self.params = [*self.params, *self._global]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept kubectl's spellings of values."""
        return super().parse_args(ctx, spelled(self, args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verb's own options first, those of every verb last."""
        options = [item for item in self.get_params(ctx) if isinstance(item, click.Option)]
        own = [entry for item in options if item not in self._global and (entry := item.get_help_record(ctx))]
        shared = [entry for item in options if item in self._global and (entry := item.get_help_record(ctx))]
        for heading, entries in (("Options", own), ("Global options", shared)):
            if entries:
                with formatter.section(heading):
                    formatter.write_dl(entries)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, as they would be typed."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples.strip().splitlines():
                    formatter.write(f"  {line.strip()}\n" if line.strip() else "\n")


def verb(name: str, *, examples: str, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function the command of a verb; its docstring is the help, its one line stands in the table of verbs."""
    settings = {"help_option_names": HELP_NAMES, "max_content_width": 120, **attributes.pop("context_settings", {})}

    def make(function: Callable[..., Any]) -> click.Command:
        return click.command(name, cls=Verb, examples=examples, context_settings=settings, **attributes)(function)

    return make


def remember(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Keep the value of a setting in the session's flags."""
    if value is not None and param.name:
        ctx.ensure_object(Session).flags[param.name] = value
    return value


def global_options() -> list[click.Parameter]:
    """Options that may stand in front of the verb and behind it."""
    return [
        click.Option(
            ["--state-dir"], metavar="DIR", expose_value=False, callback=remember,
            help="Where vmctl remembers what it did (VMCTL_STATE_DIR).",
        ),
        click.Option(
            ["--libvirt-uri"], metavar="URI", expose_value=False, callback=remember,
            help="The libvirt to talk to (VMCTL_LIBVIRT_URI).",
        ),
    ]  # fmt: skip


def namespace_parameter() -> click.Option:
    """-n, kept in the session's flags."""
    from vmctl.cli.completing import namespaces

    return click.Option(
        ["-n", "--namespace"], metavar="NAME", expose_value=False, callback=remember, shell_complete=namespaces,
        help="The namespace to look in (VMCTL_NAMESPACE).",
    )  # fmt: skip


def namespace_option(function: Decorated) -> Decorated:
    """Give a verb -n."""
    return _with(function, namespace_parameter())


def all_namespaces_option(function: Decorated) -> Decorated:
    """Give a verb -A as the argument `all_namespaces`."""
    return click.option("-A", "--all-namespaces", is_flag=True, help="Look in every namespace.")(function)


def selector_option(function: Decorated) -> Decorated:
    """Give a verb -l as the argument `selector`."""
    return click.option(
        "-l", "--selector", metavar="QUERY", default="",
        help="Only objects with these labels: a=b, a!=b, 'a in (b,c)', 'a notin (b)', a, !a.",
    )(function)  # fmt: skip


recursive_option = click.option("-R", "--recursive", is_flag=True, help="Read directories below the given ones too.")


def files_options(function: Decorated) -> Decorated:
    """Give a verb -f (repeatable) as `filename` and -R as `recursive`."""
    function = recursive_option(function)
    return click.option(
        "-f", "--filename", metavar="FILE|DIR|-", multiple=True, type=click.Path(allow_dash=True),
        help="Manifests: a file, a directory, or - for stdin. May be repeated.",
    )(function)  # fmt: skip


def _with(function: Decorated, option: click.Option) -> Decorated:
    """Attach a ready option the way click's own decorators do."""
    known: list[click.Parameter] = function.__dict__.setdefault("__click_params__", [])
    known.append(option)
    return function
