"""What tells two specs apart, found by walking declarations rather than dictionaries.

Lists of groups are compared by the identity of their items, never by index. Order is that of the declarations. Total:
an observed machine may lack any field and hold any value, also ones that no manifest could.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from vmctl.resources.declaring import Managed, Slot, Spec
from vmctl.resources.policies import Change, Path, Shown, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Sides = tuple[object, object]  # the old value and the new


def diff(old: Spec, new: Spec) -> Iterator[Change]:
    """Yield what tells `new` from `old`, at the finest grain."""
    return traverse(type(new), (old, new))


def walk(kind: type[Spec]) -> dict[str, Change]:
    """Every place of a kind that has a policy, by its dotted path, in the order of declarations."""
    return {dotted(place.path): place for place in traverse(kind)}


def traverse(kind: type[Spec], sides: Sides | None = None, at: Path = ()) -> Iterator[Change]:
    """Visit the places of `kind` in the order of its declarations; given two sides, those where they differ."""
    shown = Shown(at, *sides, least=2) if sides and kind.together else None
    for slot in kind.slots:
        for change in _enter(slot, (*at, slot.alias), sides and (slot.read(sides[0]), slot.read(sides[1]))):
            yield replace(change, shown=change.shown or shown) if shown else change


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value is a list of items, which a string is not."""
    return isinstance(value, list | tuple)


def _variants(tag: str, sides: Sides) -> Sides | None:
    old, new = getattr(sides[0], tag, None), getattr(sides[1], tag, None)
    return (old, new) if old != new else None


def _enter(slot: Slot, path: Path, sides: Sides | None) -> Iterator[Change]:
    policy = slot.policy
    if policy is None:  # a required group
        yield from traverse(slot.kinds[0], sides, path)
    elif sides is None:
        yield Change(path, slot, policy)
        for kind in slot.kinds:
            yield from traverse(kind, None, (*path, "*") if policy.key else path)
    elif policy.tells_apart(*sides):
        old, new = sides
        if policy.key:
            yield from _enter_list(slot, policy, path, old if is_list(old) else (), new if is_list(new) else ())
        elif not (isinstance(old, Spec) and type(old) is type(new)):
            yield Change(path, slot, policy, old, new)
        elif old.tag and (tags := _variants(old.tag, sides)):
            yield Change(path, slot, policy, old, new, Shown(path, *tags, least=1))
        else:
            yield from traverse(type(old), sides, path)


def _enter_list(
    slot: Slot, policy: Managed, path: Path, old: Sequence[object], new: Sequence[object]
) -> Iterator[Change]:
    """Items that went (at their old index), came, or moved among those that stay; and what changed in the others."""
    left, right = _keyed(policy, old), _keyed(policy, new)
    gone = {left[key] for key in left if key not in right}
    come = {right[key] for key in right if key not in left}
    stay = {
        right[now]: was
        for was, now in zip((key for key in left if key in right), (key for key in right if key in left), strict=True)
    }
    whole = None if left and right else Shown(path, old or None, new or None, least=len(gone or come))
    for at in range(max(len(old), len(new))):
        here = (*path, at)
        shown = Shown(here, old[at], new[at], least=2) if at in gone & come else whole
        if at in gone:
            yield Change(here, slot, policy, old[at], None, shown)
        if at in come:
            yield Change(here, slot, policy, None, new[at], shown)
        elif (was := stay.get(at)) is not None:
            before, after = old[left[was]], new[at]
            if right[was] == at:
                yield from traverse(slot.kinds[0], (before, after), here)
            else:
                yield Change(here, slot, policy, before, after)


def _keyed(policy: Managed, items: Sequence[object]) -> dict[Path, int]:
    return {tuple(str(getattr(item, part, None)) for part in policy.key): at for at, item in enumerate(items)}
