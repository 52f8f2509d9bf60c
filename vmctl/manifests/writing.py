"""Changed documents go back into their file: the new text is proven by reading it, and replaces the old one at once.

Nothing is written that says anything else than was asked for, or that changes another document of the file.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmctl.errors import ChangeRefused, Overtaken
from vmctl.manifests import reading
from vmctl.manifests.holding import Steps, held
from vmctl.manifests.splicing import Entangled, same, splice
from vmctl.manifests.texts import BOM

if TYPE_CHECKING:
    from vmctl.manifests.documents import Document
    from vmctl.manifests.holding import Held

ELSE = "the change cannot be written there without changing more than it"


def rewritten(home: Held, wanted: Document) -> str:
    """The text of the file in which the object says `wanted`; everything else is as it was, byte for byte.

    Raises ChangeRefused, with the place, where that cannot be.
    """
    span = home.span
    if span is None:
        raise refused(home, home.line, "an alias stands for the object")
    try:
        text = splice(home.text, span, home.raw, wanted, as_json=home.as_json, shared=home.written.shared[home.number])
    except Entangled as error:
        raise refused(home, error.line, error.why) from error
    values = [*home.values]
    values[home.number] = _with(values[home.number], home.path, wanted)
    read = reading.values(text, is_json=home.is_json)
    if read is None or read[1] != home.as_json or not same(read[0], values):
        raise refused(home, home.line, ELSE)
    return text


def replaced(home: Held, document: str) -> str:
    """The text of the file with another text in place of the whole document. Raises ChangeRefused when that would
    change another document.
    """
    bounds = home.bounds()
    if bounds is None:
        raise refused(home, home.line, ELSE)
    start, end = bounds
    if end < len(home.text) and not home.as_json and not document.endswith("\n"):
        document += "\n"
    text = home.text[:start] + document + home.text[end:]
    read = reading.values(text, is_json=home.is_json)
    others = [value for number, value in enumerate(home.values) if number != home.number]
    if read is None or len(read[0]) != len(home.values):
        raise refused(home, home.line, ELSE)
    if not same([value for number, value in enumerate(read[0]) if number != home.number], others):
        raise refused(home, home.line, ELSE)
    return text


def refused(home: Held, line: int, why: str) -> ChangeRefused:
    """The error that says which place of a file cannot be written."""
    return ChangeRefused(f"{home.file}:{line}: {why}")


def write(home: Held, text: str) -> None:
    """Replace the file, its owner and mode kept: nobody ever sees half of it, and a crash leaves the old or the new.

    Raises Overtaken when somebody has changed the file since it was read, ChangeRefused when it cannot be written.
    """
    real = Path(os.path.realpath(home.file))
    try:
        _replace(real, _encoded(home, home.text), _encoded(home, text))
    except OSError as error:
        raise ChangeRefused(f"{home.file}:{home.line}: cannot be written: {error.strerror}") from error


def erase(home: Held) -> None:
    """Remove the file, and what it is a link to. Raises ChangeRefused as `write` does."""
    real = Path(os.path.realpath(home.file))
    try:
        _refuse_change(real, _encoded(home, home.text))
        real.unlink()
        Path(home.file).unlink(missing_ok=True)
    except OSError as error:
        raise ChangeRefused(f"{home.file}:{home.line}: cannot be removed: {error.strerror}") from error


def reread(home: Held, text: str) -> Held | None:
    """The object in the new text of its file; None when it is not there."""
    found = held(home.file, _encoded(home, text), home.declared.key)
    return found if isinstance(found, type(home)) else None


def _encoded(home: Held, text: str) -> bytes:
    return ((BOM if home.marked else "") + text).encode()


def _replace(real: Path, old: bytes, new: bytes) -> None:
    status = real.stat()
    descriptor, draft = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".tmp", dir=real.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(new)
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            _copy_attributes(real, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        _refuse_change(real, old)
        Path(draft).replace(real)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    directory = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _refuse_change(real: Path, old: bytes) -> None:
    if real.read_bytes() != old:
        raise Overtaken(f"{real} was changed by somebody else meanwhile", remedy="repeat the command")


def _copy_attributes(real: Path, descriptor: int) -> None:
    """Access lists and security labels, as far as the file system has them."""
    with suppress(OSError):
        for name in os.listxattr(real):
            os.setxattr(descriptor, name, os.getxattr(real, name))


def _with(value: Any, path: Steps, wanted: Document) -> Any:
    """A List with one item replaced; the document itself where there is no path."""
    if not path:
        return wanted
    step, *rest = path
    if isinstance(value, dict):
        return {**value, step: _with(value[step], tuple(rest), wanted)}
    return [_with(item, tuple(rest), wanted) if number == step else item for number, item in enumerate(value)]
