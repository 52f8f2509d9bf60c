"""Rules across the fields of a group, whose findings carry the place of the field they are about.

pydantic stops at the first validator that raises and blames the whole group. Here every rule of a group is asked, also
when some of its fields are bad in themselves, and all findings come together with pydantic's own in one error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidatorFunctionWrapHandler

ModelT = TypeVar("ModelT", bound="BaseModel")


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding: where, relative to the group that was checked and in a manifest's own words, and what is wrong."""

    place: tuple[str | int, ...]
    text: str


Check = Callable[[Any], Iterable[Fault]]  # given an instance of the class that lists it


def checked(kind: type[ModelT]) -> Callable[[object, ValidatorFunctionWrapHandler], ModelT]:
    """A wrap validator that asks all of a class's checks and raises everything that is wrong at once."""

    def validate(data: object, handler: ValidatorFunctionWrapHandler) -> ModelT:
        try:
            whole: ModelT = handler(data)
        except ValidationError as error:
            if faults := _findings(kind, _readable_part(kind, data), partial=True):
                raise _together(kind, error, faults, data) from None
            raise
        if faults := _findings(kind, whole, partial=False):
            raise _together(kind, None, faults, data)
        return whole

    return validate


def _findings(kind: type[BaseModel], instance: BaseModel, *, partial: bool) -> list[Fault]:
    found: list[Fault] = []
    for check in kind.checks:  # type: ignore[attr-defined]  # only classes that declare checks come here
        try:
            for fault in check(instance):
                found.append(fault)  # noqa: PERF402  # what was found before a missing field counts
        except AttributeError:
            if not partial:  # then nothing is missing, and the mistake is in the check
                raise
    return found


def _readable_part(kind: type[ModelT], data: object) -> ModelT:
    """What of broken input is good in itself; a check that needs one of the missing fields says nothing."""
    good: dict[str, object] = {}
    given: Mapping[Any, object] = data if isinstance(data, Mapping) else {}
    for name, info in kind.model_fields.items():
        alias = info.alias or name
        if alias in given:
            try:
                good[name] = _adapter(kind, name).validate_python(given[alias])
            except ValidationError:
                if isinstance(info.annotation, type) and hasattr(info.annotation, "checks"):  # a group of ours
                    good[name] = _readable_part(info.annotation, given[alias])
        elif not info.is_required():
            good[name] = info.get_default(call_default_factory=True, validated_data={})
    part = kind.model_construct(None, **good)
    for name in kind.model_fields.keys() - good.keys():
        part.__dict__.pop(name, None)
    return part


@cache
def _adapter(kind: type[BaseModel], name: str) -> TypeAdapter[object]:
    return TypeAdapter(kind.model_fields[name].rebuild_annotation())


def _together(
    kind: type[BaseModel], error: ValidationError | None, faults: list[Fault], data: object
) -> ValidationError:
    lines: list[InitErrorDetails] = []
    for item in error.errors(include_url=False) if error else ():
        problem = PydanticCustomError(_literal(item["type"]), _literal(item["msg"]))
        lines.append(InitErrorDetails(type=problem, loc=item["loc"], input=item["input"]))
    for fault in faults:
        problem = PydanticCustomError("rule", _literal(fault.text))
        lines.append(InitErrorDetails(type=problem, loc=fault.place, input=_input_at(data, fault.place)))
    return ValidationError.from_exception_data(kind.__name__, lines)


def _input_at(data: object, place: tuple[str | int, ...]) -> object:
    for part in place:
        inside = part in data if isinstance(data, Mapping) else isinstance(part, int) and part < len(_items(data))
        if not inside:
            return data
        data = cast("Mapping[str | int, object]", data)[part]
    return data


def _items(data: object) -> Sequence[object]:
    return data if isinstance(data, list | tuple) else ()


def _literal(text: str) -> LiteralString:
    """Text as pydantic types its messages; mypy takes any string for a literal one."""
    return text
