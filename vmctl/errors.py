"""Every error a user can meet. One class is one retry policy, one condition reason and one exit code.

    VmctlError                        1  failed
    |- UsageError                     2  the command line says what cannot be
    |- ManifestError                  2  holds every Problem, not the first
    |- GraphError                     2  a dependency cycle
    |- NotFoundError                  4  a named object does not exist
    |- ChangeRefused                  5  a guard says no: immutable field, shrink, conflict, prune
    |  |- Overtaken                    5  somebody else changed the same thing meanwhile
    |  '- FileRefused                  5  the file that owns an object cannot be written; holds the change for it
    |- TimedOut                       6  --timeout passed
    |- NotReady                       -  a dependency is not there yet; wait, do not fail
    |- StorageError                   1  permanent: the bytes are wrong
    |  |- TransferInterrupted         1  transient: the download can go on; backoff
    |  '- DiskFull                    1  transient: no space left where it is needed; backoff
    |- HypervisorError                1  libvirt said no, with its code; backoff
    |  |- Unreachable                    no connection; backoff
    |  |- Busy                           another job holds the domain; backoff
    |  '- NotFound, Exists, Unsupported, Rejected   permanent: trying again changes nothing
    |- StateError                     1
    |  |- Locked                         another engine holds the lock; backoff
    |  '- Corrupt                        permanent
    '- Bug                            1  the only one shown with a traceback

An expected «no» is a value (Verdict, Outcome), not an exception. Nothing here imports anything of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Retry = Literal["never", "wait", "backoff"]


class VmctlError(Exception):
    """The root: what happened in one sentence, and what to do about it in another."""

    retry: ClassVar[Retry] = "never"
    reason: ClassVar[str] = "Failed"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(VmctlError):
    """The command line asks for something that cannot be."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place of one file; lines and columns count from 1, 0 means unknown."""

    file: str
    line: int
    column: int
    what: str
    remedy: str = ""
    text: str = ""  # the offending line, without its newline
    path: str = ""  # dotted path of the field inside the document, for tools
    warning: bool = False

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{place}: {self.what}" + (f"; {self.remedy}" if self.remedy else "")


class ManifestError(VmctlError):
    """Bad input: every problem at once, in the order of files and lines."""

    reason = "InvalidManifest"
    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        super().__init__(f"{count} problem{'' if count == 1 else 's'} in the manifests, nothing was changed")
        self.problems = tuple(problems)


class GraphError(VmctlError):
    """Objects depend on each other in a circle; the path names them."""

    reason = "DependencyCycle"
    exit_code = 2


class NotFoundError(VmctlError):
    """An object that was named does not exist."""

    exit_code = 4


class ChangeRefused(VmctlError):
    """A guard refuses: an immutable field, a shrink, a conflict of owners, too much to prune."""

    reason = "ChangeRefused"
    exit_code = 5


class Overtaken(ChangeRefused):
    """Somebody else has changed the same thing meanwhile; whoever looks again may repeat the change."""


class FileRefused(ChangeRefused):
    """A change belongs into a file that cannot be written; `patch` is the change, ready to be applied there."""

    def __init__(self, message: str, *, remedy: str = "", patch: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.patch = patch


class TimedOut(VmctlError):
    """The time the user gave has passed."""

    retry = "backoff"
    exit_code = 6


class NotReady(VmctlError):
    """Something else must come first; the object stays Pending and starts by itself later."""

    retry = "wait"
    reason = "DependencyNotReady"


class StorageError(VmctlError):
    """Bytes cannot be had or stored, and trying again will not help."""

    reason = "ProvisioningFailed"


class TransferInterrupted(StorageError):
    """A transfer stopped half-way; what arrived is kept and the rest is fetched later."""

    retry = "backoff"


class DiskFull(StorageError):
    """There is no space left; the work goes on once there is."""

    retry = "backoff"


class HypervisorError(VmctlError):
    """libvirt refused an operation on an object; the cause is chained."""

    retry: ClassVar[Retry] = "backoff"
    reason = "InternalVirtualMachineError"

    def __init__(
        self, message: str, *, remedy: str = "", operation: str = "", subject: str = "", code: int = 0
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.operation = operation
        self.subject = subject
        self.code = code


class Unreachable(HypervisorError):
    """There is no connection to libvirt."""


class Busy(HypervisorError):
    """Another job holds the domain."""


class NotFound(HypervisorError):
    """The domain or network is gone: somebody removed it since we looked, and the next look will tell what to do."""


class Exists(HypervisorError):
    """Something that is not ours has that name or uuid."""

    retry = "never"


class Unsupported(HypervisorError):
    """This host cannot do it."""

    retry = "never"


class Rejected(HypervisorError):
    """The host understood and said no."""

    retry = "never"


class StateError(VmctlError):
    """The store cannot be used."""


class Locked(StateError):
    """Another engine holds the lock."""

    retry = "backoff"


class Corrupt(StateError):
    """The store belongs to another host, or is damaged."""


class Bug(VmctlError):
    """Our own mistake; the only error that is shown with a traceback and asks for a report."""
