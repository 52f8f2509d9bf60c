"""The one place where text leaves the program: data to stdout, progress and remarks to stderr.

What guests and manifests say is printed without control characters, so that no machine can steer the terminal it is
looked at in.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from vmctl.errors import Problem, VmctlError

_CONTROLS = {code: f"^{chr(code ^ 64)}" for code in (*range(32), 127)} | {
    code: f"\\x{code:02x}" for code in range(128, 160)
}
_CONTROLS_KEEPING_LINES = {code: text for code, text in _CONTROLS.items() if code not in (9, 10)}

RED, YELLOW, GREEN, BOLD = "31", "33", "32", "1"


def data(text: str) -> None:
    """Write to stdout exactly this text; BrokenPipeError is main's business."""
    sys.stdout.write(text)


def raw(content: bytes) -> None:
    """Write bytes to stdout as they are: recordings, for other programs."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)


def line(text: str = "") -> None:
    """Write one line of data to stdout."""
    sys.stdout.write(text + "\n")


def flush() -> None:
    """Make what was written visible now; for output that follows something."""
    sys.stdout.flush()


def remark(text: str) -> None:
    """Write one line to stderr: progress, warnings, where things are."""
    sys.stdout.flush()  # so that a terminal shows both streams in the order in which they were written
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def warning(text: str) -> None:
    """Write a warning to stderr."""
    remark(f"{coloured('warning:', YELLOW)} {text}")


def error(text: str, remedy: str = "") -> None:
    """Write an error and what to do about it to stderr."""
    remark(f"{coloured('error:', RED)} {text}" + (f"\n{coloured('hint:', YELLOW)} {remedy}" if remedy else ""))


def failure(found: VmctlError) -> None:
    """Write any of our errors: what, where, why, what to do."""
    problems = getattr(found, "problems", ())
    for each in problems:
        problem(each)
    error(found.message, found.remedy)


def problem(found: Problem) -> None:
    """Write one problem as compilers do: place, what, the line with a mark under the column, what to do."""
    place = ":".join(str(part) for part in (found.file, found.line, found.column) if part)
    kind = coloured("warning:", YELLOW) + " " if found.warning else ""
    parts = [f"{coloured(place, BOLD)}: {kind}{found.what}"]
    if found.text:
        number = str(found.line)
        parts.append(f"  {number} | {printable(found.text)}")
        if found.column:
            parts.append(f"  {' ' * len(number)} | {' ' * (found.column - 1)}^")
    if found.remedy:
        parts.append(f"  {coloured('hint:', YELLOW)} {found.remedy}")
    remark("\n".join(parts))


def printable(text: str, *, lines: bool = False) -> str:
    """The text without control characters; `lines` keeps tabs and line ends."""
    return text if text.isprintable() else text.translate(_CONTROLS_KEEPING_LINES if lines else _CONTROLS)


def coloured(text: str, code: str, *, data: bool = False) -> str:
    """Coloured where stderr (with `data`: stdout) is a terminal that wants colour (NO_COLOR, TERM=dumb say no)."""
    return f"\x1b[{code}m{text}\x1b[0m" if _colours(sys.stdout if data else sys.stderr) else text


def width() -> int:
    """Columns of the terminal; 100 where there is none."""
    import shutil

    return shutil.get_terminal_size((100, 24)).columns


def interactive() -> bool:
    """A person is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _colours(stream: TextIO) -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()
