"""kubectl's spellings that click does not know: `-o=json`, `-n=web`, `--wait=false`, `-A=true`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASSIGNED = re.compile(r"(-[A-Za-z]|--[A-Za-z][A-Za-z-]*)=(.*)", re.DOTALL)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def spelled(command: click.Command, arguments: list[str], *, until_verb: bool = False) -> list[str]:
    """The same arguments in click's spelling; `until_verb` leaves what follows the first word to the verb."""
    return list(_respelled(_options(command), arguments, until_verb=until_verb))


def _options(command: click.Command) -> dict[str, click.Option]:
    found: dict[str, click.Option] = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            found.update(dict.fromkeys((*parameter.opts, *parameter.secondary_opts), parameter))
    return found


def _respelled(options: dict[str, click.Option], arguments: list[str], *, until_verb: bool) -> Iterator[str]:
    left = iter(arguments)
    for argument in left:
        if argument == "--" or (until_verb and not argument.startswith("-")):
            yield argument
            yield from left
            return
        match = _ASSIGNED.fullmatch(argument)
        option = options.get(match[1]) if match else None
        if match is None or option is None:
            yield argument
            if argument in options and not options[argument].is_flag:
                yield from _value(left)  # the value of an option is no option, whatever it looks like
        elif option.is_flag:
            yield from _flag(option, match[1], match[2])
        elif match[1].startswith("--"):
            yield argument
        else:
            yield from (match[1], match[2])


def _value(left: Iterator[str]) -> Iterator[str]:
    value = next(left, None)
    if value is not None:
        yield value


def _flag(option: click.Option, name: str, value: str) -> Iterator[str]:
    truth = _TRUTH.get(value.lower())
    if truth is None:
        raise click.BadParameter(f'"{value}" is neither true nor false', param=option)
    if truth:
        yield name
    elif option.secondary_opts:
        yield option.secondary_opts[0]
