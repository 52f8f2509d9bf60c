"""The generated parts of README.md: manifests, plan, status, tables of fields. `python -m tests.readme` writes them."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from tests.engine import manifests as texts
from tests.engine.lab import Lab
from vmctl.cli.documents import as_yaml
from vmctl.engine.previewing import Look, Preview
from vmctl.manifests import loading
from vmctl.resources import explaining, registry

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
QUICKSTART = ROOT / "examples" / "quickstart"
PART = re.compile(r"<!-- generated: (?P<what>.+?) -->\n.*?<!-- end -->", re.DOTALL)


def text() -> str:
    """README.md with its generated parts as they are to be."""
    with tempfile.TemporaryDirectory() as directory:
        parts = Parts(Path(directory))
        return PART.sub(
            lambda match: f"<!-- generated: {match['what']} -->\n{parts.part(match['what'])}\n<!-- end -->",
            README.read_text(),
        )


class Parts:
    """Makes the parts, each from what the product itself says."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def part(self, what: str) -> str:
        """One part by its name."""
        verb, _, rest = what.partition(" ")
        match verb:
            case "file":
                return f"```yaml\n{(ROOT / rest).read_text().rstrip()}\n```"
            case "plan":
                return f"```console\n$ vmctl diff -f examples/quickstart\n{plan(self._directory)}\n```"
            case "status":
                return f"```yaml\n{status(self._directory)}\n```"
            case "fields":
                return f"### {rest}\n\n{explaining.fields_table(registry.BY_NAME[rest])}"
            case _:
                raise ValueError(f"README.md asks for {what!r}")


def plan(directory: Path) -> str:
    """What `diff` prints for the quick start on an empty host."""
    from vmctl.cli.diff import lines

    manifests = loading.load([str(QUICKSTART)]).manifests
    return "\n".join(line for preview in previews(directory / "plan", manifests) for line in lines(preview))


def previews(directory: Path, manifests: Any) -> list[Preview]:
    """The preview of manifests on an empty host."""
    directory.mkdir()
    with Lab(directory).session() as session:
        look = Look.over(session.store, session.driver, session.ledger, session.place, session.clock)
        return look.previews(manifests)


def status(directory: Path) -> str:
    """The status of the quick start's machine, without what differs from host to host."""
    lab = Lab(directory / "status")
    lab.directory.mkdir()
    machine = (QUICKSTART / "machine.yaml").read_text()
    disk = texts.blank("linux-disk", "64Mi")
    lab.apply(f"{disk}\n{machine}")
    item = lab.get("VirtualMachine", "linux-vm")
    if item is None:
        raise ValueError("the quick start's machine is not there")
    shown: dict[str, Any] = {name: item.status[name] for name in ("phase", "resources", "blockDeviceRefs")}
    shown["conditions"] = [
        {name: entry[name] for name in ("type", "status", "reason")} for entry in item.status["conditions"]
    ]
    return str(as_yaml({"status": shown})).rstrip()


if __name__ == "__main__":
    README.write_text(text())
