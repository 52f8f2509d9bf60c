"""`vmctl label`: set and remove labels, as kubectl does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmctl.cli.labelling import Options, Sort, assign, assigning
from vmctl.cli.options import verb

if TYPE_CHECKING:
    from vmctl.cli.session import Session

LABELS = Sort(
    part="labels",
    one="label",
    key=re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"),
    value=re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"),
    rule="a key is like app or example.com/app; a value has letters, digits, - _ . (at most 63)",
    example="vmctl label vm linux-vm app=nginx",
    done=("labeled", "unlabeled", "not labeled"),
)


@verb(
    "label",
    examples="""
    vmctl label vm linux-vm app=nginx
    vmctl label vm -l app=nginx tier=front --overwrite
    vmctl label node host1 disktype=ssd
    vmctl label vm linux-vm app-
    """,
)
@assigning(LABELS.part)
def command(session: Session, words: tuple[str, ...], options: Options) -> None:
    """Set labels (KEY=VALUE) and remove them (KEY-).

    Labels of an object that a file declares are written into the file.
    """
    assign(session, LABELS, words, options)
