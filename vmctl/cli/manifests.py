"""How verbs read manifests: all of them through one memory of what unchanged files came to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmctl.cli.session import Session
    from vmctl.manifests.documents import Loaded


def read(session: Session, filename: tuple[str, ...], *, recursive: bool, allow_generate_name: bool = False) -> Loaded:
    """Read and check the manifests. What is wrong with them comes back, nothing is raised."""
    from vmctl.manifests import loading
    from vmctl.manifests.cache import ParseCache

    with ParseCache(session.settings.state_dir / "manifests.cache") as cache:
        return loading.load(
            filename, recursive=recursive, stdin=sys.stdin.buffer, cache=cache, allow_generate_name=allow_generate_name
        )
