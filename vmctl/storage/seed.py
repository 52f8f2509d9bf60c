"""Seed media: what a guest reads at its first boot. cloud-init gets a small disk labelled cidata, Windows a CD-ROM.

The bytes of a medium differ each time (dates), so what it says is compared by a keyed digest of its inputs. That may be
shown to other users where the inputs, passwords among them, may not.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import re
from typing import TYPE_CHECKING

from vmctl.storage.layers import finish
from vmctl.storage.space import writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MIB = 1 << 20
MODE = 0o600
LABEL = "cidata"  # what cloud-init's NoCloud source looks for
LONGEST_NAME = 30  # ISO 9660 level 3, with its dot


def nocloud(
    path: Path, user_data: bytes, *, instance_id: str, hostname: str, network_config: bytes | None = None
) -> None:
    """Write a NoCloud medium; a new `instance_id` makes cloud-init take the guest for a new machine."""
    # quoted: a host may be called "on", which YAML would read as true
    meta = f"instance-id: {json.dumps(instance_id)}\nlocal-hostname: {json.dumps(hostname)}\n"
    files = {"user-data": user_data, "meta-data": meta.encode()}
    if network_config is not None:
        files["network-config"] = network_config
    _write(path, files, LABEL)


def sysprep(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a CD-ROM with answer files (unattend.xml, autounattend.xml) at its root, where Windows setup looks."""
    _write(path, files, "sysprep")


def digest(inputs: Mapping[str, bytes], key: bytes) -> str:
    """Digest the inputs of a medium so that nobody without the key can guess them from it; order does not count."""
    running = hmac.new(key, digestmod=hashlib.sha256)
    for name, content in sorted(inputs.items()):
        for part in (name.encode(), content):
            running.update(len(part).to_bytes(8, "big"))
            running.update(part)
    return running.hexdigest()


def _write(path: Path, files: Mapping[str, bytes], label: str) -> None:
    """Write an ISO 9660 medium with Rock Ridge and Joliet names, at once and only for its owner."""
    content = _iso(files, label)
    passing = path.with_name(path.name + ".new")
    with writing(path.parent, f"writing {path.name}"):
        passing.unlink(missing_ok=True)
        descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.truncate(-(-len(content) // MIB) * MIB)  # whole megabytes: guests show the size of the disk
            finish(passing, path, MODE)
        finally:
            passing.unlink(missing_ok=True)  # there only when something failed


def _iso(files: Mapping[str, bytes], label: str) -> bytes:
    import pycdlib  # 30 ms to import, and few commands write media

    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label)
    taken: set[str] = set()
    for name, content in sorted(files.items()):
        plain = _plain_name(name, taken)
        taken.add(plain)
        image.add_fp(io.BytesIO(content), len(content), plain, rr_name=name, joliet_path=f"/{name}")
    written = io.BytesIO()
    image.write_fp(written)
    image.close()
    return written.getvalue()


def _plain_name(name: str, taken: set[str]) -> str:
    """A name for systems that see neither Rock Ridge nor Joliet: capitals and one dot, numbered where it is taken."""
    stem, _, extension = re.sub(r"[^A-Z0-9_.]", "_", name.upper()).rpartition(".")
    stem, extension = (stem or extension).replace(".", "_"), extension[:3] if stem else ""
    stem = stem[: LONGEST_NAME - len(extension)]
    plain, number = f"/{stem}.{extension};1", 0
    while plain in taken:
        number += 1
        plain = f"/{stem[:20]}_{number:03}.{extension};1"
    return plain
