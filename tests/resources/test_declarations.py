"""What every declaration owes: words, a policy, an address, an alias, and no import of another kind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import pytest

from vmctl.errors import UsageError
from vmctl.planning.diff import walk
from vmctl.resources import explaining, registry, schema
from vmctl.resources.declaring import Managed, Resource, Spec, Value
from vmctl.resources.policies import at_once
from vmctl.resources.units import Name

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = [pytest.param(kind, id=kind.name) for kind in registry.KINDS]
ADDRESSES = ("metadata:", "domain:./", "codec:", "store:spec", "store:metadata")


def classes(kind: type[Spec | Value]) -> Iterator[type[Spec | Value]]:
    """A class and all those whose instances lie inside its own."""
    yield kind
    for info in kind.model_fields.values():
        for inner in inside(info.annotation):
            yield from classes(inner)


def inside(annotation: object) -> Iterator[type[Spec | Value]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec | Value):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from inside(argument)


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_has_a_sentence_a_policy_and_an_address(kind: registry.Kind) -> None:
    for path, place in walk(kind.model()).items():
        assert place.policy.doc.endswith("."), path
        assert place.policy.change.doc, path
        assert place.policy.seen_at.startswith(ADDRESSES), path


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_explained(kind: registry.Kind) -> None:
    fields = list(explaining.walk(explaining.root(kind)))
    assert {field.path.partition(".")[0] for field in fields} >= {"apiVersion", "kind", "metadata"}
    for field in fields:
        if field.path not in ("apiVersion", "kind"):
            assert field.description.endswith("."), field.path
        word = f"{kind.plural}.{field.path}"
        assert explaining.explain(word)[1].description == field.description
        assert field.summary in explaining.text(*explaining.explain(word))
        if field.path.startswith("spec.") and not field.children:
            assert field.change, field.path


@pytest.mark.parametrize("kind", KINDS)
def test_aliases_are_spelled_as_upstream_spells_them(kind: registry.Kind) -> None:
    for group in classes(kind.model()):
        for name, info in group.model_fields.items():
            alias = info.alias or name
            assert "_" not in alias
            assert not re.search(r"(Ip|Mac|Cidrs?)(?=[A-Z]|$)", alias), f"{group.__name__}.{alias}"


@pytest.mark.parametrize("kind", KINDS)
def test_model_agrees_with_the_registry(kind: registry.Kind) -> None:
    model = kind.model()
    assert model.namespaced == kind.namespaced
    versions = schema.kind_schema(kind)["properties"]["apiVersion"]
    assert set(versions.get("enum", [versions.get("const")])) == set(kind.api_versions)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_spec_name_fields_that_exist(kind: registry.Kind) -> None:
    known = {field.path for field in explaining.walk(explaining.root(kind))}
    for column in kind.columns:
        path = column.path.replace("\\.", "~")
        if not path.startswith(("status.", "metadata.annotations.")):
            assert path in known, column.heading


def test_schemas_are_fresh() -> None:
    assert schema.stale(schema.directory()) == [], "run `python -m vmctl.resources.schema`"
    assert json.loads(schema.shipped(None))["title"] == "A manifest for vmctl"
    assert schema.shipped(registry.BY_NAME["Secret"]) == schema.files()["secret.json"]


def test_a_schema_that_was_edited_or_is_left_over_is_stale(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("schemas")
    schema.write(directory)
    assert schema.stale(directory) == []
    (directory / "secret.json").write_text("{}")
    (directory / "gone.json").write_text("{}")
    assert schema.stale(directory) == ["gone.json", "secret.json"]
    schema.write(directory)
    assert schema.stale(directory) == []


def test_importing_one_kind_imports_no_other() -> None:
    code = (
        "import json, sys; from vmctl.resources import registry; "
        "registry.BY_NAME[sys.argv[1]].model(); "
        "print(json.dumps([k.name for k in registry.KINDS if f'vmctl.resources.{k.singular}' in sys.modules]))"
    )
    for kind in ("VirtualMachine", "VirtualMachinePool", "VirtualMachineClass"):
        done = subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [kind]


def test_registry_and_keys_need_no_pydantic() -> None:
    code = "import sys; from vmctl.resources import keys, registry; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_field_without_policy_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match=r"Bare\.size declares no Managed"):

        class Bare(Spec):
            size: int

    class Inner(Spec):
        name: Annotated[Name, Managed("A name.", at_once(), seen_at="store:spec")]

    with pytest.raises(TypeError, match=r"Maybe\.inner declares no Managed"):

        class Maybe(Spec):
            inner: Inner | None = None

    with pytest.raises(TypeError, match=r"Keyless\.items is a list whose items have no key"):

        class Keyless(Spec):
            items: Annotated[tuple[Inner, ...], Managed("Some.", at_once(), seen_at="store:spec")]

    assert issubclass(Resource, Spec)


def test_explaining_what_is_not_there_says_what_is() -> None:
    for word, near in (
        ("vmm", "vm"),
        ("vm.spec.cpu.core", "cores"),
        ("vm.spec.cpu.cores.x", "vmctl explain virtualmachine.spec.cpu.cores"),
        ("vm.spec.cpu.zzz", "it has cores, coreFraction"),
    ):
        with pytest.raises(UsageError) as refused:
            explaining.explain(word)
        assert near in refused.value.remedy


def test_explaining_a_field_tells_its_cost_and_bounds() -> None:
    said = explaining.text(*explaining.explain("vm.spec.cpu.cores"))
    for part in (
        "KIND:       VirtualMachine",
        "VERSION:    virtualization.deckhouse.io/v1alpha2",
        "cores <integer> -required-",
        "at least 1; at most 248",
        "at the next start",
        "HotplugCPUAndMemoryWithInPlaceResize",
    ):
        assert part in said
    tree = explaining.text(*explaining.explain("vd.spec"), recursive=True)
    assert "  dataSource <Object>\n    type <string>\n" in tree
    assert "as part of affinity, at once" in explaining.text(*explaining.explain("vm.spec.affinity.nodeAffinity"))


def test_table_of_fields_for_readers() -> None:
    table = explaining.fields_table(registry.BY_NAME["VirtualMachine"])
    assert "| `spec.runPolicy` | string | `AlwaysOnUnlessStoppedManually` | at once |\n" in table
    assert "`spec.terminationGracePeriodSeconds` | integer | `60` |" in table
    assert "metadata" not in table
