"""Where an installation is; apart from the plans, because an apply that finds nothing to do makes none."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """Where things of this installation lie on the host, and who it is."""

    installation: str
    state_dir: str
    hash_key: bytes = field(repr=False, default=b"")
    boot_id: str = ""
    overcommit_memory: float = 1.0
    overcommit_cpu: float = 1.0
