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

    def seed_medium(self, uid: str) -> str:
        """The file that sets a machine's guest up."""
        return f"{self.state_dir}/seeds/{uid}.iso"

    def console_log(self, uid: str) -> str:
        """The transcript of a machine's serial console."""
        return console_log(self.state_dir, uid)


def console_log(state_dir: str, uid: str) -> str:
    """The transcript of a machine's serial console, for a reader that knows no more than the state directory."""
    return f"{state_dir}/consoles/{uid}.log"
