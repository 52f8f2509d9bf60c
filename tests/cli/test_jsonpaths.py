"""kubectl's jsonpath dialect: the examples of its documentation, and its corners."""

from __future__ import annotations

import pytest

from vmctl.cli.jsonpaths import Expression, Template
from vmctl.errors import UsageError

# the document that kubectl's own documentation takes its examples from, shortened
DOCUMENT = {
    "kind": "List",
    "items": [
        {"kind": "None", "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "first"}},
         "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}]}},
        {"kind": "None", "metadata": {"name": "127.0.0.2"},
         "status": {"capacity": {"cpu": "8"}, "addresses": [
             {"type": "LegacyHostIP", "address": "127.0.0.2"}, {"type": "another", "address": "127.0.0.3"}]}},
    ],
    "users": [
        {"name": "myself", "user": {}},
        {"name": "e2e", "user": {"username": "admin", "password": "secret"}, "level": 5},
    ],
    "flag": True, "half": 0.5, "nothing": None, "with-dash": "dash",
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("kind is {.kind}", "kind is List"),
        ("{.kind}", "List"),
        ("{['kind']}", "List"),
        ("{@.kind}", "List"),
        ("{$.kind}", "List"),
        (".kind", "List"),
        ("{..name}", "127.0.0.1 127.0.0.2 myself e2e"),
        ("{.items[*].metadata.name}", "127.0.0.1 127.0.0.2"),
        ("{.users[0].name}", "myself"),
        ("{.users[-1].name}", "e2e"),
        ("{.users[-1:].name}", "e2e"),
        ("{.users[0:2].name}", "myself e2e"),
        ("{.users[0,1].name}", "myself e2e"),
        ("{.items[*]['metadata.name', 'status.capacity']}", '127.0.0.1 127.0.0.2 {"cpu":"4"} {"cpu":"8"}'),
        ('{.users[?(@.name=="e2e")].user.password}', "secret"),
        ("{.users[?(@.name=='e2e')].user.password}", "secret"),
        ("{.users[?(@.name!='e2e')].name}", "myself"),
        ("{.users[?(@.level)].name}", "e2e"),
        ("{.users[?(@.level>4)].name}", "e2e"),
        ("{.items[?(@.status.capacity.cpu=='8')].metadata.name}", "127.0.0.2"),
        ("{.items[*].status.addresses[?(@.type=='another')].address}", "127.0.0.3"),
        (
            "{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}",
            '[127.0.0.1, {"cpu":"4"}] [127.0.0.2, {"cpu":"8"}] ',
        ),
        ('{range .items[*]}{.metadata.name}{"\\t"}{end}', "127.0.0.1\t127.0.0.2\t"),
        ("{range .items[*]}{range .status.addresses[*]}{.type};{end}\n{end}", "LegacyHostIP;\nLegacyHostIP;another;\n"),
        ("{range .users[*]}{$.kind}/{.name} {end}", "List/myself List/e2e "),
        (r"{.items[0].metadata.labels.kubernetes\.io/hostname}", "first"),
        (r"{.items[0].metadata.labels['kubernetes\.io/hostname']}", "first"),
        ("{.with-dash}", "dash"),
        ("{.flag} {.half} {.nothing}", "true 0.5 null"),
        ("{.missing.deep}-", "-"),
        ("{.users[9].name}", ""),
        ('{"a \\"quoted\\" {text}"}', 'a "quoted" {text}'),
        ("no braces", "no braces"),
        ("", ""),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert Template(template).render(DOCUMENT) == text


@pytest.mark.parametrize(
    "template",
    [
        "{.a",
        "{.a[}",
        "{.a[0}",
        "{range .a}",
        "{end}",
        "{range}{end}",
        "{.a b}",
        "{.a[?(]}",
        "{.a[x]}",
        "a}b",
        "{'a}",
        "{.a[?(b==1)]}",
    ],
)
def test_what_cannot_be_read_is_an_error_before_anything_is_printed(template: str) -> None:
    with pytest.raises(UsageError):
        Template(template)


@pytest.mark.parametrize("path", [".kind", "kind", "{.kind}", "{ .kind }", "$.kind"])
def test_single_paths_are_read_in_every_spelling(path: str) -> None:
    assert Expression(path).find(DOCUMENT) == ["List"]
