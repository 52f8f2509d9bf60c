"""What is legal in a manifest and still worth saying: fields without meaning on one host, or that do not act yet.

Both are declared with the field (`Managed.caution`, `Managed.idle`); what takes several fields, a kind says itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.resources.fields import Remark, Slot, Spec
from vmctl.resources.policies import Path, dotted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmctl.resources.declaring import Resource

Noted = list[tuple[str, str]]  # (dotted path, sentence)


def warnings(resource: Resource) -> Noted:
    """What a manifest says that is allowed and will not do what its author may think."""
    return [*_noted(resource, lambda slot: slot.policy.caution if slot.policy else None), *resource.cautions()]


def not_acting(resource: Resource) -> Noted:
    """What a manifest says that this version does not carry out; `apply` refuses it with these lines."""
    return list(_noted(resource, lambda slot: slot.policy.idle if slot.policy else None))


def _noted(spec: Spec, remark_of: Callable[[Slot], Remark | None], at: Path = ()) -> Iterator[tuple[str, str]]:
    for slot in spec.slots:
        value, path = getattr(spec, slot.name, None), (*at, slot.alias)
        remark = remark_of(slot)
        if remark and value is not None and value != () and remark.when(value):
            yield dotted(path), remark.text.replace("{value}", str(value))
        if isinstance(value, Spec):
            yield from _noted(value, remark_of, path)
        elif slot.kinds and isinstance(value, tuple):
            for index, item in enumerate(value):
                yield from _noted(item, remark_of, (*path, index))
