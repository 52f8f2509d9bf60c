"""Has anything moved since nothing was left to do? One cheap digest per object, without models, graph or parsed
documents.

An object is skipped only while its own version, the versions of all it refers to, of all that refer to it and of what
attachments plug into it, the settings of the host, its files, libvirt's own text of both its definitions, and the boot
of the host are those of the pass that found nothing to do, and the time that this pass named has not come.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from vmctl import __version__
from vmctl.planning import addresses, goals, machine_rest, storage_classes
from vmctl.planning.conditions import holds
from vmctl.planning.graph import is_over, references
from vmctl.planning.requests import KEPT_S
from vmctl.planning.steps import layer_path
from vmctl.planning.usage import ATTACHMENT, device_of, machine_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmctl.engine.passes import Outcome
    from vmctl.engine.session import Session
    from vmctl.planning.objects import Object, Objects
    from vmctl.planning.observed import Listed
    from vmctl.planning.place import Place
    from vmctl.resources.keys import Key
    from vmctl.state.layers import Layer

COMMON = ("ModuleConfig", "StorageClass", "Node", "VirtualMachineClass")  # nobody has to name them to go by them


def digests(
    objects: Objects, listed: Mapping[str, Listed], rows: Iterable[Layer], place: Place, now: float
) -> dict[str, str]:
    """The digest of every object by uid, as of `now` (epoch seconds)."""
    directories = storage_classes.directories(objects)
    files: dict[str, list[str]] = {}
    for row in rows:
        if row.owner:
            files.setdefault(row.owner, []).append(f"{row.id} {_inode(directories.get(row.storage_class, ''), row.id)}")
    contents = {key: item.fingerprint for key, item in objects.by_key.items()}
    common = _common(contents, place)
    plugged: dict[Key, list[str]] = {}
    for item in objects.of_kind(ATTACHMENT):
        plugged.setdefault(machine_of(item), []).append(f"{contents[item.key]} {contents.get(device_of(item))}")
    return {
        item.uid: _digest(
            item,
            objects,
            contents,
            listed,
            [common, *_overdue(item, now), *files.get(item.uid, ()), *plugged.get(key, ())],
            place,
        )
        if not is_over(item)
        else _kept(item, contents[key], now)
        for key, item in objects.by_key.items()
    }


class Marks:
    """Which objects are at rest: marked with the digest that they have. The only place that says so.

    An object is marked when its pass had nothing left to do. A verb marks it with its digest after the pass; who stays
    uses the one from before: what happens to the object later, even during its pass, is another digest then.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._digests: Mapping[str, str] = {}  # by uid
        self._listed: Mapping[str, Listed] = {}
        self._marks: dict[str, str] = {}

    def look(self, listed: Mapping[str, Listed]) -> None:
        """Take the digest of everything as it is now, with what the host runs."""
        session = self._session
        objects, rows = session.ledger.snapshot(), session.store.layers()
        self._digests = digests(objects, listed, rows, session.place, session.clock.now())
        self._listed = listed
        self._marks = session.store.settled()

    def restless(self) -> list[Key]:
        """The objects that are not at rest since the last look."""
        items = self._session.ledger.snapshot().by_key.values()
        return [item.key for item in items if self._marks.get(item.uid) != self._digests.get(item.uid, "")]

    def digest(self, key: Key) -> str:
        """The digest of an object as the last look found it; empty for one that is new since."""
        item = self._session.ledger.get(key)
        return self._digests.get(item.uid, "") if item is not None else ""

    def mark(self, outcome: Outcome, digest: str) -> None:
        """Mark an object with a digest, if its pass has left it at rest, and nothing has befallen it on the host since:
        of what happened while others were worked on, a digest that is taken at the end would say that it was seen.
        """
        item = self._session.ledger.get(outcome.key)
        if item is None or not (digest and outcome.at_rest and may_rest(item)) or self._marks.get(item.uid) == digest:
            return
        domain = self._listed.get(item.uid)
        if outcome.seen == (domain.fingerprint if domain is not None else ""):
            self._session.store.settle(item.uid, digest)
            self._marks[item.uid] = digest


def may_rest(item: Object) -> bool:
    """Whether an object can be passed over as long as its digest stands.

    What waits goes by more than that: by the memory that others take, and the disks that others hold.
    """
    return not item.terminating and (is_over(item) or not goals.missing(item))


def _common(contents: Mapping[Key, str], place: Place) -> str:
    """What concerns everything without being named: the settings, the host and its classes, its boot, our version."""
    found = sorted(f"{key} {content}" for key, content in contents.items() if key.kind in COMMON)
    return hashlib.sha256("\0".join([__version__, place.boot_id, *found]).encode()).hexdigest()


def _kept(item: Object, content: str, now: float) -> str:
    """The digest of an operation that is over: only its age moves it, hour by hour once its day is over."""
    hours = max(-1, (now - item.created - KEPT_S) // 3600)
    return hashlib.sha256(f"{__version__}\0{content}\0{hours:g}".encode()).hexdigest()


def _overdue(item: Object, now: float) -> tuple[str, ...]:
    """A word for each object whose time to be looked at again has come, though nothing else has moved: without a
    daemon nobody looks at that moment, and a daemon that begins later does not know of it.
    """
    match item.key.kind, item.phase:
        case "VirtualMachine", "Stopped":
            due = machine_rest.rests_from(item, now)
        case "VirtualMachineIPAddressLease", "Released":
            due = addresses.released_at(item, now) + addresses.KEPT_S
        case _:
            return ()
    return ("overdue",) if now >= due else ()


def _digest(
    item: Object,
    objects: Objects,
    contents: Mapping[Key, str],
    listed: Mapping[str, Listed],
    belongings: list[str],
    place: Place,
) -> str:
    parts = [contents[item.key], *sorted(belongings)]
    beside = {*references(item.key, item.document), *objects.mentioning(item.key)}
    parts += sorted(f"{key} {contents.get(key)}" for key in beside)
    if item.key.kind == "VirtualMachine":
        domain = listed.get(item.uid)
        parts.append(f"{domain.power} {domain.fingerprint}" if domain is not None else "no domain")
        if not holds(item.status, "AgentReady"):
            parts.append(_length(place.console_log(item.uid)))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _inode(directory: str, layer: str) -> str:
    try:
        return str(os.stat(layer_path(directory, layer)).st_ino)  # noqa: PTH116  # one for each disk: a Path costs more
    except OSError:
        return "missing"


def _length(path: str) -> str:
    try:
        return str(os.stat(path).st_size)  # noqa: PTH116  # as above
    except OSError:
        return "missing"
