"""What the ModuleConfig `virtualization` says, whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmctl.planning.objects import Objects

KEY = Key("ModuleConfig", "", "virtualization")
DEFAULT_CIDRS = ("10.66.0.0/16",)


def settings(objects: Objects) -> Mapping[str, Any]:
    """`spec.settings`, empty where nothing is configured."""
    config = objects.get(KEY)
    found: Mapping[str, Any] = (config.document.get("spec") or {}).get("settings") or {} if config is not None else {}
    return found


def cidrs(objects: Objects) -> tuple[str, ...]:
    """`virtualMachineCIDRs`, else our default."""
    return tuple(settings(objects).get("virtualMachineCIDRs") or DEFAULT_CIDRS)


def feature_gates(objects: Objects) -> frozenset[str]:
    """The gates that are on."""
    return frozenset(settings(objects).get("featureGates") or ())


def default_storage_class(objects: Objects, kind: str) -> str | None:
    """`defaultStorageClassName` for `virtualDisks` or `virtualImages`."""
    found = (settings(objects).get(kind) or {}).get("defaultStorageClassName")
    return str(found) if found else None
