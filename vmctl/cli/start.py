"""`vmctl start`: switch machines on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.cli.operating import Wanted, Words, operate, operation_options
from vmctl.cli.options import pass_session, verb

if TYPE_CHECKING:
    from vmctl.cli.session import Session


@verb(
    "start",
    examples="""
    vmctl start linux-vm
    vmctl start linux-vm --wait
    vmctl start -l tier=front
    """,
)
@operation_options()
@pass_session
def command(session: Session, /, **given: Any) -> int:
    """Start machines.

    A machine that lacks something it needs stays Pending and says what; it starts as soon as that is there.
    """
    return operate(session, Words("Start", "started", "start"), Wanted(**given))
