"""ModuleConfig `virtualization`: settings of the product that belong to the repository rather than to the host."""

from __future__ import annotations

import ipaddress
from operator import not_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue
from pydantic_core import PydanticCustomError

from vmctl.resources.declaring import Fault, Managed, Remark, Resource, Spec
from vmctl.resources.policies import FEATURE_GATES, at_once
from vmctl.resources.units import Flag, Int, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

IGNORED = Remark("belongs to a cluster; it is kept, and ignored on one host")
Items = Field(exclude_if=not_)


def _is_network(text: str) -> str:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        raise PydanticCustomError(
            "text", "is no IPv4 network; write its first address and its length, such as 10.66.10.0/24"
        ) from None
    if network.prefixlen > 30:
        raise PydanticCustomError("text", "has no room for a machine; use a length of 30 or less")
    return str(network)


Network = Annotated[str, AfterValidator(_is_network)]


def setting(doc: str, idle: Remark | None = None, caution: Remark | None = None) -> Managed:
    """The policy of a setting: it counts from now on."""
    return Managed(doc, at_once(), seen_at="store:spec", idle=idle, caution=caution)


class ClassSelector(Spec):
    """Storage classes by name."""

    match_names: Annotated[tuple[Name, ...], setting("The names that are allowed.")]


class StorageDefaults(Spec):
    """Where disks or images lie when they do not say it."""

    default_storage_class_name: Annotated[Name | None, setting("The StorageClass of those that name none.")] = None
    allowed_storage_class_selector: Annotated[
        ClassSelector | None, setting("The StorageClasses that may be named; all, if left out.")
    ] = None


class Audit(Spec):
    """Records of who did what."""

    enabled: Annotated[Flag, setting("Whether records are kept.", caution=Remark(IGNORED.text, bool))] = False


def networks_do_not_overlap(settings: Settings) -> Iterator[Fault]:
    """An address belongs to one network."""
    networks = [ipaddress.IPv4Network(text) for text in settings.virtual_machine_cidrs]
    for index, network in enumerate(networks):
        for before, other in enumerate(networks[:index]):
            if network.overlaps(other):
                yield Fault(("virtualMachineCIDRs", index), f"{network} overlaps with item {before}, {other}")


class Settings(Spec):
    """Settings of virtualization."""

    checks = (networks_do_not_overlap,)

    virtual_machine_cidrs: Annotated[
        tuple[Network, ...],
        Field(alias="virtualMachineCIDRs", exclude_if=not_),
        setting("Networks that machines get addresses from; 10.66.0.0/16 if left out."),
    ] = ()
    virtual_disks: Annotated[StorageDefaults | None, setting("Where disks lie when they do not say it.")] = None
    virtual_images: Annotated[StorageDefaults | None, setting("Where images lie when they do not say it.")] = None
    feature_gates: Annotated[
        tuple[
            Literal[
                "HotplugBlockDevices",
                "HotplugCPUAndMemoryWithInPlaceResize",
                "HotplugCPUWithLiveMigration",
                "HotplugMemoryWithLiveMigration",
            ],
            ...,
        ],
        Items,
        setting(
            f"What may be changed while a machine runs beyond the usual: {', '.join(FEATURE_GATES)}.",
            caution=Remark(
                "has gates that need another host to migrate to; they are kept, and ignored",
                lambda gates: any("LiveMigration" in str(gate) for gate in (gates if isinstance(gates, tuple) else ())),
            ),
        ),
    ] = ()
    audit: Annotated[Audit | None, setting("Records of who did what.")] = None
    log_level: Annotated[
        Literal["debug", "info", "warn", "error"] | None, setting("How much is logged on a cluster.", caution=IGNORED)
    ] = None
    log_format: Annotated[
        Literal["text", "json"] | None, setting("How it is logged on a cluster.", caution=IGNORED)
    ] = None
    dvcr: Annotated[dict[str, JsonValue] | None, setting("The image registry of a cluster.", caution=IGNORED)] = None
    live_migration: Annotated[
        dict[str, JsonValue] | None, setting("How machines move between hosts of a cluster.", caution=IGNORED)
    ] = None
    high_availability: Annotated[
        Flag | None, setting("Whether a cluster runs several controllers.", caution=IGNORED)
    ] = None
    https: Annotated[dict[str, JsonValue] | None, setting("How a cluster serves uploads.", caution=IGNORED)] = None
    ingress_class: Annotated[Name | None, setting("How a cluster serves uploads.", caution=IGNORED)] = None


class ModuleConfigSpec(Spec):
    """Settings of a module."""

    enabled: Annotated[
        Flag | None,
        setting("Whether the module runs on a cluster.", caution=Remark(IGNORED.text, lambda on: on is False)),
    ] = None
    version: Annotated[Int | None, Field(ge=1), setting("The version of the form of the settings.")] = None
    settings: Annotated[Settings | None, setting("The settings.")] = None
    maintenance: Annotated[
        Literal["NoResourceReconciliation"] | None,
        setting("Whether a cluster leaves the module alone.", caution=IGNORED),
    ] = None
    source: Annotated[Name | None, setting("Where a cluster takes the module from.", caution=IGNORED)] = None
    update_policy: Annotated[Name | None, setting("When a cluster updates the module.", caution=IGNORED)] = None


def name_is_virtualization(config: ModuleConfig) -> Iterator[Fault]:
    """There is one module here."""
    if config.metadata.name not in ("", "virtualization"):
        yield Fault(("metadata", "name"), "must be virtualization, the only module here")


class ModuleConfig(Resource):
    """Settings of virtualization, as a manifest beside the machines."""

    namespaced = False
    checks = (*Resource.checks, name_is_virtualization)

    api_version: Literal["deckhouse.io/v1alpha1"]
    kind: Literal["ModuleConfig"]
    spec: Annotated[ModuleConfigSpec, setting("The settings.")] = ModuleConfigSpec()
