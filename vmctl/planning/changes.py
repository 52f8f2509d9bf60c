"""What is to be done about changes: each one judged by its field's rule, and shown in the words of a manifest.

Works on values only. Secrets are replaced by keyed hashes before anything is compared or shown.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, JsonValue, SecretStr

from vmctl.planning.diff import is_list
from vmctl.resources.declaring import Spec
from vmctl.resources.policies import Change, Effect, Facts, Shown, Verdict, dotted, operation
from vmctl.resources.secrecy import HIDDEN
from vmctl.resources.texts import Secrets, Texts

if TYPE_CHECKING:
    from collections.abc import Iterable

Entry = dict[str, JsonValue]  # one item of status.restartAwaitingChanges
SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(frozen=True, slots=True)
class Judged:
    """A change and what its rule says of it."""

    change: Change
    verdict: Verdict


def judge(change: Change, facts: Facts) -> Judged:
    """Ask the rule; what the host refused to do live waits instead, for the host's reason."""
    verdict = change.policy.change.decide(change, facts)
    refusal = facts.host_refused.get(dotted(change.path))
    if verdict.effect is Effect.LIVE and refusal is not None:
        verdict = Verdict(Effect.RESTART, refusal)
    return Judged(change, verdict)


def sealed(spec: SpecT, key: bytes) -> SpecT:
    """The same with a keyed hash for every secret, as observations have it: from here on none can be shown."""
    seals: dict[str, object] = {}
    for slot in spec.slots:
        match getattr(spec, slot.name, None):
            case SecretStr() as secret:
                seals[slot.name] = _seal(secret.get_secret_value(), key)
            case Secrets() as secrets:
                seals[slot.name] = Texts({name: _seal(text, key) for name, text in secrets.items()})
            case Spec() as group if (inner := sealed(group, key)) is not group:
                seals[slot.name] = inner
            case _:
                pass
    return spec.model_copy(update=seals) if seals else spec


def entries(changes: Iterable[Change]) -> list[Entry]:
    """The changes as {currentValue, desiredValue, operation, path}, merged where they are shown as one."""
    found: list[Shown] = []
    for _, group in groupby(changes, key=lambda change: change.shown.path if change.shown else change.path):
        parts = list(group)
        whole = parts[0].shown
        if whole and len(parts) >= whole.least:
            found.append(whole)
        else:
            found += [Shown(part.path, part.old, part.new, least=1) for part in parts]
    return [_entry(one) for one in found]


def as_yaml(value: object) -> JsonValue:
    """The JSON of a value as a manifest would have it, keys sorted; oddities that were observed come out as text."""
    match value:
        case Spec():
            fields = {slot.alias: slot.read(value) for slot in value.slots}
            return {name: as_yaml(fields[name]) for name in sorted(fields) if fields[name] not in (None, ())}
        case Secrets():
            return dict.fromkeys(sorted(value), HIDDEN)
        case Texts():
            return {name: value[name] for name in sorted(value)}
        case BaseModel():
            whole: JsonValue = value.model_dump(mode="json", by_alias=True, exclude_none=True)
            return whole
        case None | bool() | int() | float() | str():
            return value
        case _:
            return [as_yaml(item) for item in value] if is_list(value) else str(value)


def _seal(secret: str, key: bytes) -> str:
    return f"hmac:{hmac.digest(key, secret.encode(), 'sha256').hex()[:32]}"


def _entry(one: Shown) -> Entry:
    sides = {"currentValue": one.old, "desiredValue": one.new}
    shown = {name: as_yaml(value) for name, value in sides.items() if value is not None}
    return {**shown, "operation": operation(one.old, one.new), "path": dotted(one.path)}
