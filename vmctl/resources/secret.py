"""Secret: cloud-init documents, Windows answer files, registry passwords."""

from __future__ import annotations

import base64
from operator import not_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic_core import CoreSchema, core_schema

from vmctl.resources.declaring import Fault, Managed, Resource
from vmctl.resources.policies import at_once, refuse
from vmctl.resources.texts import Secrets
from vmctl.resources.units import Flag, Name

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOUD_INIT = "provisioning.virtualization.deckhouse.io/cloud-init"
SYSPREP = "provisioning.virtualization.deckhouse.io/sysprep"
DATA_KEY = r"^[-._a-zA-Z0-9]{1,253}$"
MOST_BYTES = 1024 * 1024


class SecretTexts(Secrets):
    """The data of a Secret, under keys that could be file names."""

    __slots__ = ()

    @classmethod
    def items_schema(cls) -> CoreSchema:
        """Keys as Kubernetes bounds them."""
        key = core_schema.custom_error_schema(
            core_schema.str_schema(pattern=DATA_KEY),
            "text",
            custom_error_message="is no legal key; use letters, digits, dashes, dots and underscores",
        )
        value = core_schema.custom_error_schema(
            core_schema.str_schema(), "text", custom_error_message="is no string; put it in quotes"
        )
        return core_schema.dict_schema(key, value)


def data_is_base64(secret: Secret) -> Iterator[Fault]:
    """What stands under data is encoded."""
    for key, text in secret.data.items():
        if _decoded(text) is None:
            yield Fault(("data", key), "is not base64; encode it with `base64 -w0`, or move it to stringData")


def data_is_not_too_large(secret: Secret) -> Iterator[Fault]:
    """A Secret holds at most one mebibyte."""
    size = sum(len(value) for value in secret.decoded().values())
    if size > MOST_BYTES:
        yield Fault(("data",), f"has {size} bytes; a Secret holds at most {MOST_BYTES}")


class Secret(Resource):
    """Data that is stored and never printed by accident."""

    checks = (*Resource.checks, data_is_base64, data_is_not_too_large)

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    type: Annotated[
        Name,
        Managed(
            f"What the data is for: {CLOUD_INIT} (key userData), {SYSPREP} (key unattend.xml), or any other.",
            refuse("who reads it relies on it; make another Secret"),
            seen_at="store:spec",
        ),
    ] = "Opaque"
    data: Annotated[
        SecretTexts,
        Field(exclude_if=not_),
        Managed("The data, each value in base64.", at_once(), seen_at="store:spec"),
    ] = SecretTexts()
    string_data: Annotated[
        SecretTexts,
        Field(exclude_if=not_),
        Managed("The data as plain text; wins over data under the same key.", at_once(), seen_at="store:spec"),
    ] = SecretTexts()
    immutable: Annotated[
        Flag | None, Managed("Whether the data is fixed.", at_once(), seen_at="store:spec", unset="keep")
    ] = None

    def decoded(self) -> dict[str, bytes]:
        """The bytes under each key."""
        plain = {key: text.encode() for key, text in self.string_data.items()}
        return {key: _decoded(text) or b"" for key, text in self.data.items()} | plain


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return None
