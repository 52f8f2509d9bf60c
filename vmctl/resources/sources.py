"""Where the content of images and disks comes from; shared by the kinds that have a dataSource."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, model_validator

from vmctl.resources.checking import Fault
from vmctl.resources.fields import Managed, Remark, Spec
from vmctl.resources.policies import Rule, once_ready, refuse
from vmctl.resources.units import Base64, Name, Text

CONTENT = once_ready(refuse("what something was made from is fixed once it is Ready; make another one"))

IMAGE = (
    r"^((localhost|[\w-]+(\.[\w-]+)+)(:[0-9]+)?/|\w+:[0-9]+/)?[a-z0-9_.-]+(/[a-z0-9_.-]+)*"
    r"(:\w[\w.-]{0,127})?(@[A-Za-z][A-Za-z0-9]*([+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$"
)
Url = Annotated[str, Text(r"^https?://[^\s/]\S*$", "is no web address; write http://HOST/PATH or https://HOST/PATH")]
ImageName = Annotated[str, Text(IMAGE, "is no image name; write REGISTRY/PATH:TAG, such as docker.io/library/disk:1")]

PAYLOADS = {"HTTP": "http", "ContainerImage": "containerImage", "ObjectRef": "objectRef", "Upload": "upload"}
SourceType = Literal["HTTP", "ContainerImage", "ObjectRef", "Upload"]


def content(doc: str, idle: Remark | None = None, rule: Rule = CONTENT) -> Managed:
    """The policy of a field that decides what an image or disk holds."""
    return Managed(doc, rule, seen_at="store:spec", idle=idle)


def later(what: str, *values: str) -> Remark:
    """A remark on values that validate and that this version does not carry out."""
    return Remark(f"{what} {{value}} is not carried out by this version", lambda value: value in values)


def _digest(length: int, name: str) -> Text:
    return Text(f"^[0-9a-fA-F]{{{length}}}$", f"is no {name} checksum; it has {length} hexadecimal digits")


class Checksum(Spec):
    """Digests of the bytes as they are transferred; every one that is given must match."""

    md5: Annotated[str | None, _digest(32, "md5"), content("The MD5 digest, 32 hexadecimal digits.")] = None
    sha1: Annotated[str | None, _digest(40, "sha1"), content("The SHA-1 digest, 40 hexadecimal digits.")] = None
    sha256: Annotated[str | None, _digest(64, "sha256"), content("The SHA-256 digest, 64 hexadecimal digits.")] = None
    sha512: Annotated[str | None, _digest(128, "sha512"), content("The SHA-512 digest, 128 hexadecimal digits.")] = None
    streebog256: Annotated[
        str | None,
        _digest(64, "streebog256"),
        content("The GOST R 34.11-2012 digest of 256 bits, 64 hexadecimal digits."),
    ] = None
    streebog512: Annotated[
        str | None,
        _digest(128, "streebog512"),
        content("The GOST R 34.11-2012 digest of 512 bits, 128 hexadecimal digits."),
    ] = None


class Http(Spec):
    """A file on a web server: qcow2, raw, vmdk, vdi or iso, as it is or compressed with gz or xz."""

    url: Annotated[Url, content("The address of the file, http or https. Redirects are followed.")]
    checksum: Annotated[Checksum | None, content("Digests that the file must have.")] = None
    ca_bundle: Annotated[
        Base64 | None,
        content("Certificates (PEM, in base64) that the server's is checked against, beside those the host trusts."),
    ] = None


class PullSecret(Spec):
    """The Secret with the registry's user and password."""

    name: Annotated[Name | None, content("The name of a Secret of type kubernetes.io/dockerconfigjson.")] = None


class ClusterPullSecret(PullSecret):
    """The Secret with the registry's user and password, in any namespace."""

    namespace: Annotated[Name | None, content("The namespace of the Secret.")] = None


class ContainerImage(Spec):
    """An image in a container registry that holds one disk file."""

    image: Annotated[ImageName, content("The image: registry, path, tag or digest.")]
    image_pull_secret: Annotated[PullSecret | None, content("The Secret to log in with.")] = None
    ca_bundle: Annotated[
        Base64 | None, content("Certificates (PEM, in base64) that the registry's is checked against.")
    ] = None


class ClusterContainerImage(ContainerImage):
    """An image in a container registry, pulled with a Secret from any namespace."""

    image_pull_secret: Annotated[ClusterPullSecret | None, content("The Secret to log in with.")] = None


class Upload(Spec):
    """Bytes that a user sends."""

    checksum: Annotated[Checksum | None, content("Digests that the bytes must have.")] = None


class ObjectRef(Spec):
    """Another object in the same namespace, or a cluster image."""

    kind: Annotated[
        Literal["ClusterVirtualImage", "VirtualImage", "VirtualDisk", "VirtualDiskSnapshot"],
        content("The kind of the object.", later("objectRef kind", "VirtualDisk", "VirtualDiskSnapshot")),
    ]
    name: Annotated[Name, content("The name of the object.")]


def payload_fits_type(source: DataSource) -> Iterator[Fault]:
    """Exactly the block that belongs to the type is there."""
    wanted = PAYLOADS[source.type]
    for slot in source.slots:
        given = getattr(source, slot.name) is not None
        if slot.alias == wanted and not given and source.type != "Upload":
            yield Fault((slot.alias,), f"is missing; type {source.type} needs it")
        elif given and slot.alias not in (wanted, "type"):
            owner = next(name for name, block in PAYLOADS.items() if block == slot.alias)
            yield Fault((slot.alias,), f"does not belong to type {source.type}; remove it, or set type to {owner}")


class DataSource(Spec):
    """Where the content comes from: one type and the block of that name."""

    tag = "type"
    checks = (payload_fits_type,)
    model_config = ConfigDict(json_schema_extra=lambda schema: schema["required"].remove("type"))

    type: Annotated[
        SourceType,
        content("What kind of source it is.", later("dataSource type", "ContainerImage", "Upload")),
    ]
    http: Annotated[Http | None, content("The file of type HTTP.")] = None
    container_image: Annotated[ContainerImage | None, content("The image of type ContainerImage.")] = None
    object_ref: Annotated[ObjectRef | None, content("The object of type ObjectRef.")] = None
    upload: Annotated[Upload | None, content("What is known of the bytes of type Upload.")] = None

    @model_validator(mode="before")
    @classmethod
    def _type_from_block(cls, data: Any) -> Any:
        """Let the type be left out where the one block that is there says it."""
        if isinstance(data, Mapping) and "type" not in data:
            named = [name for name, block in PAYLOADS.items() if data.get(block) is not None]
            if len(named) == 1:
                return {"type": named[0], **data}
        return data
