"""The examination behind `vmctl doctor`: can machines run on this host, and if not, what is to be done.

Findings are values; nothing is changed, nothing is printed. A check that cannot be made says so as a finding of its
own.
"""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from vmctl.engine import host_checks
from vmctl.engine.findings import Finding, ok, problem, warning
from vmctl.errors import Corrupt, HypervisorError, StateError
from vmctl.hypervisor import daemon
from vmctl.state.lock import holder
from vmctl.state.store import Store
from vmctl.storage.access import access
from vmctl.storage.space import free_bytes, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmctl.engine.settings import Settings
    from vmctl.hypervisor.driver import Driver, Host

GIB = 1 << 30
LITTLE_SPACE_BYTES = 5 * GIB
NO_SPACE_BYTES = GIB


def examine(
    settings: Settings, connect: Callable[[], Driver], clock: Callable[[], float], root: Path = daemon.HOST
) -> Iterator[Finding]:
    """Look at everything, in the order in which a beginner would meet it."""
    host, finding = _libvirt(settings, connect, root)
    yield finding
    yield _rights(settings.libvirt_uri)
    user = host.qemu_user if host else _usual_qemu_user(settings.libvirt_uri)
    yield host_checks.virtualization(root, user, daemon.root(settings.libvirt_uri) if root == daemon.HOST else root)
    if host is not None and settings.accelerator != "auto":
        yield _accelerator(settings, host)
    yield from host_checks.programs()
    yield from host_checks.firmware(root)
    directories, newest, findings = _state(settings, host, clock)
    yield from findings
    for directory in directories:
        yield from _reach(directory, user)
    yield host_checks.apparmor(root, directories)
    yield from _space(directories)
    yield host_checks.kernel(os.uname().release)
    yield host_checks.clock(clock(), newest)
    yield from host_checks.python()


def _libvirt(settings: Settings, connect: Callable[[], Driver], root: Path) -> tuple[Host | None, Finding]:
    try:
        driver = connect()
        try:
            host = driver.host()
        finally:
            driver.close()
    except HypervisorError as error:
        return None, problem("libvirt", error.message, _how_to_reach(settings.libvirt_uri, error, root))
    return host, ok("libvirt", f"libvirt {host.libvirt} with QEMU {host.qemu} at {host.uri}, host {host.name}")


def _usual_qemu_user(uri: str) -> str:
    """Whom distributions run QEMU as, for as long as libvirt cannot be asked; empty in a user's own session."""
    known = {account.pw_name for account in pwd.getpwall()}
    return next((name for name in ("libvirt-qemu", "qemu") if name in known), "") if "/system" in uri else ""


def _how_to_reach(uri: str, error: HypervisorError, root: Path) -> str:
    if not uri.startswith(("qemu:///", "qemu+unix:")):
        return error.remedy or f"check that {uri} can be reached from here"
    if not (root / "usr/sbin/libvirtd").exists() and not (root / "usr/sbin/virtqemud").exists():
        return "install it: apt install libvirt-daemon-system"
    if "ermission denied" in error.message or "uthentication" in error.message:
        return "join the group libvirt (usermod -aG libvirt $USER, then log in again), or run vmctl as root"
    if (root / "run/systemd/system").is_dir():
        return "start it: systemctl enable --now libvirtd"
    return "start it: libvirtd -d (and virtlogd -d); no systemd runs here. ./install.sh quickstart does it"


def _rights(uri: str) -> Finding:
    """The right to use the system's libvirt; a session needs none, but has no managed networks."""
    if os.geteuid() == 0:
        return ok("rights", "root")
    if "/session" in uri:
        return warning(
            "rights",
            "a user's own libvirt session: machines get user-mode networking, and no guaranteed CPU shares",
            "use --libvirt-uri qemu:///system as root or as a member of the group libvirt",
        )
    try:
        members = grp.getgrnam("libvirt").gr_gid
    except KeyError:
        return problem("rights", "there is no group libvirt", "run vmctl as root")
    if members in os.getgroups():
        return ok("rights", "member of the group libvirt")
    return problem("rights", "not root and not in the group libvirt", "usermod -aG libvirt $USER, then log in again")


def _accelerator(settings: Settings, host: Host) -> Finding:
    if settings.accelerator == "kvm" and host.accelerator != "kvm":
        return problem("accelerator", f"kvm is set, but {host.accelerator_reason}", "set accelerator to auto or tcg")
    return ok("accelerator", f"set to {settings.accelerator}")


def _state(
    settings: Settings, host: Host | None, clock: Callable[[], float]
) -> tuple[list[Path], float, list[Finding]]:
    """The directories of the storage classes, the newest time recorded, and what is to be said of the store."""
    directory = settings.state_dir
    try:
        with Store.open(directory, clock=clock, readonly=True) as store:
            faults = store.faults()
            places = _class_directories(store) or [directory]
            events = store.events()
            newest = max((event.last for event in events), default=0.0)
            findings = [*_faults(directory, faults), *_belongs(store, host)]
    except (StateError, Corrupt) as error:
        return [directory], 0.0, [problem("state", error.message, error.remedy)]
    if engine := holder(directory):
        findings.append(ok("engine", f"{engine} is at work"))
    return places, newest, findings


def _class_directories(store: Store) -> list[Path]:
    found = [stored.document.get("parameters", {}).get("path") for stored in store.list("StorageClass")]
    return [Path(path) for path in found if path]


def _faults(directory: Path, faults: list[str]) -> Iterator[Finding]:
    if faults:
        remedy = "bring the database back from a backup, or move it away and apply the manifests again"
        yield problem("state", f"the store in {directory} is damaged: {faults[0]}", remedy)
    else:
        yield ok("state", f"{directory} is sound")


def _belongs(store: Store, host: Host | None) -> Iterator[Finding]:
    bound = store.host
    if bound is None or host is None or bound[0] == host.uuid:
        return
    yield problem(
        "state",
        f"the store belongs to the host {bound[0]} ({bound[1]}), and this is {host.uuid}",
        "connect to that host, or name another --state-dir for this one",
    )


def _reach(directory: Path, user: str) -> Iterator[Finding]:
    found = access(directory, user)
    for each in found:
        yield problem("images", each.what, each.remedy)
    if not found:
        yield ok("images", f"QEMU{f' ({user})' if user else ''} can reach {directory}")


def _space(directories: list[Path]) -> Iterator[Finding]:
    for directory in directories:
        free = free_bytes(directory)
        if free < LITTLE_SPACE_BYTES:
            level = problem if free < NO_SPACE_BYTES else warning
            yield level("disk space", f"{shown(free)} free for {directory}", "free some, or use another storage class")
        else:
            yield ok("disk space", f"{shown(free)} free for {directory}")
