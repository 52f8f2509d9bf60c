"""What one command line works with: its settings, the clock, the store; each made when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from vmctl.engine import settings
from vmctl.engine.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmctl.engine.settings import Settings
    from vmctl.hypervisor.driver import Driver
    from vmctl.state.store import Store


class Session:
    """Flags as they were given, and what follows from them. `clock` tells epoch seconds."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.flags: dict[str, str | None] = {}
        self.clock: Callable[[], float] = clock or SystemClock().now
        self._opened: list[Store] = []

    @cached_property
    def settings(self) -> Settings:
        """Flags, environment, config file and defaults, settled."""
        return settings.load(self.flags)

    @property
    def namespace(self) -> str:
        """The namespace of reading and imperative verbs."""
        return self.settings.namespace

    @cached_property
    def store(self) -> Store:
        """The store for reading; empty where nothing was applied yet."""
        from vmctl.state.store import Store

        store = Store.open(self.settings.state_dir, clock=self.clock, readonly=True)
        self._opened.append(store)
        return store

    def connect(self, *, events: bool = False) -> Driver:
        """A driver for reading verbs, which need no lock; the caller closes it. `events` keeps a long talk alive."""
        from vmctl.hypervisor.libvirt_driver import LibvirtDriver

        settings = self.settings
        return LibvirtDriver(
            settings.libvirt_uri, self.store.installation, accelerator=settings.accelerator, events=events
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._opened:
            self._opened.pop().close()
