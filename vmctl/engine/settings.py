"""What belongs to the host and not to a manifest: where libvirt and the state are, the accelerator, overcommitment.

One order decides: flags, then the environment, then one config file (/etc/vmctl/config.yaml for root, the XDG place for
a user), then defaults. An unknown key or an impossible value is an error that names where it stands. YAML is imported
only when there is a config file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import vmctl
from vmctl.errors import UsageError
from vmctl.resources.registry import closest

if TYPE_CHECKING:
    from collections.abc import Mapping

Accelerator = Literal["auto", "kvm", "tcg"]
ACCELERATORS: tuple[Accelerator, ...] = ("auto", "kvm", "tcg")

# setting -> (its key in the config file, its environment variable); flags are spelled like the setting
_TEXTS: dict[str, tuple[str, str]] = {
    "libvirt_uri": ("libvirtUri", "VMCTL_LIBVIRT_URI"),
    "state_dir": ("stateDir", "VMCTL_STATE_DIR"),
    "accelerator": ("accelerator", "VMCTL_ACCELERATOR"),
    "namespace": ("namespace", "VMCTL_NAMESPACE"),
}
_OVERCOMMIT = "overcommit"
_OVERCOMMIT_KEYS = ("memory", "cpu")


@dataclass(frozen=True, slots=True)
class Settings:
    """The host's settings. `namespace` serves reading and imperative verbs only: a manifest means the same everywhere.

    `overcommit_memory` and `overcommit_cpu` multiply what the host has before the machines' demands are held against
    it.
    """

    libvirt_uri: str
    state_dir: Path
    accelerator: Accelerator = "auto"
    namespace: str = "default"
    overcommit_memory: float = 1.0
    overcommit_cpu: float = 1.0


class Surroundings(NamedTuple):
    """What the defaults depend on: the environment, whether we are root, where the package and the config file lie."""

    environment: Mapping[str, str]
    root: bool
    package: Path
    config: Path

    @classmethod
    def actual(cls) -> Surroundings:
        """Those of this process."""
        environment = dict(os.environ)
        root = os.geteuid() == 0
        package = Path(vmctl.__file__).resolve().parent
        return cls(environment, root, package, config_file(environment, root=root))


def load(flags: Mapping[str, str | None], surroundings: Surroundings | None = None) -> Settings:
    """Settle every setting; raises UsageError for what cannot be."""
    around = surroundings or Surroundings.actual()
    file = _read(around.config)
    texts = {name: _first(name, flags, around.environment, file) for name in _TEXTS}
    accelerator = texts["accelerator"] or "auto"
    if accelerator not in ACCELERATORS:
        raise UsageError(f'accelerator "{accelerator}" is not known', remedy=f"use one of {', '.join(ACCELERATORS)}")
    state = texts["state_dir"]
    return Settings(
        libvirt_uri=texts["libvirt_uri"] or ("qemu:///system" if around.root else "qemu:///session"),
        state_dir=Path(state).expanduser().absolute() if state else default_state_dir(around),
        accelerator=accelerator,
        namespace=texts["namespace"] or "default",
        overcommit_memory=_factor(file, "memory", around.config),
        overcommit_cpu=_factor(file, "cpu", around.config),
    )


def config_file(environment: Mapping[str, str], *, root: bool) -> Path:
    """Where the one config file lies; it need not exist."""
    if root:
        return Path("/etc/vmctl/config.yaml")
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "vmctl" / "config.yaml"


def default_state_dir(around: Surroundings) -> Path:
    """`state/` of a source tree, else /var/lib/vmctl for root, else the XDG state directory."""
    tree = around.package.parent
    if (tree / "pyproject.toml").is_file() and (tree / "state").is_dir():
        return tree / "state"
    if around.root:
        return Path("/var/lib/vmctl")
    home = Path(around.environment.get("HOME", "~")).expanduser()
    return Path(around.environment.get("XDG_STATE_HOME") or home / ".local" / "state") / "vmctl"


def _first(
    name: str, flags: Mapping[str, str | None], environment: Mapping[str, str], file: Mapping[str, object]
) -> str:
    """The first source that says anything; an empty text says nothing."""
    key, variable = _TEXTS[name]
    return flags.get(name) or environment.get(variable) or str(file.get(key) or "")


def _factor(file: Mapping[str, object], key: str, config: Path) -> float:
    block = file.get(_OVERCOMMIT)
    value = block.get(key, 1.0) if isinstance(block, dict) else 1.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise UsageError(
            f"{config}: {_OVERCOMMIT}.{key} is {value!r}", remedy="give a positive factor; 1.0 means no overcommitment"
        )
    return float(value)


def _read(path: Path) -> dict[str, object]:
    """The config file, checked for its shape and keys; empty where there is none."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"the config file {path} cannot be read: {error.strerror}") from error
    document = _parse(path, text)
    _known(path, document, (*(key for key, _ in _TEXTS.values()), _OVERCOMMIT), where="")
    for key, _ in _TEXTS.values():
        if key in document and not isinstance(document[key], str):
            raise UsageError(f"{path}: {key} must be a text, not {document[key]!r}")
    block = document.get(_OVERCOMMIT, {})
    if not isinstance(block, dict):
        raise UsageError(f"{path}: {_OVERCOMMIT} must be a mapping", remedy="for example  overcommit: {memory: 1.5}")
    _known(path, block, _OVERCOMMIT_KEYS, where=f"{_OVERCOMMIT}.")
    return document


def _parse(path: Path, text: bytes) -> dict[str, object]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"the config file {path} is not valid YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError(f"the config file {path} must be a mapping of settings")
    return document


def _known(path: Path, block: Mapping[str, object], keys: tuple[str, ...], *, where: str) -> None:
    for key in block:
        if key not in keys:
            near = closest(str(key), list(keys))
            remedy = f'did you mean "{near}"?' if near else f"known keys: {', '.join(keys)}"
            raise UsageError(f'{path}: unknown key "{where}{key}"', remedy=remedy)
