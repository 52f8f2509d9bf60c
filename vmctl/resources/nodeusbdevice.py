"""NodeUSBDevice: a USB device found on the host."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Managed, Resource, Spec
from vmctl.resources.policies import at_once
from vmctl.resources.units import LABEL


class NodeUSBDeviceSpec(Spec):
    """Who may use the device."""

    assigned_namespace: Annotated[
        str,
        Field(pattern=f"^({LABEL[1:-1]})?$", max_length=63),
        Managed("The namespace whose machines may use it; nobody's, if empty.", at_once(), seen_at="store:spec"),
    ] = ""


class NodeUSBDevice(Resource):
    """A USB device found on the host. vmctl makes these; a manifest assigns one to a namespace."""

    namespaced = False

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["NodeUSBDevice"]
    spec: NodeUSBDeviceSpec
