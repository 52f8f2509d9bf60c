"""The output forms of `get`: tables, documents, names, templates, columns of one's own. `printer` picks one for -o.

Every form can print a whole answer and, for -w, one object after another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vmctl.cli import columns, documents, output
from vmctl.cli.asking import metadata_of, name_of
from vmctl.cli.tables import Table
from vmctl.errors import UsageError
from vmctl.resources.registry import closest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmctl.cli.asking import Answer, Document, Found
    from vmctl.cli.jsonpaths import Expression, Template
    from vmctl.resources.registry import Kind

FORMS = ("wide", "yaml", "json", "name", "jsonpath=", "jsonpath-file=", "custom-columns=", "custom-columns-file=")


class Style(NamedTuple):
    """How tables look."""

    headings: bool = True
    wide: bool = False
    labels: bool = False
    label_columns: tuple[str, ...] = ()
    namespaces: bool = False  # a column in front, for -A
    qualified: bool = False  # names with their kind, because several kinds are shown


class Printer(Protocol):
    """One output form."""

    def show(self, answer: Answer, *, single: bool) -> None:
        """Print what was found; `single` when exactly one object was named."""

    def follow(self, found: Found) -> None:
        """Print objects that have appeared or changed, as soon as they have."""


def printer(form: str, style: Style, clock: Callable[[], float]) -> Printer:
    """The printer for a value of -o; raises UsageError for one that is not known."""
    name, _, argument = form.partition("=")
    match name:
        case "" | "wide":
            return Tables(style, clock)
        case "json" | "yaml":
            return Documents(documents.as_json if name == "json" else documents.as_yaml, separated=name == "yaml")
        case "name":
            return Names()
        case "jsonpath" | "jsonpath-file" | "go-template":
            return _templates(name, argument)
        case "custom-columns" | "custom-columns-file":
            return OwnColumns(_own_columns(name, argument), headings=style.headings)
    near = closest(name, [known.rstrip("=") for known in FORMS])
    raise UsageError(
        f'the output form "{form}" is not known',
        remedy=f'did you mean "{near}"?' if near else f"use one of {', '.join(FORMS)}",
    )


class Tables:
    """Tables, one for each kind, as wide as their contents."""

    def __init__(self, style: Style, clock: Callable[[], float]) -> None:
        self._style = style
        self._clock = clock
        self._tables: dict[str, Table] = {}

    def show(self, answer: Answer, *, single: bool) -> None:  # noqa: ARG002  # one object is a table too
        first = True
        for found in answer.found:
            if not found.documents:
                continue
            if not first:
                output.line()
            first = False
            self.follow(found)

    def follow(self, found: Found) -> None:
        now = self._clock()
        for line in self._table(found.kind).lines(self._row(found.kind, document, now) for document in found.documents):
            output.line(line)

    def _table(self, kind: Kind) -> Table:
        known = self._tables.get(kind.name)
        if known is None:
            known = self._tables[kind.name] = Table(self._headings(kind), show_headings=self._style.headings)
        return known

    def _headings(self, kind: Kind) -> list[str]:
        style = self._style
        front = ["NAMESPACE"] * (style.namespaces and kind.namespaced) + ["NAME"] * columns.named(kind)
        shown = [column.heading for column in columns.columns_of(kind, wide=style.wide)]
        own = [key.rpartition("/")[2].upper() for key in style.label_columns]
        return [*front, *shown, *own, *["LABELS"] * style.labels]

    def _row(self, kind: Kind, document: Document, now: float) -> list[str]:
        style = self._style
        cells: list[str] = []
        if style.namespaces and kind.namespaced:
            cells.append(columns.text(metadata_of(document).get("namespace")))
        if columns.named(kind):
            name = columns.display_name(kind, document)
            cells.append(f"{kind.qualified}/{name}" if style.qualified else name)
        cells += [columns.show(column, document, now) for column in columns.columns_of(kind, wide=style.wide)]
        cells += columns.label_cells(document, style.label_columns)
        if style.labels:
            cells.append(columns.labels_text(document))
        return cells


class Documents:
    """Whole objects as JSON or YAML; several as a List, a stream of them one by one."""

    def __init__(self, write: Callable[[object], str], *, separated: bool) -> None:
        self._write = write
        self._separated = separated

    def show(self, answer: Answer, *, single: bool) -> None:
        found = answer.documents
        if single:
            for document in found:
                output.data(self._write(document))
        elif found or not answer.missing:
            output.data(self._write(documents.listed(found)))

    def follow(self, found: Found) -> None:
        for document in found.documents:
            output.data(("---\n" if self._separated else "") + self._write(document))


class Names:
    """`virtualmachine.virtualization.deckhouse.io/linux-vm`, for scripts."""

    def show(self, answer: Answer, *, single: bool) -> None:  # noqa: ARG002  # a name is a name
        for found in answer.found:
            self.follow(found)

    def follow(self, found: Found) -> None:
        for document in found.documents:
            output.line(f"{found.kind.qualified}/{name_of(document)}")


class Templates:
    """A jsonpath template, applied to the object that was named or to the List of those found."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def show(self, answer: Answer, *, single: bool) -> None:
        if single:
            output.data("".join(self._template.render(document) for document in answer.documents))
        else:
            output.data(self._template.render(documents.listed(answer.documents)))

    def follow(self, found: Found) -> None:
        for document in found.documents:
            output.data(self._template.render(document))


class OwnColumns:
    """A table whose columns the user names: HEADING:path."""

    def __init__(self, wanted: Sequence[tuple[str, Expression]], *, headings: bool) -> None:
        self._expressions = [expression for _, expression in wanted]
        self._table = Table([heading for heading, _ in wanted], show_headings=headings)

    def show(self, answer: Answer, *, single: bool) -> None:  # noqa: ARG002  # one object is a table too
        self._print(answer.documents)

    def follow(self, found: Found) -> None:
        self._print(found.documents)

    def _print(self, found: Sequence[Document]) -> None:
        rows = [[_own_cell(expression, document) for expression in self._expressions] for document in found]
        for line in self._table.lines(rows):
            output.line(line)


def _own_cell(expression: Expression, document: Document) -> str:
    return ",".join(columns.text(value) for value in expression.find(document)) or "<none>"


def _templates(name: str, argument: str) -> Templates:
    from vmctl.cli.jsonpaths import Template

    if name == "go-template":
        raise UsageError("go-template is not offered", remedy="use -o jsonpath= or -o json")
    template = _file(argument) if name == "jsonpath-file" else argument
    if not template:
        raise UsageError(f"{name} needs a template", remedy="for example  -o jsonpath='{.status.phase}'")
    return Templates(Template(template))


def _own_columns(name: str, argument: str) -> list[tuple[str, Expression]]:
    from vmctl.cli.jsonpaths import Expression

    pairs = _columns_of_file(argument) if name == "custom-columns-file" else _columns_of_text(argument)
    if not pairs or not all(heading and path for heading, path in pairs):
        raise UsageError(
            f"{name} needs HEADING:path pairs", remedy="for example  -o custom-columns=NAME:.metadata.name"
        )
    return [(heading, Expression(path)) for heading, path in pairs]


def _columns_of_text(text: str) -> list[tuple[str, str]]:
    return [(part.partition(":")[0].strip(), part.partition(":")[2].strip()) for part in _outside_brackets(text)]


def _columns_of_file(path: str) -> list[tuple[str, str]]:
    """Two lines as kubectl wants them: headings, and below them paths."""
    lines = [line.split() for line in _file(path).splitlines() if line.strip()]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        raise UsageError(f"{path} must hold a line of headings and a line with as many paths")
    return list(zip(*lines, strict=True))


def _outside_brackets(text: str) -> list[str]:
    """Parts between commas; a comma in a subscript or a filter parts nothing."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "[(") - (sign in "])")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part for part in parts if part.strip()]


def _file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file {path} cannot be read: {error}") from error
