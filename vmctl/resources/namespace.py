"""Namespace: a name that keeps objects apart. None needs declaring."""

from __future__ import annotations

from operator import not_
from typing import Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Managed, Resource, Spec
from vmctl.resources.policies import at_once
from vmctl.resources.units import Name


class NamespaceSpec(Spec):
    """What holds a namespace while it is deleted."""

    finalizers: Annotated[
        tuple[Name, ...],
        Field(exclude_if=not_),
        Managed("Kept for files from a cluster, and ignored.", at_once(), seen_at="store:spec", unset="keep"),
    ] = ()


class Namespace(Resource):
    """A namespace, for its labels: selectors of affinity terms look at them."""

    namespaced = False
    longest_name = 63
    dots_in_name = False

    api_version: Literal["v1"]
    kind: Literal["Namespace"]
    spec: Annotated[
        NamespaceSpec | None,
        Managed("What holds the namespace while it is deleted.", at_once(), seen_at="store:spec", unset="keep"),
    ] = None
