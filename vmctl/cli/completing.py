"""Dynamic completion: kinds, names and namespaces, read from the store at the moment the shell asks.

A shell that asks must never see an error: whatever goes wrong, nothing is offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.cli.session import Session
from vmctl.errors import VmctlError
from vmctl.resources import registry

if TYPE_CHECKING:
    import click

    from vmctl.resources.registry import Kind
    from vmctl.state.store import Store


def namespaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Namespaces that anything stands in."""
    store = _store(ctx)
    found = {"default"} | ({stored.key.namespace for stored in store.list()} - {""} if store else set())
    return sorted(name for name in found if name.startswith(incomplete))


def kinds_and_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """`KIND[,KIND]`, `KIND/NAME`, and after a kind its names."""
    words: tuple[str, ...] = tuple(ctx.params.get(param.name or "") or ())
    if words and "/" not in words[0]:
        return [name for name in _names(ctx, words[0]) if name.startswith(incomplete) and name not in words]
    if "/" in incomplete:
        kind, _, start = incomplete.partition("/")
        return [f"{kind}/{name}" for name in _names(ctx, kind) if name.startswith(start)]
    done, comma, start = incomplete.rpartition(",")
    return [f"{done}{comma}{word}" for word in _kinds() if word.startswith(start)]


def kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """One kind."""
    return [word for word in _kinds() if word.startswith(incomplete)]


def machines(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of virtual machines."""
    return [name for name in _names(ctx, "vm") if name.startswith(incomplete)]


def _kinds() -> list[str]:
    """The plural and, for what has one, the first short name."""
    return sorted({word for kind in registry.KINDS for word in (kind.plural, *kind.short_names[:1])})


def _names(ctx: click.Context, words: str) -> list[str]:
    store = _store(ctx)
    if store is None:
        return []
    found: set[str] = set()
    for word in words.split(","):
        kind = registry.find(word)
        if kind is not None:
            found.update(stored.key.name for stored in store.list(kind.name, _namespace(ctx, kind)))
    return sorted(found)


def _namespace(ctx: click.Context, kind: Kind) -> str | None:
    if not kind.namespaced or ctx.params.get("all_namespaces"):
        return None
    return ctx.ensure_object(Session).namespace


def _store(ctx: click.Context) -> Store | None:
    try:
        return ctx.ensure_object(Session).store
    except (VmctlError, OSError):
        return None
