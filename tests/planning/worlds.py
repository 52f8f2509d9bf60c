"""Worlds for the rules, written as YAML: what is declared, what is there, what was seen, and whose plan is asked for.

A file says only what matters to its case; everything else is as on an ordinary host with its built-in objects. What
cannot be is refused (`Impossible`): a rule that is right about an impossible world is right about nothing.

    plan: VirtualMachine web          the object whose rules are asked
    now: 90                           seconds since the host came up, 60 if left out
    network: user                     no right to make networks; `nat` otherwise
    address: 10.66.10.2               what the planned machine has leased; `none`: no address object yet
    candidate: ""                     what a new lease would get
    host, place                       fields of Host and Place that differ
    without: [StorageClass local]     built-in objects that were deleted
    objects:                          manifests without apiVersion, and beside them:
    - phase, status                   what was recorded; phase is short for status.phase
      uid, created, deleted, owner    owner names a machine; times in seconds
      gone: true                      it was there when the domain was defined, and is not any more
    layers:
    - of: VirtualImage ubuntu         the owner; size as a quantity; class, exists, finished, format, cdrom, id
    domain:                           the planned machine in libvirt
      power, reason, name, sizes
      defined, running                `as the spec`, or what in the spec was different then
      plugged: [running, defined]     the sides that have what attachments plug in
      room: none                      it was started before the gates were on that the world has
      nonce                           of what runs, if it is another instance than notes speak of
    guest, firmware, foreign          what the agent and the firmware said; a stranger's uuid
    notes: {power, request, refused}  what was recorded of the machine, see noted.py
      seen: {running, defined, …}     and how the last pass saw it, in the words of `domain`
    machine                           of a planned operation: the power of its machine
    asked: {verb, of}                 and what is noted with that machine; `of` names the operation that asked
    failure: {reason, message, …}     with `in`: seconds until it is tried again
    progress                          fields of Progress
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from tests.memory_driver import HOST
from tests.planning import noted
from vmctl.engine import built_in
from vmctl.manifests.judging import judge
from vmctl.network import networks
from vmctl.planning import (
    addresses,
    drift,
    images,
    requests,
    rules,
)
from vmctl.planning.conditions import timestamp
from vmctl.planning.dependencies import gather
from vmctl.planning.machine_changes import compare
from vmctl.planning.machine_hardware import Parts, hardware
from vmctl.planning.module_settings import feature_gates
from vmctl.planning.objects import Object, Objects
from vmctl.planning.observed import Domain, Guest, Host
from vmctl.planning.plans import Failure, LayerSeen, Place, Plan, Progress, World
from vmctl.planning.room import NO_ROOM, room
from vmctl.planning.steps import Layer
from vmctl.resources import registry
from vmctl.resources.keys import Key
from vmctl.resources.units import quantity_bytes
from vmctl.resources.virtualmachine import VirtualMachine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmctl.planning.hardware import Hardware

Json = dict[str, Any]
UP_AT = 1_767_225_600.0  # the host came up with the year 2026
STATE = "/var/lib/vmctl"
MAC = "52:54:00:12:34:56"
PLACE = Place("installation", STATE, b"key of this installation", "this boot")
NAMES = uuid.UUID("6a5f2c9e-0f4b-4b1e-9d0c-1f6f3c1b7a01")
KNOWN = frozenset(
    {"plan", "now", "network", "address", "candidate", "host", "place", "without", "objects", "layers", "domain"}
    | {"guest", "firmware", "foreign", "notes", "failure", "progress", "machine", "asked"}
)
OF_DOMAIN = frozenset({"power", "reason", "name", "sizes", "defined", "running", "plugged", "room", "nonce"})
BESIDE = frozenset({"phase", "status", "uid", "created", "deleted", "owner", "gone"})


class Impossible(Exception):
    """A world that no host can come to."""


@dataclass(frozen=True)
class Case:
    """A world and the plan that is asked for."""

    world: World
    candidate: str

    def plan(self) -> Plan:
        """What the rules of the object's kind say, as a pass asks them."""
        address = MAC if self.world.object.key.kind == "VirtualMachine" else self.candidate
        return rules.plan(rules.noticed(self.world), address)


def load(text: str) -> Case:
    """The case that a text describes. Raises Impossible for a world that cannot be."""
    return of(YAML(typ="safe").load(text))


def of(said: Json) -> Case:
    """The case that was read from a text, or composed."""
    return _Builder(said).case()


def key_of(text: str) -> Key:
    """`VirtualDisk root` or `VirtualDisk web/root`."""
    kind, _, name = text.partition(" ")
    if kind not in registry.BY_NAME or not name:
        raise Impossible(f"{text!r} names no object: write a kind and a name")
    namespace, _, name = name.rpartition("/")
    return Key(kind, (namespace or "default") if registry.BY_NAME[kind].namespaced else "", name)


def uid_of(key: Key) -> str:
    """The uid that an object has unless its case says another."""
    return str(uuid.uuid5(NAMES, f"{key.kind}/{key.namespace}/{key.name}"))


def declared(said: Json) -> Object:
    """The object of a manifest, as it is stored; beside its fields those that the head of this module lists."""
    manifest = {name: value for name, value in said.items() if name not in BESIDE}
    kind = registry.BY_NAME[manifest["kind"]]
    judged = judge({"apiVersion": kind.api_version, **manifest}, "default")
    if judged.wrong or judged.not_acting or not judged.objects:
        raise Impossible(f"no apply lets {manifest['kind']} in: {judged.wrong or judged.not_acting}")
    key, document = judged.objects[0].key, judged.objects[0].document
    if "owner" in said:
        owner = key_of(said["owner"])
        named = {"apiVersion": registry.BY_NAME[owner.kind].api_version, "kind": owner.kind, "name": owner.name}
        document["metadata"]["ownerReferences"] = [{**named, "uid": uid_of(owner)}]
    status = {**({"phase": said["phase"]} if "phase" in said else {}), **said.get("status", {})}
    created = UP_AT + said.get("created", 0)
    deleted = UP_AT + said["deleted"] if "deleted" in said else None
    return Object(key, said.get("uid") or uid_of(key), 1, document, status, created, deleted)


class _Builder:
    """Makes the values one after another; each checks what it builds on."""

    def __init__(self, said: Json) -> None:
        unknown = set(said) - KNOWN
        if unknown:
            raise Impossible(f"a world has no {', '.join(sorted(unknown))}")
        self.said = said
        self.now = UP_AT + said.get("now", 60)
        self.host: Host = replace(HOST, managed_networks=said.get("network", "nat") == "nat", **said.get("host", {}))
        self.place: Place = replace(PLACE, **said.get("place", {}))
        self.networks = (
            (networks.nat_network("10.66.0.0/16", PLACE.installation, Path(STATE)),)
            if self.host.managed_networks
            else ()
        )
        self.gone: list[Object] = []
        self.objects = Objects({item.key: item for item in self._all_objects()})

    def case(self) -> Case:
        planned = self.objects.get(key_of(self.said["plan"]))
        if planned is None:
            raise Impossible(f"{self.said['plan']} is to be planned and is not there")
        world = World(
            planned,
            self.objects,
            self.host,
            self.place,
            self.now,
            self._failure(planned),
            Progress(**self.said["progress"]) if "progress" in self.said else None,
            layers=self._layers(),
            networks=self.networks,
            notes=self._notes(),
            machine_notes=self._asked(),
            machine_domain=self._machine_domain(planned),
        )
        return Case(self._observed(world), self.said.get("candidate", "10.66.0.77"))

    def _all_objects(self) -> Iterator[Object]:
        """Built-in ones, those of the file, and the address of the planned machine. Uids and keys are unique."""
        found = [*self._built_in(), *map(self._object, self.said.get("objects", ()))]
        found += self._address(found)
        keys, uids = [item.key for item in found], [item.uid for item in found]
        for key in keys:
            if keys.count(key) > 1:
                raise Impossible(f"{key.short} is there twice")
        if len(set(uids)) < len(uids):
            raise Impossible("two objects have one uid")
        leases = [item.key.name for item in found if item.key.kind == "VirtualMachineIPAddressLease"]
        addressed = [item.status.get("address") for item in found if item.key.kind == "VirtualMachineIPAddress"]
        if len(set(leases)) < len(leases) or len([one for one in addressed if one]) > len({*addressed} - {None}):
            raise Impossible("an address is leased twice")
        gone = {item.key for item in self.gone}
        return (item for item in found if item.key not in gone)

    def _built_in(self) -> Iterator[Object]:
        without = {key_of(text) for text in self.said.get("without", ())}
        declared = {(item.get("kind"), item["metadata"]["name"]) for item in self.said.get("objects", ())}
        for key, document in built_in.documents(self.host, STATE):
            if key not in without and (key.kind, key.name) not in declared:
                yield Object(key, uid_of(key), 1, document, {"phase": "Ready"}, UP_AT)

    def _object(self, said: Json) -> Object:
        made = declared(said)
        if made.deleted is not None and not made.created <= made.deleted <= self.now:
            raise Impossible(f"{made.key.short} was deleted before it was made, or will be")
        if said.get("gone"):
            self.gone.append(made)
        return made

    def _address(self, found: list[Object]) -> Iterator[Object]:
        """The address object and lease of the planned machine, as the engine makes them."""
        said = self.said.get("address", "10.66.10.2")
        machine = next((item for item in found if item.key == key_of(self.said["plan"])), None)
        if machine is None or machine.key.kind != "VirtualMachine" or said == "none" or not self.networks:
            return
        key = addresses.own_address(machine)
        status = {"phase": "Attached", "address": said, "virtualMachineName": machine.key.name}
        item = Object(key, uid_of(key), 1, addresses.address_document(machine), status, UP_AT)
        lease = addresses.lease_key(said)
        yield item
        yield Object(lease, uid_of(lease), 1, addresses.lease_document(said, item), {"phase": "Bound"}, UP_AT)

    def _layers(self) -> Mapping[str, LayerSeen]:
        seen = [self._layer(said) for said in self.said.get("layers", ())]
        has = {one.layer.owner for one in seen if one.finished}
        for item in (*self.objects.by_key.values(), *self.gone):
            holds_data = item.key.kind in ("VirtualDisk", "VirtualImage", "ClusterVirtualImage")
            if holds_data and item.phase in ("Ready", "Resizing") and item.uid not in has:
                raise Impossible(f"{item.key.short} is {item.phase} and has no layer")
        if len({one.layer.id for one in seen}) < len(seen):
            raise Impossible("two layers have one id")
        return {one.layer.id: one for one in seen}

    def _layer(self, said: Json) -> LayerSeen:
        key = key_of(said["of"])
        owner = self.objects.get(key) or next((item for item in self.gone if item.key == key), None)
        if owner is None:
            raise Impossible(f"a layer of {key.short}, which is not there")
        name = said.get("class", "local")
        source = owner.document["spec"].get("dataSource")
        made = Layer(
            said.get("id") or images.layer_id(owner.uid, source, name),
            owner.uid,
            name,
            f"/srv/{name}" if name != "local" else f"{STATE}/storage/local",
            "disk" if key.kind == "VirtualDisk" else "image",
        )
        size = quantity_bytes(said.get("size", "1Gi"))
        stored = quantity_bytes(said.get("stored", "1Mi"))
        shape = {name: said[name] for name in ("format", "cdrom", "finished") if name in said}
        return LayerSeen(made, said.get("exists", True), size, stored, **shape)

    def _failure(self, item: Object) -> Failure | None:
        said = self.said.get("failure")
        if said is None:
            return None
        fields = {name: value for name, value in said.items() if name != "in"}
        again = self.now + said["in"] if "in" in said else None
        return Failure(**{"retry_at": again, "generation": item.generation, **fields})

    def _notes(self) -> Mapping[str, str]:
        said = {name: fields for name, fields in self.said.get("notes", {}).items() if name != drift.NOTE}
        try:
            return noted.texts(said, PLACE.boot_id, _operation_uid)
        except (KeyError, TypeError) as error:
            raise Impossible(f"nobody records such a note: {error}") from error

    def _asked(self) -> Mapping[str, str]:
        """What the machine of an operation was asked for."""
        said = self.said.get("asked")
        return {requests.NOTE: noted.request(said, _operation_uid)} if said else {}

    def _machine_domain(self, planned: Object) -> Domain | None:
        if "machine" not in self.said:
            return None
        machine = self.objects.get(key_of(f"VirtualMachine {planned.document['spec'].get('virtualMachineName', '')}"))
        if machine is None:
            raise Impossible("a domain of a machine that is not there")
        return Domain(machine.uid, machine.key.name, self.said["machine"], "", None, None)

    def _observed(self, world: World) -> World:
        said, foreign = self.said.get("domain"), self.said.get("foreign", "")
        seen = self.said.get("notes", {}).get(drift.NOTE)
        if seen is not None:
            world = replace(world, notes={**world.notes, drift.NOTE: self._seen(world, seen)})
        if said is None:
            if "guest" in self.said or "firmware" in self.said:
                raise Impossible("a guest without a machine")
            return replace(world, foreign=foreign)
        if world.object.key.kind != "VirtualMachine":
            raise Impossible(f"a domain of {world.object.key.short}, which is no machine")
        if foreign:
            raise Impossible("libvirt has one domain of a name")
        domain = self._domain(world, said)
        guest = self._guest(domain) if "guest" in self.said else None
        return replace(world, domain=domain, guest=guest, firmware_said=self.said.get("firmware", ""))

    def _domain(self, world: World, said: Json) -> Domain:
        if not OF_DOMAIN.issuperset(said):
            raise Impossible(f"a domain has no {', '.join(sorted({*said} - OF_DOMAIN))}")
        state, item = said.get("power", "off"), world.object
        running, defined = (
            self._hardware(world, said, side) if said.get(side) is not None else None for side in ("running", "defined")
        )
        if (running is None) != (state == "off"):
            raise Impossible(f"a machine that is {state} and {'has no' if running is None else 'has a'} live document")
        if running is None and defined is None:
            raise Impossible("a domain that neither runs nor is defined is none")
        fallback = "shutdown" if state == "off" else "booted"
        sizes = {name: quantity_bytes(size) for name, size in said.get("sizes", {}).items()}
        name = said.get("name", item.key.name)
        return Domain(item.uid, name, state, said.get("reason", fallback), running, defined, block_sizes=sizes)

    def _seen(self, world: World, said: Json) -> str:
        """The note of the pass that saw the machine so, as that pass wrote it."""
        spec = world.object.typed(VirtualMachine).spec
        past = self._domain(world, {"power": "running" if "running" in said else "off", **said})
        shown = past.running or past.defined
        assert shown is not None
        return compare(replace(world, domain=past, notes={}), spec, shown).drift.record

    def _hardware(self, world: World, said: Json, side: str) -> Hardware:
        """What the spec, as it was then, came to, with everything there that is gone by now."""
        changed: Json | str = said[side]
        document = json.loads(json.dumps(world.object.document))
        if isinstance(changed, dict):
            document["spec"] = merged(document["spec"], changed)
        elif changed != "as the spec":
            raise Impossible(f"{changed!r}: write `as the spec`, or what was different")
        then = replace(world.object, document=document, status={}, deleted=None)
        others = {
            key: replace(item, status={**item.status, "phase": "Ready"}, deleted=None)
            for key, item in self.objects.by_key.items()
            if key.kind != "VirtualMachine"
        }
        past = Objects({**others, **{item.key: item for item in self.gone}, then.key: then})
        before = replace(world, object=then, objects=past, domain=None)
        spec = then.typed(VirtualMachine).spec
        needs = gather(before, spec)
        if not needs.ready:
            raise Impossible(f"what runs was never ready: {[one for one in needs.conditions if one.status != 'True']}")
        cpu = needs.klass.document["spec"]["cpu"] if needs.klass is not None else {"type": "Host"}
        network = self.networks[0].name if self.networks else ""
        log = f"{STATE}/consoles/{then.uid}.log"
        gates = frozenset() if said.get("room") == "none" else feature_gates(self.objects)
        space = room(spec, self.host, gates) if gates else NO_ROOM
        plugged = needs.plugged if side in said.get("plugged", ()) else ()
        parts = Parts(needs.devices, needs.seed, cpu, needs.fraction, MAC, network, log, space, plugged)
        made = hardware(then, spec, parts, self.place)
        return replace(made, domain=said.get("name", made.domain), nonce=said.get("nonce", noted.LAST_START))

    def _guest(self, domain: Domain) -> Guest:
        if domain.power != "running":
            raise Impossible(f"an agent speaks in a machine that is {domain.power}")
        said = dict(self.said["guest"])
        found = {MAC: tuple(said.pop("addresses", ()))}
        return Guest(said.pop("os", {}), said.pop("hostname", ""), found)


def _operation_uid(name: str) -> str:
    return uid_of(key_of(f"VirtualMachineOperation {name}"))


def merged(old: Json, new: Json) -> Json:
    """New values over old ones, group by group; null takes a field away."""
    result = dict(old)
    for name, value in new.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = value
    return result


def at(seconds: float) -> str:
    """A timestamp as statuses have it, so many seconds after the host came up."""
    return timestamp(UP_AT + seconds)
