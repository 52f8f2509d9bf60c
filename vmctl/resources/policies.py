"""What a change of a field costs: pure rules from a change and a few facts to a verdict.

A rule carries the sentence that documents it: what code can decide, `vmctl explain` and the JSON Schema can print.
Nothing here looks at the world: facts are values that the caller has collected.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmctl.resources.declaring import Managed, Slot

Path = tuple[str | int, ...]
Operation = Literal["add", "remove", "replace"]

HOTPLUG_BLOCK_DEVICES = "HotplugBlockDevices"
HOTPLUG_CPU_AND_MEMORY = "HotplugCPUAndMemoryWithInPlaceResize"
FEATURE_GATES = (HOTPLUG_BLOCK_DEVICES, HOTPLUG_CPU_AND_MEMORY)


class Effect(enum.IntEnum):
    """What a change costs the guest: nothing, a live verb, the next cold start; or it is not done at all."""

    NONE, LIVE, RESTART, REFUSE = range(4)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a rule may look at beside the change. `hash_key` keys the hashes that stand for secrets.

    `settled` says that an image or disk has its content (Ready); a machine always has. `host_refused` maps the dotted
    path of a change to the reason for which the host did not do it live. `agent`: the guest's agent answers.
    `most_cores` and `most_memory_bytes` are the room for hot-plug that the running machine was started with.
    """

    hash_key: bytes = field(repr=False)
    gates: frozenset[str] = frozenset()
    os_type: str = "Generic"
    paravirtualized: bool = True
    settled: bool = True
    host_refused: Mapping[str, str] = field(default_factory=dict[str, str])
    agent: bool = False
    most_cores: int = 0
    most_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """How neighbouring changes are shown as one, where at least `least` of them stand together."""

    path: Path
    old: object
    new: object
    least: int


@dataclass(frozen=True, slots=True)
class Change:
    """A place with a policy of its own and what the two sides hold there (nothing while declarations are walked)."""

    path: Path
    slot: Slot
    policy: Managed
    old: object = None
    new: object = None
    shown: Shown | None = None

    @property
    def operation(self) -> Operation:
        """Whether it adds, removes or replaces."""
        return operation(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` goes to the user as it stands; `verb` is what a driver must be able to do for a live change."""

    effect: Effect
    reason: str = ""
    verb: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pure decision and the sentence that documents it; `gate` is the feature gate it depends on."""

    doc: str
    decide: Callable[[Change, Facts], Verdict]
    gate: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """A condition under which a verb works on a running guest."""

    doc: str
    met: Callable[[Change, Facts], bool]


def dotted(path: Path) -> str:
    """A path as users read it: `blockDeviceRefs.0.name`."""
    return ".".join(map(str, path))


def operation(old: object, new: object) -> Operation:
    """Whether going from `old` to `new` adds, removes or replaces."""
    return "add" if old is None else "remove" if new is None else "replace"


def at_once() -> Rule:
    """A change that costs the guest nothing."""
    return Rule("at once", lambda _change, _facts: Verdict(Effect.NONE))


def restart(why: str) -> Rule:
    """A change that waits for the next cold start."""
    return Rule(f"at the next start ({why})", lambda _change, _facts: Verdict(Effect.RESTART, why))


def refuse(why: str) -> Rule:
    """A change that is never made."""
    return Rule(f"never ({why})", lambda _change, _facts: Verdict(Effect.REFUSE, why))


def live(verb: str, *needs: Need) -> Rule:
    """Live by `verb`; at the next start while one of `needs` is not met."""

    def decide(change: Change, facts: Facts) -> Verdict:
        unmet = " and ".join(need.doc for need in needs if not need.met(change, facts))
        return Verdict(Effect.RESTART, f"live only with {unmet}") if unmet else Verdict(Effect.LIVE, verb=verb)

    return Rule(f"live (needs {' and '.join(need.doc for need in needs)})" if needs else "live", decide)


def grows_else(then: Rule, else_: Rule) -> Rule:
    """`then` when the measured value grows; `else_` when it shrinks or cannot be measured."""

    def decide(change: Change, facts: Facts) -> Verdict:
        old, new = change.policy.measure(change.old), change.policy.measure(change.new)
        grows = isinstance(old, int) and isinstance(new, int) and new > old
        return (then if grows else else_).decide(change, facts)

    return Rule(f"{then.doc} when it grows, else {else_.doc}", decide, then.gate or else_.gate)


def once_ready(then: Rule) -> Rule:
    """`then` once the object has its content; before that a change only starts the work over."""

    def decide(change: Change, facts: Facts) -> Verdict:
        return then.decide(change, facts) if facts.settled else Verdict(Effect.NONE)

    return Rule(f"before Ready: starts over; once Ready: {then.doc}", decide, then.gate)


def by_operation(*, add: Rule, remove: Rule, replace: Rule) -> Rule:
    """A rule of its own for adding, removing and replacing."""
    rules: dict[Operation, Rule] = {"add": add, "remove": remove, "replace": replace}
    return Rule(
        "; ".join(f"{name}: {rule.doc}" for name, rule in rules.items()),
        lambda change, facts: rules[change.operation].decide(change, facts),
        add.gate or remove.gate or replace.gate,
    )


UNBOUNDED = 1 << 62
ROOMY: dict[str, Any] = {  # as a machine is that was started with the gate on, and has come up
    "agent": True,
    "most_cores": UNBOUNDED,
    "most_memory_bytes": UNBOUNDED,
}


def behind_gate(gate: str, then: Rule, *, else_: Rule) -> Rule:
    """`then` with the feature gate, `else_` without; the reason names the gate where it makes the difference."""

    def decide(change: Change, facts: Facts) -> Verdict:
        opened, closed = then.decide(change, facts), else_.decide(change, facts)
        if gate in facts.gates:
            on = opened.effect is Effect.LIVE
            return replace(opened, reason=f"feature gate {gate} is on") if on else opened
        if then.decide(change, replace(facts, **ROOMY)).effect is not Effect.LIVE:
            return closed
        later = "" if opened.effect is Effect.LIVE else ", from the next start on"
        return replace(closed, reason=f"{closed.reason}; live with feature gate {gate}{later}")

    return Rule(f"{else_.doc}; with feature gate {gate}: {then.doc}", decide, gate)
