"""libvirt's errors as ours: every code has a class, which says whether trying again makes sense. Its words are kept."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import libvirt

from vmctl.errors import Busy, Exists, HypervisorError, NotFound, Rejected, Unreachable, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

_BY_CLASS: dict[type[HypervisorError], tuple[str, ...]] = {
    NotFound: (
        "NO_DOMAIN", "NO_NETWORK", "NO_DOMAIN_METADATA", "NO_DOMAIN_SNAPSHOT", "NO_DOMAIN_CHECKPOINT",
        "NO_DOMAIN_BACKUP", "NO_STORAGE_POOL", "NO_STORAGE_VOL", "NO_NODE_DEVICE", "NO_INTERFACE",
        "NO_NWFILTER", "NO_NWFILTER_BINDING", "NO_NETWORK_PORT", "NO_SECRET", "NO_SERVER", "NO_CLIENT",
        "NO_HOSTNAME", "NO_NETWORK_METADATA", "DEVICE_MISSING",
    ),
    Exists: ("DOM_EXIST", "NETWORK_EXIST", "STORAGE_VOL_EXIST", "NETWORK_PORT_EXIST"),
    Unreachable: (
        "NO_CONNECT", "INVALID_CONN", "AUTH_FAILED", "AUTH_CANCELLED", "AUTH_UNAVAILABLE", "RPC",
        "GNUTLS_ERROR", "HTTP_ERROR", "UNKNOWN_HOST", "CONF_SYNTAX", "LIBSSH", "SSH", "DBUS_SERVICE",
    ),
    Busy: (
        "OPERATION_TIMEOUT", "OPERATION_ABORTED", "RESOURCE_BUSY", "BLOCK_COPY_ACTIVE", "AGENT_UNRESPONSIVE",
        "AGENT_UNSYNCED", "AGENT_COMMAND_TIMEOUT", "AGENT_COMMAND_FAILED",
    ),
    Unsupported: (
        "NO_SUPPORT", "CONFIG_UNSUPPORTED", "OPERATION_UNSUPPORTED", "ARGUMENT_UNSUPPORTED",
        "NO_SECURITY_MODEL", "CPU_INCOMPATIBLE", "CHECKPOINT_INCONSISTENT", "NO_XEN", "NO_XENSTORE",
    ),
    Rejected: (
        "INVALID_ARG", "OPERATION_DENIED", "OPERATION_INVALID", "ACCESS_DENIED", "XML_ERROR", "XML_DETAIL",
        "XML_INVALID_SCHEMA", "INVALID_DOMAIN", "INVALID_NETWORK", "INVALID_MAC", "INVALID_STORAGE_POOL",
        "INVALID_STORAGE_VOL", "INVALID_NODE_DEVICE", "INVALID_INTERFACE", "INVALID_NWFILTER",
        "INVALID_NWFILTER_BINDING", "INVALID_SECRET", "INVALID_DOMAIN_SNAPSHOT", "INVALID_DOMAIN_CHECKPOINT",
        "INVALID_NETWORK_PORT", "INVALID_STREAM", "OS_TYPE", "NO_KERNEL", "NO_ROOT", "NO_SOURCE", "NO_TARGET",
        "NO_NAME", "NO_OS", "NO_DEVICE", "DRIVER_FULL", "PARSE_FAILED", "SEXPR_SERIAL", "MIGRATE_UNSAFE",
        "MIGRATE_PERSIST_FAILED", "MIGRATE_FINISH_OK", "STORAGE_PROBE_FAILED", "STORAGE_POOL_BUILT",
        "SNAPSHOT_REVERT_RISKY", "HOOK_SCRIPT_FAILED", "MULTIPLE_DOMAINS", "MULTIPLE_INTERFACES", "OVERFLOW",
    ),
    # These may be anything: tried again, with libvirt's words.
    HypervisorError: (
        "OK", "NONE", "INTERNAL_ERROR", "SYSTEM_ERROR", "OPERATION_FAILED", "NO_MEMORY", "GET_FAILED",
        "POST_FAILED", "OPEN_FAILED", "READ_FAILED", "WRITE_FAILED", "CALL_FAILED", "XEN_CALL",
        "BUILD_FIREWALL",
    ),
}  # fmt: skip
# By name, because a binding knows only the codes of its own age; a code that is in no list counts as one that may be
# anything.
CLASS_OF_CODE: dict[int, type[HypervisorError]] = {
    getattr(libvirt, f"VIR_ERR_{name}"): kind
    for kind, names in _BY_CLASS.items()
    for name in names
    if hasattr(libvirt, f"VIR_ERR_{name}")
}


def translate(error: Any, operation: str, subject: str = "") -> HypervisorError:
    """Make ours of a libvirtError: the class by code and origin, libvirt's words kept."""
    code = error.get_error_code() or 0
    words = (error.get_error_message() or str(error)).strip()
    kind = class_of(code, error.get_error_domain(), words)
    message = f"cannot {operation}{f' {subject}' if subject else ''}: {words}"
    remedy = "see that libvirt's daemon runs and that you may use it (`vmctl doctor`)" if kind is Unreachable else ""
    return kind(message, remedy=remedy, operation=operation, subject=subject, code=code)


@contextmanager
def translated(operation: str, subject: str = "") -> Iterator[None]:
    """Translate what libvirt raises inside the block."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(error, operation, subject) from error


def class_of(code: int, origin: int | None, words: str) -> type[HypervisorError]:
    """Choose the class of an error by code, and by origin and words where the code says nothing."""
    if code in (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_SYSTEM_ERROR) and (
        origin in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE) or "client socket is closed" in words
    ):
        return Unreachable
    if code == libvirt.VIR_ERR_OPERATION_FAILED and "already exists with uuid" in words:
        return Exists
    if code == libvirt.VIR_ERR_OPERATION_FAILED and "already" in words and "in use" in words:
        return Busy
    return CLASS_OF_CODE.get(code, HypervisorError)
