"""VirtualImage: a read-only image for one namespace."""

from __future__ import annotations

from typing import Annotated, Literal

from vmctl.resources.declaring import Managed, Remark, Resource, Spec
from vmctl.resources.policies import once_ready, refuse
from vmctl.resources.sources import DataSource, content
from vmctl.resources.units import Name

FROZEN = once_ready(refuse("an image stays where it was made; make another one"))


class ImageClaim(Spec):
    """Where the image lies."""

    storage_class_name: Annotated[
        Name | None,
        Managed("The StorageClass; left out, the default one.", FROZEN, seen_at="store:spec", unset="keep"),
    ] = None


class VirtualImageSpec(Spec):
    """A read-only image."""

    storage: Annotated[
        Literal["ContainerRegistry", "PersistentVolumeClaim", "Kubernetes"],
        Managed(
            "Where a cluster would keep the image. Here every image lies in a StorageClass: the default one, or what "
            "persistentVolumeClaim names.",
            FROZEN,
            seen_at="store:spec",
            caution=Remark(
                "{value} is the old name of PersistentVolumeClaim; write that instead",
                lambda value: value == "Kubernetes",
            ),
        ),
    ] = "ContainerRegistry"
    persistent_volume_claim: Annotated[
        ImageClaim | None, Managed("Where the image lies.", FROZEN, seen_at="store:spec", unset="keep")
    ] = None
    data_source: Annotated[DataSource, content("What the image holds.")]


class VirtualImage(Resource):
    """A read-only image for one namespace, to make disks from or to attach to machines."""

    dots_in_name = False

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["VirtualImage"]
    spec: VirtualImageSpec
