"""Network: a network beside the managed one, for one namespace."""

from __future__ import annotations

from typing import Literal

from vmctl.resources.declaring import Resource
from vmctl.resources.networking import NetworkSpec


class Network(Resource):
    """A network beside the managed one, for the machines of one namespace."""

    api_version: Literal["network.deckhouse.io/v1alpha1"]
    kind: Literal["Network"]
    spec: NetworkSpec
