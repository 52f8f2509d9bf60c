"""The systemd unit of `vmctl run`, as text to be installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# At boot libvirt comes first, and libvirt-guests, which resumes what it had saved. Stopping goes the other way round:
# vmctl ends before libvirt-guests shuts guests down, so that it neither starts them again nor takes it for their will.
# Without libvirt-guests systemd ends guests itself, but only when virt-guest-shutdown.target is down (libvirt's order).
# KillMode=process: in qemu:///session libvirt and the guests are in our own control group, and must outlive us.
WANTS = "network-online.target virt-guest-shutdown.target"
UNIT = """\
[Unit]
Description=vmctl: keeps the virtual machines of this host as {directories} says
Documentation=man:systemd.unit(5)
After=libvirtd.service virtqemud.service virtnetworkd.service libvirt-guests.service {wants}
Wants={wants}
RequiresMountsFor={mounts}

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
WatchdogSec=120
TimeoutStartSec=infinity
TimeoutStopSec=15
KillMode=process
LimitNOFILE=65536

[Install]
WantedBy={target}
"""


def unit(arguments: Sequence[str], directories: Sequence[str], state_dir: Path, *, root: bool) -> str:
    """The unit that runs this program with these arguments."""
    program = Path(sys.argv[0]).absolute()
    command = [str(program)] if program.name == "vmctl" else [sys.executable, "-m", "vmctl"]
    return UNIT.format(
        directories=", ".join(directories),
        wants=WANTS,
        mounts=" ".join(_quoted(each) for each in (*directories, str(state_dir))),
        command=" ".join(_quoted(word) for word in (*command, *arguments)),
        target="multi-user.target" if root else "default.target",
    )


def _quoted(word: str) -> str:
    """A word as systemd reads it back (systemd.syntax(7))."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = escaped == word and not any(character.isspace() or character in "';" for character in word)
    return word if plain and word else f'"{escaped}"'
