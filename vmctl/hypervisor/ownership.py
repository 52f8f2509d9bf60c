"""Whose machine a domain is, read off libvirt's text without parsing it: all that a listing of domains needs."""

from __future__ import annotations

import re

NAMESPACE = "https://vmctl.dev/xmlns/domain/1"
PREFIX = "vmctl"

# Characters that XML 1.0 cannot hold, or not in an attribute without an entity, and the escape itself.
_UNWRITABLE = re.compile("[\\\\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")
# The start tag of our element as libvirt prints it: enough to filter a listing without parsing each document.
_START_TAG = re.compile(rf"<{PREFIX}:machine ([^>]*)>")
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


def owner_in(document: str) -> tuple[str, str] | None:
    """Find (installation, uid) in a domain document as libvirt prints it, without parsing; None without a record."""
    start = _START_TAG.search(document) if NAMESPACE in document else None
    if start is None:
        return None
    attributes = dict(_ATTRIBUTE.findall(start[1]))
    return unescape(_without_entities(attributes.get("installation", ""))), attributes.get("uid", "")


def escape(text: str) -> str:
    """Write text so that XML can hold it, whatever is in it."""
    return _UNWRITABLE.sub(lambda found: "\\\\" if found[0] == "\\" else f"\\u{ord(found[0]):04x}", text)


def unescape(text: str) -> str:
    """Read what `escape` wrote."""
    return _ESCAPED.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)), text)


def _without_entities(text: str) -> str:
    if "&" not in text:
        return text
    from xml.sax.saxutils import unescape as plain  # 30 ms, and an id of our making has no entity

    return plain(text, {"&quot;": '"'})
