"""ClusterVirtualImage: a read-only image for all namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from vmctl.resources.declaring import Fault, Resource, Spec
from vmctl.resources.sources import ClusterContainerImage, DataSource, ObjectRef, content
from vmctl.resources.units import Label

if TYPE_CHECKING:
    from collections.abc import Iterator


def namespace_is_named(ref: ClusterObjectRef) -> Iterator[Fault]:
    """Who is in no namespace must say in which one to look; cluster images are in none."""
    if ref.kind != "ClusterVirtualImage" and ref.namespace is None:
        yield Fault(("namespace",), f"is missing; a {ref.kind} is in a namespace, and this image is in none")
    elif ref.kind == "ClusterVirtualImage" and ref.namespace is not None:
        yield Fault(("namespace",), "does not belong to a ClusterVirtualImage, which is in no namespace; remove it")


class ClusterObjectRef(ObjectRef):
    """A cluster image, or an object in some namespace."""

    checks = (namespace_is_named,)

    namespace: Annotated[Label | None, content("The namespace of the object; none for a ClusterVirtualImage.")] = None


class ClusterDataSource(DataSource):
    """Where the content of a cluster image comes from."""

    container_image: Annotated[ClusterContainerImage | None, content("The image of type ContainerImage.")] = None
    object_ref: Annotated[ClusterObjectRef | None, content("The object of type ObjectRef.")] = None


class ClusterVirtualImageSpec(Spec):
    """A read-only image."""

    data_source: Annotated[ClusterDataSource, content("What the image holds.")]


class ClusterVirtualImage(Resource):
    """A read-only image for all namespaces, to make disks from or to attach to machines."""

    dots_in_name = False
    namespaced = False

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["ClusterVirtualImage"]
    spec: ClusterVirtualImageSpec
