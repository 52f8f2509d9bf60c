"""The files that tell dnsmasq which address and which names a machine has: one in `hosts/`, one in `names/`.

dnsmasq notices a new file at once, by inotify, without a libvirt call and without touching the firewall. What it does
not notice (2.90) is that an entry of `hosts/` is gone, and it refuses a new entry for an address that an old one or a
lease still holds. So what is taken back leaves a mark, a file that dnsmasq overlooks because of its dot, until the
caller has made dnsmasq forget; a process that dies in between finds the mark again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmctl.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Forget = Callable[[str, str], None]  # (address, mac): make dnsmasq read its files anew and drop the lease

_HOSTS = "hosts"
_NAMES = "names"
_DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Reservation:
    """An address and the hardware address it is for; `released` when dnsmasq has still to forget it."""

    address: str
    mac: str
    released: bool = False

    @property
    def file(self) -> str:
        """The name of its file in both directories."""
        return f"{self.address}_{self.mac.replace(':', '-')}"

    @property
    def mark(self) -> str:
        """The name of its file after its release."""
        return f".{self.file}"

    @property
    def draft(self) -> str:
        """The name of its file while that is being written; dnsmasq overlooks it for its dot and for its tilde."""
        return f".{self.file}~"


def prepare(directory: Path) -> None:
    """Make the two directories, readable for dnsmasq's own user. Raises StateError when that cannot be."""
    try:
        for parent in (directory.parent, directory):
            parent.mkdir(exist_ok=True)
            parent.chmod(0o711)
        for name in (_HOSTS, _NAMES):
            (directory / name).mkdir(exist_ok=True)
            (directory / name).chmod(0o755)
    except OSError as error:
        raise _failed(directory, error) from error


def listed(directory: Path) -> tuple[Reservation, ...]:
    """What is reserved, and what was released and not yet forgotten; nothing where there is no directory."""
    try:
        names = sorted(entry.name for entry in (directory / _HOSTS).iterdir())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _failed(directory, error) from error
    found: dict[Reservation, None] = {}
    for name in names:
        # A file that was half-written when its writer died counts as released: dnsmasq never saw it.
        address, divided, mac = name.removeprefix(".").removesuffix("~").partition("_")
        if divided:
            found[Reservation(address, mac.replace("-", ":"), released=name.startswith("."))] = None
    return tuple(found)


def reserve(
    directory: Path, mac: str, address: str, name: str, namespace: str, dns_domain: str, *, forget: Forget
) -> None:
    """Give a machine its address and its names; nothing when it has them. The directories must be prepared.

    Whatever stands in the way, another machine's entry for this address or another address of this machine, is released
    first. Raises StateError when a file cannot be written.
    """
    wanted = Reservation(address, mac)
    for other in listed(directory):
        if other != wanted and (other.address == address or other.mac == mac):
            _drop(directory, other, forget)
    try:
        # `hosts/` first: what is listed there can be released, so that no crash leaves a name that nobody knows of.
        _write(directory / _HOSTS, wanted, f"{mac},{address},{name.replace('.', '-')}\n")
        _write(directory / _NAMES, wanted, f"{address} {' '.join(_names(name, namespace, dns_domain))}\n")
    except OSError as error:
        raise _failed(directory, error) from error


def release(directory: Path, mac: str, *, forget: Forget) -> None:
    """Take back all that a machine has, and have dnsmasq forget it; nothing when it has nothing. Safe to repeat."""
    for found in listed(directory):
        if found.mac == mac:
            _drop(directory, found, forget)


def _drop(directory: Path, found: Reservation, forget: Forget) -> None:
    hosts, names = directory / _HOSTS, directory / _NAMES
    try:
        for file in (names / found.file, names / found.draft, hosts / found.draft):
            file.unlink(missing_ok=True)
        if not found.released:
            (hosts / found.file).rename(hosts / found.mark)
            _sync(hosts)
        forget(found.address, found.mac)
        (hosts / found.mark).unlink(missing_ok=True)
    except OSError as error:
        raise _failed(directory, error) from error


def _names(name: str, namespace: str, dns_domain: str) -> tuple[str, ...]:
    """The first is what a reverse look-up answers; only the default namespace has names without it, so that none is
    ambiguous.
    """
    full = f"{name}.{namespace}.{dns_domain}"
    return (full, f"{name}.{dns_domain}", name) if namespace == _DEFAULT_NAMESPACE else (full,)


def _write(directory: Path, reservation: Reservation, text: str) -> None:
    """Put a whole file in its place, on disk when this returns; a file that says so already is left alone."""
    file = directory / reservation.file
    with suppress(FileNotFoundError):
        if file.read_text(encoding="ascii") == text:
            return
    draft = directory / reservation.draft
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode("ascii"))
        os.fchmod(descriptor, 0o644)  # whatever our umask: dnsmasq reads it as a user of its own
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(file)
    _sync(directory)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(directory: Path, error: OSError) -> StateError:
    return StateError(
        f"the reservations of addresses in {directory} cannot be read or written: {error.strerror or error}",
        remedy=f"free space on the file system of {directory}, and see that it belongs to the user vmctl runs as",
    )
