"""VolumeSnapshotClass: how snapshots are stored. Here they are layers; `layers` is there without being declared."""

from __future__ import annotations

from operator import not_
from typing import Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Managed, Resource
from vmctl.resources.policies import at_once, refuse
from vmctl.resources.texts import Texts


class VolumeSnapshotClass(Resource):
    """How snapshots are stored."""

    namespaced = False

    api_version: Literal["snapshot.storage.k8s.io/v1"]
    kind: Literal["VolumeSnapshotClass"]
    driver: Annotated[
        Literal["vmctl.dev/directory"],
        Managed("Who stores them.", refuse("snapshots were made by it; make another class"), seen_at="store:spec"),
    ]
    deletion_policy: Annotated[
        Literal["Delete", "Retain"],
        Managed("What becomes of the data when its snapshot is deleted.", at_once(), seen_at="store:spec"),
    ] = "Delete"
    parameters: Annotated[
        Texts,
        Field(exclude_if=not_),
        Managed("Settings of a driver; layers have none.", at_once(), seen_at="store:spec"),
    ] = Texts()
