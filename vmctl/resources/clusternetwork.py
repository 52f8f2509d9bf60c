"""ClusterNetwork: a network beside the managed one, for all namespaces."""

from __future__ import annotations

from typing import Literal

from vmctl.resources.declaring import Resource
from vmctl.resources.networking import NetworkSpec


class ClusterNetwork(Resource):
    """A network beside the managed one, for the machines of all namespaces."""

    namespaced = False

    api_version: Literal["network.deckhouse.io/v1alpha1"]
    kind: Literal["ClusterNetwork"]
    spec: NetworkSpec
