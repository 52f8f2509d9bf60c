"""The libvirt daemon as a process of this host: whose files it sees.

Where there is no init system, libvirt may live in namespaces of its own, with another /dev than ours. What is asked of
devices is asked of those that it hands to QEMU.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

HOST = Path("/")
SOCKETS = ("libvirt/virtqemud-sock", "libvirt/libvirt-sock")  # modular first, as libvirt itself looks for them
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7))


def root(uri: str) -> Path:
    """The root directory of the daemon that a URI leads to; ours where it cannot be told, or is another host's."""
    for path in _sockets(uri):
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(path)
                said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            except OSError:
                continue
        seen = Path(f"/proc/{_CREDENTIALS.unpack(said)[0]}/root")
        try:
            return HOST if (seen / "dev").samefile("/dev") else seen
        except OSError:  # another user's process shows nothing
            return HOST
    return HOST


def _sockets(uri: str) -> tuple[str, ...]:
    """Where the daemon of a URI listens on this host; none for others, and for drivers without a daemon."""
    parts = urlsplit(uri)
    driver, _, transport = parts.scheme.partition("+")
    if driver != "qemu" or transport not in ("", "unix") or parts.hostname:
        return ()
    given = parse_qs(parts.query).get("socket")
    if given:
        return (given[0],)
    if parts.path.startswith("/session"):
        home = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        return tuple(f"{home}/{name}" for name in SOCKETS)
    return tuple(f"/run/{name}" for name in SOCKETS)
