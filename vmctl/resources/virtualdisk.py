"""VirtualDisk: a disk that keeps its data, attached to at most one machine at a time."""

from __future__ import annotations

from typing import Literal

from vmctl.resources.declaring import Resource
from vmctl.resources.disk_fields import VirtualDiskSpec


class VirtualDisk(Resource):
    """A disk: empty, or made from an image, a snapshot or a file on a web server. It grows and never shrinks."""

    dots_in_name = False

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualDisk"]
    spec: VirtualDiskSpec
