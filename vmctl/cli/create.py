"""`vmctl create`: make objects that must not exist yet, with generated names where a manifest asks for them."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from vmctl.cli import output, working
from vmctl.cli.apply import load
from vmctl.cli.options import files_options, pass_session, verb
from vmctl.errors import ChangeRefused, UsageError

if TYPE_CHECKING:
    from vmctl.cli.session import Session
    from vmctl.manifests.documents import Manifest

LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # as Kubernetes: no vowels, so no words
SUFFIX = 5


@verb(
    "create",
    examples="""
    vmctl create -f disk.yaml
    vmctl create -f - < disk-with-generateName.yaml
    """,
)
@files_options
@pass_session
def command(session: Session, filename: tuple[str, ...], recursive: bool) -> int:
    """Create objects that do not exist yet; one that exists is an error, and then nothing is created."""
    from vmctl.engine.applying import guard, judge

    if not filename:
        raise UsageError("say what to create", remedy="for example  vmctl create -f disk.yaml")
    loaded, _ = load(session, filename, recursive=recursive, allow_generate_name=True)
    manifests = judge(loaded)
    with working.at_work(session) as engine:
        there = [item.key.short for item in manifests if item.key.name and engine.ledger.get(item.key) is not None]
        if there:
            raise ChangeRefused(
                f"{', '.join(there)} already exist{'s' if len(there) == 1 else ''}",
                remedy="`vmctl apply` changes what exists",
            )
        named = [_named(item) for item in manifests]
        guard(engine.ledger, named)
        with engine.store.batch():
            stored = [engine.store.create(each.key, each.document, file=each.path, line=each.line) for each in named]
        keys = [each.key for each in stored]
        for each in stored:
            engine.ledger.learn(each)
            output.line(f"{each.key} created")
        result = working.converge(engine, keys)
        return working.report(result, keys, engine, wait=False)


def _named(manifest: Manifest) -> Manifest:
    """A manifest with a name of its own, where it asks for one."""
    if not manifest.generate_name:
        return manifest
    name = generated(manifest.generate_name)
    metadata = {**manifest.document["metadata"], "name": name}
    return replace(manifest, key=manifest.key._replace(name=name), document={**manifest.document, "metadata": metadata})


def generated(prefix: str) -> str:
    """A name of its own that begins so."""
    return prefix + "".join(secrets.choice(LETTERS) for _ in range(SUFFIX))
