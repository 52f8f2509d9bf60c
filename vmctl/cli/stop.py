"""`vmctl stop`: switch machines off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.cli.operating import Wanted, Words, operate, operation_options
from vmctl.cli.options import pass_session, verb

if TYPE_CHECKING:
    from vmctl.cli.session import Session


@verb(
    "stop",
    examples="""
    vmctl stop linux-vm
    vmctl stop linux-vm --force
    vmctl stop --all
    """,
)
@operation_options(force="Cut the power instead of asking the guest.")
@pass_session
def command(session: Session, /, **given: Any) -> int:
    """Stop machines.

    The guest is asked to power off, again and again, until terminationGracePeriodSeconds are over; then its power is
    cut. It stays off until somebody starts it, also when the host is restarted.
    """
    return operate(session, Words("Stop", "stopped", "stop"), Wanted(**given))
