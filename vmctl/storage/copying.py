"""An image once more under another id: in the same directory by a second name of the same file, elsewhere by a copy."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from vmctl.storage import commands, layers
from vmctl.storage.importing import Imported
from vmctl.storage.space import writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def copy_image(
    source: Path, layer: str, directory: Path, copy: str, *, cancelled: Callable[[], bool] = commands.never
) -> None:
    """Make `copy` in `directory` hold what the read-only `layer` of `source` holds, with what is known of it.

    In one directory nothing is copied: the file gets a second name, and goes with the last of them.
    """
    if not layers.exists(directory, copy):
        layers.prepare(directory)
        with writing(directory, f"copying what is known of layer {layer}"):
            if (known := layers.path(source, layer, layers.RECORD)).is_file():
                passing = layers.path(directory, copy, ".new")
                passing.write_bytes(known.read_bytes())
                passing.rename(layers.path(directory, copy, layers.RECORD))
        if source.resolve() == directory.resolve():
            with writing(directory, f"naming layer {layer} again"):
                os.link(layers.path(source, layer), layers.path(directory, copy))
                layers.sync_directory(directory)
        else:
            layers.copy_to_class(source, layer, directory, copy, cancelled=cancelled)


def known(directory: Path, layer: str) -> Imported | None:
    """What was found out about a layer when it was imported; None for one that was not, or whose record is lost."""
    try:
        return Imported(**json.loads(layers.path(directory, layer, layers.RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None
