"""How a field is declared: type, bounds, words, place of observation and cost of a change, in one annotation.

`Spec` is walked: every field has a policy. `Value` is compared whole, under the policy of the field that holds it.
Diff, plan, JSON Schema, `explain` and the tables of the README are derived from these declarations.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from vmctl.resources.checking import Check, checked
from vmctl.resources.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.fields import FieldInfo
    from pydantic.json_schema import JsonSchemaValue

    from vmctl.resources.policies import Rule


def as_is(value: object) -> object:
    """The identity, for values that are compared as they are."""
    return value


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence about a legal value that does not act yet or has no meaning here; `when` says which values."""

    text: str
    when: Callable[[object], bool] = lambda value: value is not None


@dataclass(frozen=True, slots=True)
class Managed:
    """All that is said about a field beside its type and bounds; rides in pydantic's field metadata.

    `seen_at` is an inert address that only a driver interprets: `metadata:NAME`, `domain:XPATH`, `codec:NAME`, or
    `store:spec` for what never leaves the store.
    """

    doc: str
    change: Rule
    _: KW_ONLY
    seen_at: str
    key: tuple[str, ...] = ()  # identity of list items, by attribute
    unset: Literal["enforce", "keep"] = "enforce"  # left out: back to our default, or whatever the host chose
    measure: Callable[[object], object] = as_is  # what two values are compared by; total
    fallback: object = None  # in force where neither the manifest nor anything else says a value
    idle: Remark | None = None  # validates, but is not carried out by this version
    caution: Remark | None = None  # legal, and worth a warning

    def tells_apart(self, old: object, new: object) -> bool:
        """Whether going from `old` to `new` is a change at all."""
        kept = new is None and self.unset == "keep"
        return not kept and self.measure(old) != self.measure(new)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        gate = {"x-vmctl-gate": self.change.gate} if self.change.gate else {}
        return {**handler(core), "description": self.doc, "x-vmctl-change": self.change.doc, **gate}


def _forget(_: object) -> None:
    return None


Ignored = Annotated[Any, BeforeValidator(_forget), WithJsonSchema({}), Field(exclude=True)]  # accepted, not kept


class Declared(BaseModel):
    """What all parts of a manifest share: frozen, strict about unknown fields, camelCase outside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )
    checks: ClassVar[tuple[Check, ...]] = ()  # rules across fields; each reports all it finds, where it finds it

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        finished = isinstance(cls.__dict__.get("__pydantic_core_schema__"), dict)  # then the handler gives it as it is
        schema = handler(source)
        if finished or not cls.checks:
            return schema
        return core_schema.no_info_wrap_validator_function(checked(cls), schema)


class Value(Declared):
    """A group that is compared whole; its fields have no policies of their own."""


BLANK = (None, "", Texts())


@dataclass(frozen=True, slots=True)
class Slot:
    """One field of a Spec, compiled when its class is made."""

    name: str
    alias: str
    info: FieldInfo
    policy: Managed | None
    kinds: tuple[type[Spec], ...]  # groups that may lie inside: one, or the items of a list
    default: object

    def read(self, owner: object) -> object:
        """The value in force; the default where `owner`, which may be an incomplete observation, has none."""
        value: object = getattr(owner, self.name, None)
        empty = value in BLANK or (isinstance(value, Value) and not value.model_fields_set)
        return self.default if empty else value


class Spec(Declared):
    """A group that is walked: every field has a policy, save a required group, whose own fields have theirs."""

    slots: ClassVar[tuple[Slot, ...]] = ()
    together: ClassVar[bool] = False  # several changes inside are shown as one change of the group
    tag: ClassVar[str] = ""  # the field that tells variants apart: another variant is another group, shown by its tag

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        cls.slots = tuple(_compiled(f"{cls.__name__}.{name}", name, info) for name, info in cls.walked_fields())

    @classmethod
    def walked_fields(cls) -> Iterator[tuple[str, FieldInfo]]:
        """The fields that are walked."""
        return iter(cls.model_fields.items())


def policy_of(info: FieldInfo) -> Managed | None:
    """The policy that a field declares."""
    return next((item for item in info.metadata if isinstance(item, Managed)), None)


def _compiled(where: str, name: str, info: FieldInfo) -> Slot:
    policy = policy_of(info)
    kinds = tuple(_specs_in(info.annotation))
    if policy is None and kinds != (info.annotation,):
        raise TypeError(f"{where} declares no Managed(...) policy")
    if kinds and get_origin(info.annotation) is tuple and not (policy and policy.key):
        raise TypeError(f"{where} is a list whose items have no key")
    default: object = None if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    if default is None and policy:
        default = policy.fallback
    return Slot(name, info.alias or to_camel(name), info, policy, kinds, default)


def _specs_in(annotation: object) -> Iterator[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for argument in get_args(annotation):
        yield from _specs_in(argument)
