"""`vmctl restart`: switch machines off and on again, so that what waits for that is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.cli.operating import Wanted, Words, operate, operation_options
from vmctl.cli.options import pass_session, verb

if TYPE_CHECKING:
    from vmctl.cli.session import Session


@verb(
    "restart",
    examples="""
    vmctl restart linux-vm
    vmctl restart linux-vm --force
    vmctl restart -l tier=front --wait
    """,
)
@operation_options(force="Cut the power instead of asking the guest.")
@pass_session
def command(session: Session, /, **given: Any) -> int:
    """Restart machines, with all changes that wait for that.

    A machine that could not come up again, because it lacks something or the host has no room for it, is left running,
    and it is said why: exit code 5.
    """
    return operate(session, Words("Restart", "restarted", "restart"), Wanted(**given))
