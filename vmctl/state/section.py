"""What the parts of the store have in common: the connections and the clock.

Most records here are named tuples where everything else has dataclasses: every verb imports them, and a dataclass
costs half a millisecond at each start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.state.database import Database

    Clock = Callable[[], float]  # epoch seconds


class Section:
    """One group of tables; the store is all of them over the same database."""

    __slots__ = ("_clock", "_database")

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
