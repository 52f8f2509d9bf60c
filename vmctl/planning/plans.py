"""What planning answers about one object: the status it has, the steps that come next, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vmctl.planning.conditions import written
from vmctl.planning.place import Place

__all__ = ["Failure", "LayerSeen", "Note", "Place", "Plan", "Progress", "Waiting", "World"]

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmctl.planning.conditions import Condition
    from vmctl.planning.objects import Object, Objects
    from vmctl.planning.observed import Domain, Guest, Host, NatNetwork
    from vmctl.planning.steps import Layer, Step
    from vmctl.resources.keys import Key


@dataclass(frozen=True, slots=True)
class Failure:
    """The last thing that went wrong with an object: its condition reason, its words, and when it is tried again (None:
    never).
    """

    reason: str
    message: str
    remedy: str = ""
    retry_at: float | None = None
    attempts: int = 1
    generation: int = 0

    @property
    def sentence(self) -> str:
        """What went wrong and what to do."""
        return self.message + (f"; {self.remedy}" if self.remedy else "")

    @property
    def told(self) -> str:
        """The sentence, and which attempt follows if one does."""
        return self.sentence + (f"; tried again (attempt {self.attempts + 1})" if self.retry_at is not None else "")


@dataclass(frozen=True, slots=True)
class LayerSeen:
    """A layer as it is: what was recorded of it, and whether its file is there."""

    layer: Layer
    exists: bool
    size_bytes: int  # what a guest sees
    stored_bytes: int = 0  # what it takes in the directory
    format: str = "qcow2"  # what the imported bytes were
    cdrom: bool = False
    finished: bool = True  # False: its creation was begun and is not recorded as done


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running import is; bytes per second."""

    received: int
    total: int | None
    speed: float = 0.0
    average: float = 0.0
    stage: Literal["downloading", "converting"] = "downloading"


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a rule may look at for one object: values only."""

    object: Object
    objects: Objects
    host: Host
    place: Place
    now: float
    failure: Failure | None = None
    progress: Progress | None = None
    layers: Mapping[str, LayerSeen] = field(default_factory=dict[str, LayerSeen])  # by layer id
    domain: Domain | None = None
    foreign: str = ""  # uuid of a domain that has the name and is not this machine
    guest: Guest | None = None
    firmware_said: str = ""  # what the firmware wrote to the serial console when it gave up, empty if it did not
    networks: tuple[NatNetwork, ...] = ()
    notes: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # what we recorded about this object beside its status
    machine_notes: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # and about the machine that an operation names
    machine_domain: Domain | None = None  # that machine in libvirt, while the operation is not over

    def status(
        self, phase: str, conditions: Iterable[Condition], extra: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The status of the object as of now: what every kind has, and what its own rules add."""
        item = self.object
        return {
            "phase": phase,
            **(extra or {}),
            "observedGeneration": item.generation,
            "conditions": written(conditions, item.status, item.generation, self.now),
        }

    @property
    def final_failure(self) -> Failure | None:
        """The failure that is not tried again while the manifest is as it is."""
        failure = self.failure
        final = failure is not None and failure.retry_at is None and failure.generation == self.object.generation
        return failure if final else None

    @property
    def pause_until(self) -> float | None:
        """When what failed is tried again, if that is not yet."""
        retry_at = self.failure.retry_at if self.failure is not None else None
        return retry_at if retry_at is not None and retry_at > self.now else None


@dataclass(frozen=True, slots=True)
class Note:
    """Something a user should be told once: an event."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """One change that waits, is done at once, or is refused: as `diff` prints it. What is off, or goes off, has
    everything at its next start.
    """

    path: str
    old: Any
    new: Any
    effect: Literal["live", "at next restart", "at next start", "refused", "at once"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is (status), what comes next (steps, in this order), what the user is told (notes), when to look again
    (epoch seconds).
    """

    status: Mapping[str, Any]
    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    look_again: float | None = None
    waits_for: tuple[Key, ...] = ()
    changes: tuple[Waiting, ...] = ()
    settled: bool = True  # nothing more will happen by itself, as far as this object knows
    remember: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # what is noted about the object with its status
