"""A daemon that was held up for a while: what it hears then may have happened long ago."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Manifests, Product, disk, image, machine
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.http_images import ImageServer

IN_ITS_KERNEL_S = 2.5  # after the reset; SeaBIOS needs less than one, and the agent answers after four


@pytest.mark.full
def test_a_reboot_that_is_heard_of_late_cuts_no_power(product: Product, images: ImageServer, tmp_path: Path) -> None:
    product.apply(image("guest", images.url("guest.qcow2")), disk("root", "guest"))
    directory = Manifests(tmp_path)
    directory.write(machine("web", "vd/root", cpu={"cores": 1, "coreFraction": "5%"}))
    with product.daemon(directory.path) as daemon:
        guest = product.booted("web")
        pid, boot = guest.pid, guest.boot()
        directory.write(machine("web", "vd/root", cpu={"cores": 2, "coreFraction": "5%"}))
        until(lambda: product.waiting("web"), "a change that waits")
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            guest.write("reboot -f")
            until(lambda: "state='disconnected'" in guest.live.XMLDesc(), "the guest on its way down")
            time.sleep(IN_ITS_KERNEL_S)
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        guest.booted_since(boot)
        assert guest.pid == pid
        assert guest.sh("nproc") == "1"
        assert len(product.waiting("web")) == 1
