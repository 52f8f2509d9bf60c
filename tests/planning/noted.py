"""What was recorded of a machine, as a case writes it: each note with the fields that its planning module reads.

power: {intent, why, …}            fields of PowerNote; boot: this one
request: {verb, of, …}             fields of Request; `of` names the operation that asked, `nonce` the instance that ran
refused: {CHANGE: {why, agent}}    changes by the names that `refusals.identity` gives them
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vmctl.planning import power, refusals, requests
from vmctl.planning.power import PowerNote
from vmctl.planning.refusals import Refusal
from vmctl.planning.requests import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]
LAST_START = "of the last start"  # the instance that runs unless a case says otherwise


def texts(said: Json, boot: str, uid_of: Callable[[str], str]) -> Mapping[str, str]:
    """The notes as they are stored; `uid_of` gives the uid of an operation by its name."""
    written = {
        power.NOTE: lambda fields: _power(fields, boot),
        requests.NOTE: lambda fields: request(fields, uid_of),
        refusals.NOTE: _refused,
    }
    return {name: written[name](fields) for name, fields in said.items()}


def _power(said: Json, boot: str) -> str:
    return PowerNote(**{"boot": boot, **said}).text()


def request(said: Json, uid_of: Callable[[str], str]) -> str:
    """What a machine was asked for; a restart of ours says for which changes, as entries of restartAwaitingChanges."""
    fields: Json = {"nonce": LAST_START, **said}
    operation = fields.pop("of", "")
    if operation:
        fields = {"why": f"VirtualMachineOperation {operation}", "operation": uid_of(operation), **fields}
    if "changes" in fields:
        fields["changes"] = json.dumps(fields["changes"], sort_keys=True)
    return Request(**fields).text()


def _refused(said: Mapping[str, Json]) -> str:
    notes: dict[str, str] = {}
    for change, fields in said.items():
        notes = {refusals.NOTE: refusals.with_refusal(notes, change, Refusal(**fields))}
    return notes[refusals.NOTE]
