"""A running machine of ours as the live verbs find it, and how they note in it what they have done and fail.

Notes go into the metadata of the running machine only. They are written last, so that what was cut short in the middle
is seen as not done, and go with its QEMU: the next start begins with what the definition says.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import libvirt

from vmctl.errors import HypervisorError, NotFound, Rejected
from vmctl.hypervisor import documents, metadata
from vmctl.hypervisor.explanations import explain
from vmctl.hypervisor.ownership import NAMESPACE, PREFIX
from vmctl.hypervisor.trees import parse, serialise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree import ElementTree as ET

    from vmctl.planning.hardware import Hardware

LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
AT_RESTART = "it is taken over at the next restart of the machine (`vmctl restart`)"


@dataclass(frozen=True, slots=True)
class Running:
    """The live document of a machine, what it amounts to, and our record in it."""

    root: ET.Element
    hardware: Hardware
    record: metadata.Record


def read(domain: Any, operation: str) -> Running:
    """Read a machine of ours that has to run. Raises Rejected when it is off, NotFound when its record is gone."""
    if not domain.isActive():
        raise rejected(domain, operation, "it is off", "start it, or leave the change to its next start")
    root = parse(domain.XMLDesc(0))
    record, hardware = metadata.read(root), documents.parse(root, live=True)
    if record is None or hardware is None:
        raise NotFound(f"cannot {operation} {domain.name()}: its record of ours is gone", operation=operation)
    return Running(root, hardware, record)


def note(domain: Any, record: metadata.Record) -> None:
    """Put a record in the place of the one that the running machine carries; its definition keeps its own."""
    element = metadata.write(record)
    for part in element.iter():
        part.tag = part.tag.rpartition("}")[2]  # libvirt adds the namespace itself
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, serialise(element), PREFIX, NAMESPACE, LIVE)


def rejected(domain: Any, operation: str, why: str, remedy: str = AT_RESTART) -> Rejected:
    """Say that a running machine cannot be changed, and what becomes of the change."""
    return Rejected(
        f"cannot {operation} {domain.name()}: {why}", remedy=remedy, operation=operation, subject=domain.name()
    )


@contextmanager
def refusing(domain: Any, operation: str) -> Iterator[None]:
    """Take what libvirt and QEMU say inside the block for a refusal of this change, unless they give another reason.

    Their word for «this cannot be done while it runs» is mostly an error of no kind; trying it for ever helps nobody.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        failure = explain(error, operation, domain.name())
        if type(failure) is HypervisorError:
            failure = Rejected(
                failure.message, remedy=AT_RESTART, operation=operation, subject=failure.subject, code=failure.code
            )
        raise failure from error
