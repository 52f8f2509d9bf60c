"""Changes of a machine while it runs: done and told, or refused by host or guest and left for its next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmctl.engine.warning import warn
from vmctl.errors import NotFound, Rejected, Unsupported
from vmctl.planning import refusals, steps

if TYPE_CHECKING:
    from vmctl.hypervisor.driver import Driver
    from vmctl.planning.objects import Object
    from vmctl.state.store import Store


def perform(store: Store, driver: Driver, item: Object, step: steps.Live) -> bool:
    """Do one live step, or answer false. What is refused is noted and waits from then on: it is no failure of the
    machine.
    """
    try:
        _perform(driver, step)
    except (Rejected, Unsupported, NotFound) as error:
        seen = driver.observe(step.uid)
        refusal = refusals.Refusal(error.message, agent=seen is not None and seen.agent_connected)
        store.note(step.uid, refusals.NOTE, refusals.with_refusal(store.notes(step.uid), step.change, refusal))
        warn(store, item, "ChangeRefused", f"{step.describe()}: {error.message}")
        return False
    store.record_event(item.key, "Normal", "ChangesApplied", step.describe(), uid=item.uid)
    return True


def _perform(driver: Driver, step: steps.Live) -> None:
    match step:
        case steps.SetCores():
            driver.set_cores(step.uid, step.cores)
        case steps.SetCoreFraction():
            driver.set_core_fraction(step.uid, step.percent)
        case steps.SetMemory():
            driver.set_memory(step.uid, step.size_kib)
        case steps.PlugDisk():
            driver.plug_disk(step.uid, step.disk)
        case steps.UnplugDisk():
            driver.unplug_disk(step.uid, step.alias)
