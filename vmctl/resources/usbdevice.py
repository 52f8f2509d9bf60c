"""USBDevice: a USB device of the host that machines of one namespace may use."""

from __future__ import annotations

from typing import Literal

from vmctl.resources.declaring import Resource


class USBDevice(Resource):
    """A USB device that machines of this namespace may use. Made for a NodeUSBDevice that is assigned here."""

    api_version: Literal["virtualization.deckhouse.io/v1alpha2"]
    kind: Literal["USBDevice"]
