"""Maps from text to text that cannot change: labels, annotations, selectors, the data of a Secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler


class Texts(Mapping[str, str]):
    """A frozen map of strings that hashes and compares by content; in JSON an object with string values."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> str:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Texts) and self._items == other._items

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({json.dumps(self._items)})"

    def data(self) -> dict[str, str]:
        """A plain copy, in the order it was written."""
        return dict(self._items)

    def with_items(self, items: Mapping[str, str]) -> Self:
        """The same with `items` on top."""
        return type(self)({**self._items, **items})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def frozen(data: object, inner: core_schema.ValidatorFunctionWrapHandler) -> Texts:
            return data if isinstance(data, cls) else cls(inner(data))

        dumped = core_schema.plain_serializer_function_ser_schema(cls.data)
        return core_schema.no_info_wrap_validator_function(frozen, cls.items_schema(), serialization=dumped)

    @classmethod
    def items_schema(cls) -> CoreSchema:
        """What pydantic makes of the map before it is frozen; subclasses bound keys and values here."""
        return core_schema.dict_schema(core_schema.str_schema(), core_schema.str_schema())


class Secrets(Texts):
    """A map whose values are secret: they are stored and compared, and never shown in a traceback or a log line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._items)})"
