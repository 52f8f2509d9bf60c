"""The last words of firmware on the serial console: believed when it gave up, not when a guest uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine import manifests as texts
from vmctl.planning import conditions

if TYPE_CHECKING:
    from tests.engine.lab import Lab

WEB = texts.blank("root") + texts.machine("web", "root")
FIRST = 'BdsDxe: loading Boot0001 "UEFI QEMU HARDDISK"\r\n'


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("SeaBIOS (version 1.16.2)\r\nBooting from Hard Disk...\r\nNo bootable device.\r\n", "NoBootableDevice"),
        (FIRST + "BdsDxe: No bootable option or device was found.\r\n", "NoBootableDevice"),
        (FIRST + 'BdsDxe: failed to load Boot0001 "UEFI QEMU HARDDISK": Access Denied\r\n', "NoBootableDevice"),
        (
            FIRST + 'BdsDxe: starting Boot0002 "EFI Internal Shell"\r\nUEFI Interactive Shell v2.2\r\n',
            "NoBootableDevice",
        ),
        (
            'BdsDxe: failed to load Boot0001: Access Denied\r\nBdsDxe: starting Boot0002 "UEFI signed"\r\nLinux\r\n',
            "Running",
        ),
        ("login: root\r\nAccess Denied\r\nSecurity Violation\r\n", "Running"),
        ("", "Running"),
    ],
)
def test_the_running_condition_follows_the_firmware(lab: Lab, said: str, reason: str) -> None:
    lab.apply(WEB)
    log = lab.state / "consoles" / f"{lab.uid('web')}.log"
    log.write_text(said)
    lab.apply(WEB)
    item = lab.get("VirtualMachine", "web")
    assert item is not None
    running = conditions.find(item.status, "Running")
    assert running is not None
    assert (running["status"], running["reason"]) == ("True", reason)
    assert item.phase == "Running"
