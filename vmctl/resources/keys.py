"""How an object is named everywhere inside: kind, namespace, name. No pydantic here: reading verbs start quickly."""

from __future__ import annotations

from typing import NamedTuple

from vmctl.resources import registry


class Key(NamedTuple):
    """`kind` is the registry's name (`VirtualMachine`); `namespace` is empty for what is cluster-scoped."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As kubectl prints it: `virtualmachine.virtualization.deckhouse.io/linux-vm`."""
        return f"{registry.BY_NAME[self.kind].qualified}/{self.name}"

    @property
    def short(self) -> str:
        """For sentences: `VirtualMachine linux-vm`, with the namespace where it is not `default`."""
        where = f"{self.namespace}/" if self.namespace not in ("", "default") else ""
        return f"{self.kind} {where}{self.name}"
