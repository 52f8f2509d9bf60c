"""Log records that carry the pass they were written in, as text for people or as JSON for programs.

Everything here is the standard library's logging: whoever embeds the engine hears it through handlers of his own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, NamedTuple

from vmctl.state.stored import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.resources.keys import Key

Format = Literal["text", "json"]
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class Bound(NamedTuple):
    """The pass that a thread is in."""

    id: str
    key: Key


_current: ContextVar[Bound | None] = ContextVar("pass", default=None)


@contextmanager
def bound(identity: str, key: Key) -> Iterator[None]:
    """Mark every record of this thread with a pass until the block ends."""
    token = _current.set(Bound(identity, key))
    try:
        yield
    finally:
        _current.reset(token)


def configure(form: Format, *, verbose: bool = False) -> None:
    """Write the records of vmctl to stderr; debug records too when `verbose`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_marked)
    handler.setFormatter(Json() if form == "json" else Text(journal="JOURNAL_STREAM" in os.environ))
    logger = logging.getLogger("vmctl")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)


def keep_quiet() -> None:
    """Let the records of vmctl reach nobody who did not ask for them: a verb tells itself what it does."""
    logger = logging.getLogger("vmctl")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _marked(record: logging.LogRecord) -> bool:
    """Give a record its pass: `pass_id`, empty outside of one, and `object`, the key or None."""
    found = _current.get()
    record.pass_id = found.id if found is not None else ""
    record.object = found.key if found is not None else None
    return True


class Text(logging.Formatter):
    """One line: time, level, pass, message. For the journal with its priority instead of the time it has itself."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, a traceback below."""
        identity: str = record.__dict__.get("pass_id", "")
        said = (f"[{identity}] " if identity else "") + record.getMessage()
        if record.exc_info:
            said += "\n" + self.formatException(record.exc_info)
        if not self._journal:
            return f"{rfc3339(record.created)} {record.levelname:<7} {said}"
        mark = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return mark + said.replace("\n", f"\n{mark}")


class Json(logging.Formatter):
    """One JSON object in a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its pass and the object of that."""
        key: Key | None = record.__dict__.get("object")
        told = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if key is not None:
            told |= {"pass": record.__dict__["pass_id"], "kind": key.kind, "namespace": key.namespace, "name": key.name}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)
