"""Small pieces of XML: building, parsing, and reading or writing one place by its address.

An address is the part of XPath that a declaration of a field needs: `./a/b`, `./a/b/@c`, `./a/b[@x='y']/@c`. Knows
nothing of libvirt.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from vmctl.errors import Bug

_STEP = re.compile(r"([\w.-]+)((?:\[@[\w.-]+='[^']*'\])*)(?:/|$)")
_PREDICATE = re.compile(r"\[@([\w.-]+)='([^']*)'\]")


def node(tag: str, /, *children: ET.Element, text: str | None = None, **attributes: str) -> ET.Element:
    """Build an element; attributes with an empty value are left out."""
    made = ET.Element(tag, {key: value for key, value in attributes.items() if value != ""})
    made.text = text
    made.extend(children)
    return made


def parse(text: str) -> ET.Element:
    """Parse a document that libvirt wrote."""
    return ET.fromstring(text)  # noqa: S314 - it comes from the hypervisor we command, and expat bounds entity expansion itself


def serialise(root: ET.Element) -> str:
    """Write a document as libvirt wants to read it."""
    return ET.tostring(root, encoding="unicode")


def text_at(root: ET.Element, path: str, default: str = "") -> str:
    """Read the text of the first element at a path, stripped; the default where there is none."""
    found = root.find(path)
    return default if found is None else (found.text or "").strip() or default


def attribute_at(root: ET.Element, path: str, name: str, default: str = "") -> str:
    """Read an attribute of the first element at a path; the default where there is none."""
    found = root.find(path)
    return default if found is None else found.get(name, default)


def split_address(address: str) -> tuple[str, str]:
    """Split an address into the element's path and the attribute's name, which is empty for the element's text."""
    path, _, attribute = address.partition("/@") if address.rpartition("/")[2].startswith("@") else (address, "", "")
    if "/@" in attribute or not path.startswith("./") or not _steps(path):
        raise Bug(f"{address!r} is no address of a place in a domain document")
    return path, attribute


def read_at(root: ET.Element, address: str) -> str | None:
    """Read the text at an address; None where the element or the attribute is missing."""
    path, attribute = split_address(address)
    found = root.find(path)
    if found is None:
        return None
    return found.get(attribute) if attribute else (found.text or "").strip()


def write_at(root: ET.Element, address: str, value: str) -> None:
    """Write text at an address, making the elements on the way to it."""
    path, attribute = split_address(address)
    place = root
    for tag, predicates in _steps(path):
        found = place.find(tag + predicates)
        if found is None:
            found = ET.SubElement(place, tag, dict(_PREDICATE.findall(predicates)))
        place = found
    if attribute:
        place.set(attribute, value)
    else:
        place.text = value


def erase_at(root: ET.Element, address: str) -> None:
    """Take away what an address names; nothing when it is not there."""
    path, attribute = split_address(address)
    found = root.find(path)
    if found is None:
        return
    if attribute:
        found.attrib.pop(attribute, None)
    else:
        parent = root.find(f"{path}/..")
        (root if parent is None else parent).remove(found)


def _steps(path: str) -> list[tuple[str, str]]:
    rest = path.removeprefix("./")
    steps = [(match[1], match[2]) for match in _STEP.finditer(rest)]
    joined = "/".join(tag + predicates for tag, predicates in steps)
    return steps if joined == rest else []
