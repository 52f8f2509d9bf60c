"""`vmctl edit`: an object in the user's editor, its own text where a file declares it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from vmctl.cli import asking, output, revising, working
from vmctl.cli.completing import kinds_and_names
from vmctl.cli.editor import Draft
from vmctl.cli.options import namespace_option, pass_session, verb
from vmctl.errors import ChangeRefused, FileRefused, ManifestError, Problem, UsageError

if TYPE_CHECKING:
    from vmctl.cli.session import Session
    from vmctl.engine.editing import Revision
    from vmctl.engine.origins import Origin
    from vmctl.engine.session import Session as Engine
    from vmctl.resources.keys import Key

OURS = "#| "  # begins the lines that vmctl puts on top and takes away again; comments of the manifest stay


@verb(
    "edit",
    examples="""
    vmctl edit vm linux-vm
    EDITOR=nano vmctl edit vd/linux-disk
    """,
)
@click.argument("what", nargs=-1, metavar="KIND NAME|KIND/NAME", shell_complete=kinds_and_names)
@namespace_option
@pass_session
def command(session: Session, what: tuple[str, ...]) -> int:
    """Change an object in an editor (VMCTL_EDITOR, KUBE_EDITOR, VISUAL, EDITOR or vi).

    Of an object that a file declares, its text in the file is edited, comments included, and goes back there when it is
    saved; then it is applied. What does not validate is opened again with the reasons on top.
    """
    key = asking.one(what, session.namespace)
    with working.at_work(session) as engine:
        sheet = Sheet(_look_up(engine, key))
    draft = Draft(sheet.name, sheet.shown([]))
    try:
        code = _edit(session, sheet, draft)
    except BaseException:
        _keep(draft, sheet)
        raise
    draft.discard()
    return code


class Sheet:
    """What is edited of an object: the text of its document, or its fields where no text is its alone."""

    def __init__(self, found: Origin) -> None:
        self.found = found
        held = found.held
        self.bounds = held.bounds() if held is not None else None
        self.as_json = bool(held and self.bounds and held.as_json)
        self.name = f"{found.stored.key.name}.{'json' if self.as_json else 'yaml'}"
        text = self._text()
        self.crlf = "\r\n" in text and "\n" not in text.replace("\r\n", "")
        self.text = text.replace("\r\n", "\n") if self.crlf else text

    def _text(self) -> str:
        from vmctl.manifests.rendering import as_yaml

        held = self.found.held
        if held is not None and self.bounds is not None:
            return held.text[self.bounds[0] : self.bounds[1]]
        return as_yaml(held.raw if held is not None else self.found.stored.document, sort=held is None)

    def shown(self, problems: list[Problem], text: str | None = None) -> str:
        """The text with what is to be said above it."""
        return "\n".join([*self._header(problems), self.text if text is None else text])

    def placed(self, problems: list[Problem], file: str) -> list[Problem]:
        """The problems with the lines they have in a file that shows them above the text."""
        above = len(self._header(problems))
        return [replace(each, file=file, line=each.line + above if each.line else 0) for each in problems]

    def _header(self, problems: list[Problem]) -> list[str]:
        above = len(problems) + sum(bool(each.remedy) for each in problems) + (3 if problems else 2)
        said = [
            f"{self.found.stored.key.short}{f', from {self.found.place}' if self.found.of_file else ''}",
            f"Lines that begin with {OURS.strip()} are ours. An empty file, or one without a change, changes nothing.",
            *([""] if problems else []),
        ]
        for problem in problems:
            said.append(f"line {problem.line + above}: {problem.what}" if problem.line else problem.what)
            said += [f"    {problem.remedy}"] if problem.remedy else []
        return [f"{OURS}{output.printable(line)}".rstrip() for line in said]

    def taken(self, text: str) -> str:
        """What was saved, without the lines that are ours."""
        lines = text.split("\n")
        while lines and lines[0].startswith(OURS.rstrip()):
            lines.pop(0)
        return "\n".join(lines)

    def problems(self, text: str) -> list[Problem]:
        """Everything that is wrong with an edited text, with its lines in it."""
        from vmctl.manifests.reading import read

        found = read(text.encode("utf-8", "surrogateescape"), is_json=self.as_json, namespace="default")
        return [*found.problems, *found.not_acting]

    def revision(self, engine: Engine, text: str) -> Revision:
        """The change that a text asks for. Raises as `editing.revise` does."""
        from vmctl.engine import editing
        from vmctl.manifests.carrying import carried
        from vmctl.manifests.reading import values

        if self.bounds is not None:
            whole = text.replace("\r\n", "\n").replace("\n", "\r\n") if self.crlf else text
            return editing.revise_text(engine.ledger, engine.store, self.found, whole)
        read = values(text, is_json=self.as_json)
        documents = [each for each in read[0] if each is not None] if read else []
        if len(documents) != 1:
            raise UsageError("the text has to hold one document, the edited one")
        wanted = documents[0]
        if self.found.held is not None:  # what the file leaves out stays as it is
            wanted = carried(self.found.stored.document, self.found.held.raw, wanted)
        return editing.revise(engine.ledger, engine.store, self.found, wanted)


def _look_up(engine: Engine, key: Key) -> Origin:
    """The object, if it can be edited. Raises NotFoundError, or FileRefused before any work is lost."""
    from vmctl.engine import editing

    found = editing.look_up(engine.store, key, asking.not_found(key))
    editing.refuse_hindered(found)
    return found


def _edit(session: Session, sheet: Sheet, draft: Draft) -> int:
    """Have the text edited until it can be taken, and make the change; nothing is held open while the user thinks."""
    refused: str | None = None
    while True:
        text = sheet.taken(draft.edit())
        if not text.strip() or text == sheet.text:
            why = "no changes made" if text.strip() else "saved file was empty"
            output.remark(f"Edit cancelled, {why}.")
            return 0
        with working.at_work(session) as engine:
            judged = _judge(engine, sheet, text)
            if not isinstance(judged, list):
                return _commit(engine, judged)
        if text == refused:
            raise ManifestError(sheet.placed(judged, str(draft.path)))
        refused = text
        draft.put(sheet.shown(judged, text))


def _judge(engine: Engine, sheet: Sheet, text: str) -> Revision | list[Problem]:
    """The change that an edited text asks for, or everything that is wrong with it."""
    problems = sheet.problems(text)
    if problems:
        return problems
    try:
        with revising.patch_printed():
            return sheet.revision(engine, text)
    except FileRefused:
        raise
    except ManifestError as error:
        return list(error.problems)
    except (ChangeRefused, UsageError) as error:
        return [Problem("", 0, 0, error.message, error.remedy)]


def _commit(engine: Engine, revision: Revision) -> int:
    if not revising.commit(engine, revision):
        output.remark("Edit cancelled, no changes made.")
        return 0
    key = revision.key
    output.line(f"{key} edited")
    output.flush()
    return working.report(working.converge(engine, [key]), [key], engine, wait=False)


def _keep(draft: Draft, sheet: Sheet) -> None:
    """Leave the edited text where it is and say so, when there is anything in it that would be lost."""
    try:
        text = sheet.taken(draft.path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return
    if text.strip() in ("", sheet.text.strip()):
        draft.discard()
    else:
        output.remark(f"A copy of your changes is kept in {draft.path}")
