"""kubectl's selectors: `-l 'app=web,tier in (a,b),!old'` and `--field-selector metadata.name=web,spec.type!=Stop`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmctl.cli.paths import look
from vmctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Document = dict[str, object]

_TERM = re.compile(
    r"""\s*(?:
        !\s*(?P<absent>[^\s,=!()]+)
      | (?P<key>[^\s,=!()]+)\s*(?:
            (?P<operator>==|=|!=)\s*(?P<value>[^\s,=!()]*)
          | \s(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
        )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)
_FIELD = re.compile(r"(?P<path>[^=!]+?)(?P<operator>==|=|!=)(?P<value>.*)")


@dataclass(frozen=True, slots=True)
class Term:
    """One requirement: the key's value is (not) among some; `values` None asks for the key alone."""

    key: str
    values: frozenset[str] | None
    negated: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Kubernetes' rule: a missing key satisfies what is negated."""
        found = self.key in labels if self.values is None else labels.get(self.key) in self.values
        return found != self.negated


def by_labels(query: str) -> Callable[[Document], bool]:
    """A predicate for -l; raises UsageError for what cannot be read."""
    terms = _label_terms(query)
    return lambda document: all(term.holds(_labels(document)) for term in terms)


def by_fields(query: str) -> Callable[[Document], bool]:
    """A predicate for --field-selector: any dotted path, compared as text."""
    terms = [_field_term(part) for part in query.split(",") if part.strip()]
    return lambda document: all((_field(document, path) == value) == wanted for path, value, wanted in terms)


def _label_terms(query: str) -> list[Term]:
    terms: list[Term] = []
    place = 0
    while place < len(query.rstrip()):
        match = _TERM.match(query, place)
        if match is None or match.end() == place:
            raise UsageError(
                f'the label selector cannot be read at "{query[place:].strip()}"',
                remedy="known forms: a=b, a!=b, a in (b,c), a notin (b), a, !a, joined by commas",
            )
        terms.append(_term(match))
        place = match.end()
    return terms


def _term(match: re.Match[str]) -> Term:
    if match["absent"]:
        return Term(match["absent"], None, negated=True)
    if match["set"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Term(match["key"], values, negated=match["set"] == "notin")
    if match["operator"]:
        return Term(match["key"], frozenset({match["value"]}), negated=match["operator"] == "!=")
    return Term(match["key"], None, negated=False)


def _field_term(part: str) -> tuple[str, str, bool]:
    match = _FIELD.fullmatch(part.strip())
    if match is None:
        raise UsageError(
            f'the field selector "{part.strip()}" cannot be read', remedy="for example  status.phase=Running"
        )
    return match["path"].strip().removeprefix("."), match["value"].strip(), match["operator"] != "!="


def _labels(document: Document) -> dict[str, str]:
    found = look(document, "metadata.labels")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _field(document: Document, path: str) -> str:
    value = look(document, path)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
