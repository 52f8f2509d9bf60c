"""`vmctl annotate`: set and remove annotations, as kubectl does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmctl.cli.label import LABELS
from vmctl.cli.labelling import Options, Sort, assign, assigning
from vmctl.cli.options import verb

if TYPE_CHECKING:
    from vmctl.cli.session import Session

ANNOTATIONS = Sort(
    part="annotations",
    one="annotation",
    key=LABELS.key,
    value=re.compile(r".*", re.DOTALL),
    rule="a key is like note or example.com/note, a value is any text",
    example="vmctl annotate vm linux-vm vmctl.dev/reconcile=DetectOnly",
    done=("annotated", "annotated", "annotated (no change)"),
)


@verb(
    "annotate",
    examples="""
    vmctl annotate vm linux-vm vmctl.dev/reconcile=DetectOnly
    vmctl annotate vd linux-disk vmctl.dev/deletion-policy=Delete --overwrite
    vmctl annotate vm --all note='moved in spring'
    vmctl annotate vm linux-vm note-
    """,
)
@assigning(ANNOTATIONS.part)
def command(session: Session, words: tuple[str, ...], options: Options) -> None:
    """Set annotations (KEY=VALUE) and remove them (KEY-).

    Annotations of an object that a file declares are written into the file.
    """
    assign(session, ANNOTATIONS, words, options)
