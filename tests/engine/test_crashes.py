"""The crash schedule: kill the engine before and after every step of every case; the next pass converges, nothing is
left over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.engine import manifests as texts
from tests.engine.lab import Death, Lab
from tests.engine.operating import ask
from tests.memory_driver import Died
from vmctl.planning.observed import Guest
from vmctl.resources.keys import Key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VM = Key("VirtualMachine", "default", "web")
DISK = Key("VirtualDisk", "default", "root")
IMAGE = Key("VirtualImage", "default", "os")
PLUG = Key("VirtualMachineBlockDeviceAttachment", "default", "plug")


GATES = texts.gates("HotplugCPUAndMemoryWithInPlaceResize")


@dataclass(frozen=True)
class Case:
    """What is there before, and the act that dies in the middle."""

    before: Callable[[Lab, str], object]
    act: Callable[[Lab, str], object]


def whole(url: str, *, cores: int = 1, size: str = "16Mi") -> str:
    return (
        texts.image("os", url)
        + texts.disk("root", "os", size)
        + texts.blank("data")
        + texts.machine("web", "root", "data", cores=cores, extra=texts.USER_DATA)
    )


def plugged(*, on: bool = True) -> str:
    policy = "" if on else "runPolicy: AlwaysOff"
    return (
        texts.blank("root")
        + texts.blank("data")
        + texts.machine("web", "root", extra=policy)
        + texts.attachment("plug", "web", "data")
    )


def unplugged() -> str:
    return texts.blank("root") + texts.blank("data") + texts.machine("web", "root")


def waiting(lab: Lab, url: str) -> None:
    """A machine that has to be restarted for a change."""
    lab.apply(whole(url))
    lab.apply(whole(url, cores=2))


def starting(lab: Lab, _url: str) -> None:
    """A machine whose start was asked for, and which lacks a disk."""
    lab.apply(texts.blank("root") + texts.machine("web", "root", extra="runPolicy: Manual"))
    lab.apply(texts.machine("web", "root", "missing", extra="runPolicy: Manual"))
    ask(lab, "on", "Start")


def nothing(_lab: Lab, _url: str) -> None:
    """An empty host."""


def restart(lab: Lab) -> None:
    """QEMU dies, and the machine is started again."""
    lab.world.crash(lab.uid("web"))
    lab.apply(plugged())


def removed(lab: Lab) -> None:
    """Somebody switches the machine off and removes its definition, and it is made and started again."""
    uid = lab.uid("web")
    with lab.session() as session:
        session.driver.destroy(uid)
    del lab.world.machines[uid]
    lab.resume()


def sized(memory: str, cores: int, fraction: str) -> str:
    """A machine of that size, on a host whose feature gates are on."""
    small = texts.machine("web", "root", memory=memory).replace(
        "cpu: {cores: 1}", f"cpu: {{cores: {cores}, coreFraction: {fraction}}}"
    )
    return GATES + texts.blank("root") + small


def small(lab: Lab, _url: str) -> None:
    """A machine with its agent up, which can be changed while it runs."""
    lab.apply(sized("64Mi", 1, "100%"))
    lab.world.boot_finished(lab.uid("web"), Guest({"id": "debian"}))
    lab.resume()


CASES = {
    "change live": Case(small, lambda lab, _: lab.apply(sized("96Mi", 2, "50%"))),
    "removed behind our back": Case(lambda lab, _: lab.apply(unplugged()), lambda lab, _: removed(lab)),
    "create": Case(nothing, lambda lab, url: lab.apply(whole(url))),
    "delete the machine": Case(lambda lab, url: lab.apply(whole(url)), lambda lab, _: lab.delete(VM)),
    "delete everything": Case(lambda lab, url: lab.apply(whole(url)), lambda lab, _: lab.delete(VM, DISK, IMAGE)),
    "edit": Case(lambda lab, url: lab.apply(whole(url)), lambda lab, url: lab.apply(whole(url, cores=2))),
    "restart": Case(lambda lab, url: lab.apply(whole(url)), lambda lab, _: ask(lab, "again", "Restart")),
    "restart by force": Case(
        lambda lab, url: lab.apply(whole(url)), lambda lab, _: ask(lab, "again", "Restart", force=True)
    ),
    "restart with changes": Case(waiting, lambda lab, _: ask(lab, "again", "Restart")),
    "stop": Case(waiting, lambda lab, _: ask(lab, "off", "Stop")),
    "stop a start that waits": Case(starting, lambda lab, _: ask(lab, "off", "Stop")),
    "grow": Case(lambda lab, url: lab.apply(whole(url)), lambda lab, url: lab.apply(whole(url, size="32Mi"))),
    "attach": Case(lambda lab, _: lab.apply(unplugged()), lambda lab, _: lab.apply(plugged())),
    "attach to a machine that is off": Case(
        lambda lab, _: lab.apply(plugged(on=False).partition(texts.attachment("plug", "web", "data"))[0]),
        lambda lab, _: lab.apply(plugged(on=False)),
    ),
    "detach": Case(lambda lab, _: lab.apply(plugged()), lambda lab, _: lab.delete(PLUG)),
    "detach from a machine that is off": Case(
        lambda lab, _: lab.apply(plugged(on=False)), lambda lab, _: lab.delete(PLUG)
    ),
    "start with an attachment": Case(lambda lab, _: lab.apply(plugged(on=False)), lambda lab, _: lab.apply(plugged())),
    "restart with an attachment": Case(lambda lab, _: lab.apply(plugged()), lambda lab, _: restart(lab)),
    "delete a machine that something is attached to": Case(
        lambda lab, _: lab.apply(plugged()), lambda lab, _: lab.delete(VM)
    ),
    "delete all of it": Case(
        lambda lab, _: lab.apply(plugged()),
        lambda lab, _: lab.delete(VM, PLUG, Key("VirtualDisk", "default", "data")),
    ),
    "copy of an image": Case(
        lambda lab, url: lab.apply(texts.image("os", url)),
        lambda lab, url: lab.apply(texts.image("os", url) + texts.image_of("again", "os")),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_dying_at_any_step_leaves_nothing_over(name: str, after: bool, tmp_path: Path, image_url: str) -> None:
    case = CASES[name]
    reference = prepared(tmp_path / "reference", case, image_url)
    case.act(reference, image_url)
    wanted, count = reference.portrait(), len(reference.death.seen)
    assert count > 0
    for at in range(1, count + 1):
        lab = prepared(tmp_path / f"death-{at}", case, image_url)
        lab.death = Death(at, after)
        with pytest.raises(Died):
            case.act(lab, image_url)
        died_at = lab.death.seen[at - 1]
        lab.death = Death()
        lab.resume()
        lab.resume()
        assert lab.portrait() == wanted, f"killed {'after' if after else 'before'} step {at}, {died_at}"


def prepared(directory: Path, case: Case, url: str) -> Lab:
    """A host on which the case is about to happen."""
    directory.mkdir()
    lab = Lab(directory)
    case.before(lab, url)
    lab.death = Death()
    return lab
