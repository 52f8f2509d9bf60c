"""`vmctl evict`: move machines to another host, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.cli.operating import Wanted, Words, operate, operation_options
from vmctl.cli.options import pass_session, verb

if TYPE_CHECKING:
    from vmctl.cli.session import Session


@verb(
    "evict",
    examples="""
    vmctl evict linux-vm
    """,
)
@operation_options(force="Slow the guest down if it cannot be moved otherwise.")
@pass_session
def command(session: Session, /, **given: Any) -> int:
    """Move machines to another host.

    vmctl looks after one host, so the operation fails and says so; on the platform it would move the machine.
    """
    return operate(session, Words("Evict", "evicted", "evict"), Wanted(**given))
