"""The command line: one module per verb, imported only when it is called; output is printed in one place.

`main` is the only door: whatever happens inside, a user sees a sentence and an exit code, never a traceback (except for
a mistake of ours, which asks to be reported). Exit codes: 0 ok, 1 failed, 2 usage or bad manifest, 3 some objects
failed, 4 not found, 5 refused by a guard, 6 timed out, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmctl.cli import output
from vmctl.cli.session import Session
from vmctl.cli.verbs import Verbs
from vmctl.errors import Bug, VmctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAM = "vmctl"
INTERRUPTED = 130
PIPE_CLOSED = 141  # what a shell reports of a program that SIGPIPE ended
COMPLETION_VARIABLE = "_VMCTL_COMPLETE"


def main(arguments: Sequence[str] | None = None, *, clock: Callable[[], float] | None = None) -> int:
    """Run one command line and return its exit code. `clock` tells epoch seconds, the system's unless given."""
    _prepare_streams()
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments), Session(clock))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader went away (`| head`)
        _forget_stdout()
        return PIPE_CLOSED
    except (KeyboardInterrupt, click.Abort):
        output.remark("interrupted")
        return INTERRUPTED
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _usage(error)
    except click.ClickException as error:
        output.error(error.format_message())
        return error.exit_code
    except Bug as error:
        return _bug(error)
    except VmctlError as error:
        output.failure(error)
        return error.exit_code
    except OSError as error:  # a full disk, a directory without rights: said by the system, and no mistake of ours
        _forget_stdout()
        output.error(f"the system refuses: {error}")
        return VmctlError.exit_code
    except Exception as error:  # the outermost frame: nothing may reach the user as a bare traceback
        return _bug(error)
    return code


def _run(arguments: list[str], session: Session) -> int:
    program = Verbs(PROGRAM)
    if asked := os.environ.get(COMPLETION_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(program, {"obj": session}, PROGRAM, COMPLETION_VARIABLE, asked)
    with session, program.make_context(PROGRAM, arguments, obj=session) as context:
        result = program.invoke(context)
    return result if isinstance(result, int) else 0


def _usage(error: click.UsageError) -> int:
    where = error.ctx.command_path if error.ctx else PROGRAM
    message = error.format_message()
    output.error(message[:1].lower() + message[1:], f"see  {where} --help")
    return error.exit_code


def _bug(error: Exception) -> int:
    import traceback

    output.remark("".join(traceback.format_exception(error)).rstrip())
    output.error(f"this is a mistake in vmctl, not yours: {error}", "please report it with the lines above")
    return Bug.exit_code


def _forget_stdout() -> None:
    """Keep the interpreter from trying once more, at exit, to write what cannot be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):  # a stdout that has no descriptor has nothing to lose either
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _prepare_streams() -> None:
    """Names and messages may hold what the locale cannot write: show it escaped. A closed stream swallows all."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115  # open as long as we live
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
