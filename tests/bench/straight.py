"""The same work done straight: libvirt-python and qemu-img, no engine. Runs as a process of its own.

straight.py make URI WORK.json    create the disks, define and start the machines, with four threads
straight.py list URI              read the state of all machines: the live and the inactive document of each
straight.py clear URI WORK.json   power off and remove the machines, remove the disks
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import libvirt

THREADS = 4


def make(connection: Any, machine: dict[str, Any]) -> None:
    """Disk, definition, start."""
    for disk in machine["disks"]:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk["path"], str(disk["bytes"])], check=True)
    connection.defineXMLFlags(machine["document"], libvirt.VIR_DOMAIN_DEFINE_VALIDATE).create()


def clear(connection: Any, machine: dict[str, Any]) -> None:
    """Power off, definition, disk."""
    domain = connection.lookupByName(machine["name"])
    if domain.isActive():
        domain.destroy()
    domain.undefine()
    for disk in machine["disks"]:
        Path(disk["path"]).unlink()


def listed(connection: Any) -> int:
    """Read everything; returns how much there was to read."""
    read = 0
    for domain in connection.listAllDomains(0):
        read += len(domain.XMLDesc(0)) + len(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    return read


def main(work: str, uri: str, *rest: str) -> None:
    """Do one of the three."""
    connection = libvirt.open(uri)
    if work == "list":
        print(listed(connection))
        return
    machines = json.loads(Path(rest[0]).read_text())
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda machine: {"make": make, "clear": clear}[work](connection, machine), machines))


if __name__ == "__main__":
    main(*sys.argv[1:])
