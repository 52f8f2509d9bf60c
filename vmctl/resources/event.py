"""Event: something that happened to an object. vmctl writes them; nobody declares them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vmctl.resources.declaring import Managed, Resource, Value
from vmctl.resources.policies import refuse
from vmctl.resources.units import Int, Name


def told(doc: str) -> Managed:
    """The policy of what is said about the past."""
    return Managed(doc, refuse("what happened does not change"), seen_at="store:spec")


class InvolvedObject(Value):
    """The object that it happened to."""

    api_version: Annotated[str | None, Field(description="Its group and version.")] = None
    kind: Annotated[Name, Field(description="Its kind.")]
    name: Annotated[Name, Field(description="Its name.")]
    namespace: Annotated[str | None, Field(description="Its namespace.")] = None
    uid: Annotated[str | None, Field(description="Its uid.")] = None
    resource_version: Annotated[str | None, Field(description="Its version then.")] = None
    field_path: Annotated[str | None, Field(description="The part of it that is meant.")] = None


class EventSource(Value):
    """Who says so."""

    component: Annotated[str | None, Field(description="The part of the product.")] = None
    host: Annotated[str | None, Field(description="The host.")] = None


class Event(Resource):
    """Something that happened to an object."""

    api_version: Literal["v1"]
    kind: Literal["Event"]
    involved_object: Annotated[InvolvedObject, told("The object that it happened to.")]
    type: Annotated[Literal["Normal", "Warning"], told("Whether somebody should look.")] = "Normal"
    reason: Annotated[Name, told("What happened, in one word.")]
    message: Annotated[str, told("What happened, in a sentence.")] = ""
    count: Annotated[Int, Field(ge=1), told("How often.")] = 1
    source: Annotated[EventSource | None, told("Who says so.")] = None
    first_timestamp: Annotated[str | None, told("When it happened first.")] = None
    last_timestamp: Annotated[str | None, told("When it happened last.")] = None
    event_time: Annotated[str | None, told("When it happened, more exactly.")] = None
    reporting_component: Annotated[str | None, told("Who says so.")] = None
    reporting_instance: Annotated[str | None, told("Which one says so.")] = None
