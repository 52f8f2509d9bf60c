"""What other processes ask of the engine at work, and what it answered: letters that lie in the store.

A request names the objects that somebody has written or waits for; the answer comes when they, and all that they moved,
have come to rest. Nothing of this need survive: a request that is lost is made again, an answer that nobody fetches is
thrown away by the next engine.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from vmctl.resources.keys import Key
from vmctl.state.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ASKED, _ANSWERED = "engine.asked", "engine.answered"  # what stands in the place of an object's uid


class Request(NamedTuple):
    """What is asked: `anew` forgets earlier failures first; `waits` is false where nobody fetches the answer."""

    id: str
    keys: tuple[Key, ...]
    anew: bool
    waits: bool


class Answer(NamedTuple):
    """How a request came to rest: what failed and why, and what will not get where it should by itself."""

    failed: dict[Key, str]
    hopeless: frozenset[Key]


class Requests(Section):
    """Requests that wait for an engine, and its answers."""

    __slots__ = ()

    def ask(self, keys: Iterable[Key], *, anew: bool, waits: bool = True) -> str:
        """Leave a request and return the name it is answered under."""
        name = os.urandom(8).hex()
        self._leave(_ASKED, name, {"keys": [list(key) for key in keys], "anew": anew, "waits": waits})
        return name

    def requests(self) -> list[Request]:
        """What is asked and not answered yet."""
        return [
            Request(name, tuple(Key(*key) for key in asked["keys"]), asked["anew"], asked["waits"])
            for name, asked in self._letters(_ASKED).items()
        ]

    def answer(self, request: Request, failed: Mapping[Key, str], hopeless: Iterable[Key]) -> None:
        """Replace a request by its answer; one that was taken back meanwhile is not answered."""
        with self._database.writing(durable=False):
            if self.withdraw(request.id) and request.waits:
                told = {
                    "failed": [[list(key), why] for key, why in failed.items()],
                    "hopeless": [list(key) for key in hopeless],
                }
                self._leave(_ANSWERED, request.id, told)

    def answered(self, name: str) -> Answer | None:
        """Fetch an answer, once; None while there is none."""
        told = self._letters(_ANSWERED, name).get(name)
        if told is None:
            return None
        with self._database.writing(durable=False) as connection:
            connection.execute("DELETE FROM notes WHERE uid = ? AND name = ?", (_ANSWERED, name))
        failed = {Key(*key): why for key, why in told["failed"]}
        return Answer(failed, frozenset(Key(*key) for key in told["hopeless"]))

    def asks(self, name: str) -> bool:
        """Whether a request still waits for an engine."""
        return name in self._letters(_ASKED, name)

    def withdraw(self, name: str) -> bool:
        """Take a request back; false when it was not there any more."""
        with self._database.writing(durable=False) as connection:
            gone = connection.execute("DELETE FROM notes WHERE uid = ? AND name = ?", (_ASKED, name))
        return gone.rowcount > 0

    def forget_answers(self) -> None:
        """Throw away answers that nobody fetched; who still waits for one asks again."""
        if self._letters(_ANSWERED):
            with self._database.writing(durable=False) as connection:
                connection.execute("DELETE FROM notes WHERE uid = ?", (_ANSWERED,))

    def _leave(self, box: str, name: str, letter: Mapping[str, object]) -> None:
        with self._database.writing(durable=False) as connection:
            connection.execute("INSERT INTO notes VALUES (?, ?, ?)", (box, name, json.dumps(letter)))

    def _letters(self, box: str, name: str = "") -> dict[str, dict[str, Any]]:
        query = "SELECT name, value FROM notes WHERE uid = ? AND (? = '' OR name = ?)"
        with self._database.reading() as connection:
            rows = connection.execute(query, (box, name, name)).fetchall()
        return {found: json.loads(text) for found, text in rows}
