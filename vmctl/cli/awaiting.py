"""What `wait` waits for: a condition, a deletion, an appearance, a value; and what an object lacks until then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vmctl.cli.asking import Document, metadata_of
from vmctl.cli.paths import look
from vmctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.cli.jsonpaths import Expression


ALWAYS_FALSE = frozenset({"Migratable", "InUse"})  # on a single host, or of what is free: no reason to wait for


class Goal:
    """One thing to wait for. `met` is what is printed of an object that has reached it."""

    __slots__ = ()
    met: ClassVar[str] = "condition met"
    absent_is_met: ClassVar[bool] = False  # an object that does not exist has reached it
    may_appear: ClassVar[bool] = False  # an object that does not exist yet is waited for

    def reached(self, document: Document) -> bool:
        """Whether the object is there."""
        raise NotImplementedError

    def names(self, condition: str) -> bool:  # noqa: ARG002  # for those that wait for one
        """Whether it is about a condition of that type."""
        return False

    def lacking(self, document: Document) -> str:  # noqa: ARG002  # for those that can say more
        """What is not there at all, as a sentence; empty when the object itself says enough."""
        return ""


@dataclass(frozen=True, slots=True)
class Condition(Goal):
    """A condition of a type has a status, for the present generation."""

    type: str
    status: str = "True"

    def reached(self, document: Document) -> bool:
        generation = metadata_of(document).get("generation")
        for each in conditions(document):
            if str(each.get("type", "")).lower() == self.type.lower():
                current = each.get("observedGeneration", generation) == generation
                return current and str(each.get("status", "")).lower() == self.status.lower()
        return False

    def names(self, condition: str) -> bool:
        """Whether it is that one."""
        return self.type.lower() == condition.lower()

    def lacking(self, document: Document) -> str:
        """A condition that nothing has reported yet, with those that are."""
        known = [str(each.get("type", "")) for each in conditions(document)]
        if any(self.names(condition) for condition in known):
            return ""
        return f"condition {self.type} is not reported (reported: {', '.join(known) or 'none'})"


class Deletion(Goal):
    """The object is gone."""

    __slots__ = ()
    met = "deleted"
    absent_is_met = True

    def reached(self, document: Document) -> bool:  # noqa: ARG002  # an object that can be looked at is not gone
        return False


class Creation(Goal):
    """The object exists."""

    __slots__ = ()
    may_appear = True

    def reached(self, document: Document) -> bool:  # noqa: ARG002  # an object that can be looked at exists
        return True


@dataclass(frozen=True, slots=True)
class Value(Goal):
    """A path finds a value, or anything at all."""

    path: Expression
    wanted: str | None

    def reached(self, document: Document) -> bool:
        from vmctl.cli.jsonpaths import printed

        found = self.path.find(document)
        return bool(found) if self.wanted is None else [printed(value) for value in found] == [self.wanted]


def goal(text: str) -> Goal:
    """The goal a --for names; raises UsageError for what names none."""
    name, _, rest = text.partition("=")
    match name.lower():
        case "delete" | "create" if not rest:
            return Deletion() if name.lower() == "delete" else Creation()
        case "condition" if rest:
            kind, _, status = rest.partition("=")
            return Condition(kind, status or "True")
        case "jsonpath" if rest:
            return _value(rest)
    raise UsageError(
        f'--for="{text}" names nothing to wait for',
        remedy="use condition=TYPE[=STATUS], delete, create, or jsonpath='{.path}'=value",
    )


def _value(text: str) -> Value:
    """`{.status.phase}=Running`; an equals sign inside the braces belongs to the path."""
    from vmctl.cli.jsonpaths import Expression

    path, closed, rest = text.rpartition("}")
    if not closed:
        path, equals, wanted = text.partition("=")
        return Value(Expression(path), wanted if equals else None)
    if rest and not rest.startswith("="):
        raise UsageError(f'"{text}" cannot be read', remedy="for example  jsonpath='{.status.phase}'=Running")
    return Value(Expression(path + "}"), rest[1:] if rest else None)


def conditions(document: Document) -> Iterator[Document]:
    """The conditions of an object's status."""
    found = look(document, "status.conditions")
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def lacks(document: Document, target: Goal) -> str:
    """What an object says of itself while it is not there yet: its phase and the conditions that do not hold."""
    phase = look(document, "status.phase")
    reasons = [
        f"{each.get('type')}: {each.get('message') or each.get('reason')}"
        for each in conditions(document)
        if each.get("status") == "False"
        and (each.get("message") or each.get("reason"))
        and (each.get("type") not in ALWAYS_FALSE or target.names(str(each.get("type"))))
    ]
    known = [f"phase {phase}"] if phase else []
    missing = [sentence] if (sentence := target.lacking(document)) else []
    return "; ".join(known + missing + reasons) or "nothing has looked at it yet (is an apply or a run at work?)"
