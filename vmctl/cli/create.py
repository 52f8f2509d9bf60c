"""`vmctl create`: make objects that must not exist yet, with generated names where a manifest asks for them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from vmctl.cli import output, working
from vmctl.cli.apply import load
from vmctl.cli.options import files_options, pass_session, verb
from vmctl.errors import ChangeRefused, UsageError

if TYPE_CHECKING:
    from vmctl.cli.session import Session
    from vmctl.engine.session import Session as Engine
    from vmctl.manifests.documents import Manifest
    from vmctl.resources.keys import Key

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
    from vmctl.engine.applying import judge

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
        keys = [_create(engine, item) for item in manifests]
        for key in keys:
            output.line(f"{key} created")
        result = working.converge(engine, keys)
        return working.report(result, keys, engine, wait=False)


def _create(engine: Engine, manifest: Manifest) -> Key:
    key, document = manifest.key, manifest.document
    if manifest.generate_name:
        name = generated(manifest.generate_name)
        key = key._replace(name=name)
        document = {**document, "metadata": {**document["metadata"], "name": name}}
    stored = engine.store.create(key, document, file=manifest.path, line=manifest.line)
    engine.ledger.learn(stored)
    return key


def generated(prefix: str) -> str:
    """A name of its own that begins so."""
    return prefix + "".join(secrets.choice(LETTERS) for _ in range(SUFFIX))
