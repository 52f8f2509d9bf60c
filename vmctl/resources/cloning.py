"""How copies of a machine and of what belongs to it are named; shared by operations that make such copies."""

from __future__ import annotations

from operator import not_
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vmctl.resources.checking import Fault
from vmctl.resources.fields import Managed, Spec, Value
from vmctl.resources.policies import refuse
from vmctl.resources.units import Name, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.resources.fields import Remark

ONCE = refuse("an operation is carried out once; make another one")
Affix = Annotated[
    str,
    Text(
        r"^[-a-z0-9]{1,59}$", "is no part of a name; use 1 to 59 lower-case letters, digits and dashes", max_length=59
    ),
]
NewName = Annotated[str, Text(r"^[a-z0-9]([-a-z0-9.]{0,57}[a-z0-9])?$", "is no name of at most 59 characters")]
Mode = Annotated[
    Literal["DryRun", "Strict", "BestEffort"],
    Managed(
        "DryRun: only say what would be. Strict: all or nothing. BestEffort: what can be done.",
        ONCE,
        seen_at="store:spec",
    ),
]


def once(doc: str, idle: Remark | None = None) -> Managed:
    """The policy of a field of something that happens once."""
    return Managed(doc, ONCE, seen_at="store:spec", idle=idle)


class Original(Value):
    """An object that is copied."""

    kind: Annotated[Name | None, Field(description="Its kind; any, if left out.")] = None
    name: Annotated[Name, Field(description="Its name.")]


class NameReplacement(Value):
    """A new name for the copy of one object."""

    source: Annotated[Original, Field(alias="from", description="The object that is copied.")]
    to: Annotated[NewName, Field(description="The name of the copy.")]


class Customization(Spec):
    """What is put before and after the name of every copy."""

    name_prefix: Annotated[Affix | None, once("Put before each name.")] = None
    name_suffix: Annotated[Affix | None, once("Put after each name.")] = None


def copies_are_named(naming: Naming) -> Iterator[Fault]:
    """A copy needs a name of its own."""
    custom = naming.customization
    affixed = custom is not None and (custom.name_prefix or custom.name_suffix)
    if not affixed and not naming.name_replacement:
        yield Fault(
            ("customization",), "names no copy; give namePrefix or nameSuffix here, or new names in nameReplacement"
        )


class Naming(Spec):
    """How copies are named, and how strictly."""

    checks = (copies_are_named,)

    mode: Mode
    customization: Annotated[Customization | None, once("What is put around each name.")] = None
    name_replacement: Annotated[
        tuple[NameReplacement, ...], Field(exclude_if=not_), once("New names for single objects; they win.")
    ] = ()
