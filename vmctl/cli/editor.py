"""The user's editor on a text of ours, in the foreground of the terminal: the one program that vmctl shares it with."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.errors import UsageError, VmctlError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLES = ("VMCTL_EDITOR", "KUBE_EDITOR", "VISUAL", "EDITOR")
OTHERWISE = "vi"


class Draft:
    """A text in a temporary file that only its owner can read, until `discard`."""

    def __init__(self, name: str, text: str) -> None:
        descriptor, path = tempfile.mkstemp(prefix="vmctl-edit-", suffix=f"-{name}")
        os.close(descriptor)
        self.path = Path(path)
        self.put(text)

    def put(self, text: str) -> None:
        """Replace the text."""
        self.path.write_bytes(text.encode())

    def edit(self) -> str:
        """Have the user edit the text, and return it. Raises UsageError when there is no editor, VmctlError when it
        fails or leaves no text.
        """
        command = chosen()
        try:
            with _interrupts_left_to_it():
                done = subprocess.run([*command, str(self.path)], check=False)
        except OSError as error:
            raise UsageError(
                f"the editor {shlex.join(command)} cannot be started: {error.strerror}",
                remedy="set VMCTL_EDITOR, KUBE_EDITOR, VISUAL or EDITOR to one that is installed",
            ) from error
        if done.returncode in (-signal.SIGINT, 128 + signal.SIGINT):
            raise KeyboardInterrupt
        if done.returncode:
            raise VmctlError(
                f"the editor {shlex.join(command)} failed with exit code {done.returncode}; nothing was changed"
            )
        try:
            return self.path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise VmctlError(f"what the editor left in {self.path} cannot be read: {error}") from error

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def chosen() -> list[str]:
    """The command line of the user's editor, without the file. Raises UsageError when it cannot be taken apart."""
    words = next((text for name in VARIABLES if (text := os.environ.get(name, "").strip())), OTHERWISE)
    try:
        return shlex.split(words)
    except ValueError as error:
        raise UsageError(f"the editor {words!r} cannot be understood: {error}", remedy="close its quotes") from error


@contextmanager
def _interrupts_left_to_it() -> Iterator[None]:
    """Let Ctrl-C reach the editor alone, which starts with the usual handling of it."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
