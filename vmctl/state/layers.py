"""Which qcow2 layers exist, what each stands on, and whose it is: the account that storage counts references by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from vmctl.state.section import Section

if TYPE_CHECKING:
    from collections.abc import Collection

Purpose = Literal["image", "disk"]


class Layer(NamedTuple):
    """One file of a storage class.

    `backing` is the layer under it; `owner` the uid of the object it was made for, None when that is gone and only
    layers above keep it. `size` is what a guest sees, in bytes; `created` in epoch seconds.
    """

    id: str
    storage_class: str
    backing: str | None
    owner: str | None
    purpose: Purpose
    size: int
    created: float


class Layers(Section):
    """The layers of all storage classes; every change is on disk when the call returns."""

    __slots__ = ()

    def add_layer(self, layer: Layer) -> None:
        """Enter a layer, or replace what is known of it (its size grew, its owner went, it was rebased)."""
        values = (
            layer.id, layer.storage_class, layer.backing, layer.owner, layer.purpose, layer.size, layer.created,
        )  # fmt: skip
        with self._database.writing(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def remove_layer(self, layer: str) -> None:
        """Strike a layer out; nothing when it is not there."""
        with self._database.writing(durable=True) as connection:
            connection.execute("DELETE FROM layers WHERE id = ?", (layer,))

    def layers(self, owners: Collection[str] | None = None) -> list[Layer]:
        """Every layer, or those made for the objects with these uids, oldest first."""
        where = "" if owners is None else f"WHERE owner IN ({', '.join('?' * len(owners))})"
        query = (
            f"SELECT id, storage_class, backing, owner, purpose, size, created FROM layers {where} ORDER BY created, id"  # noqa: S608  # only question marks come in
        )
        with self._database.reading() as connection:
            return [Layer(*row) for row in connection.execute(query, tuple(owners or ()))]
